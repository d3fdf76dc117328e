#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/node/links/portal.h"
#include <string.h>

/* The whole way, with a network that redirects, is scenarios/catalogue/captive-portal.yaml. */
static void test_answers(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *location, *url;
	} rows[] = {
		{ 204, NULL, "" },
		{ 200, NULL, "" }, /* any server may have a page */
		{ 404, "http://portal.test/", "" },
		{ 302, "http://portal.test/login?a=b", "http://portal.test/login?a=b" },
		{ 307, "https://portal.test/", "https://portal.test/" },
		{ 302, NULL, "" },
		{ 301, "https://hs.test/generate_204", "" }, /* from HTTP to HTTPS */
		{ 301, "https://HS.TEST:8443/", "" },
		{ 302, "/elsewhere", "" },
		{ 302, "javascript:alert(1)", "" },
		{ 302, "http://portal.test/\033[2J", "" },
		{ 511, NULL, "http://hs.test/" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char url[PORTAL_URL];
		portal_read("hs.test", rows[i].status, rows[i].location, url);
		if (strcmp(url, rows[i].url) != 0)
			fail_msg("row %zu: %s", i, url);
	}
}

static void test_none(void **state)
{
	struct portal p;
	(void)state;
	portal_open(&p, NULL);
	assert_null(portal_line(&p));
	portal_forget(&p);
	assert_null(portal_line(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_none) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
