#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/node/links/portal.h"
#include "mesh/os/test/fake_proxy.h"
#include "mesh/transport/proxy.h"
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
	portal_open(&p, NULL, NULL);
	assert_null(portal_line(&p));
	portal_forget(&p);
	assert_null(portal_line(&p));
}

/* The page is behind the proxy, if that is what leads out. */
static void test_proxied(void **state)
{
	struct loop *l = loop_new();
	struct fake_proxy *proxy = fake_proxy_open(l);
	struct proxies *by = proxies_new(NULL, fake_proxy_url(proxy), NULL);
	struct portal p;
	(void)state;
	portal_open(&p, l, by);
	portal_look(&p, "hs.test");
	while (p.rq)
		loop_run_once(l);
	assert_string_equal(fake_proxy_asked(proxy), "CONNECT hs.test:80 HTTP/1.1");
	assert_non_null(strstr(fake_proxy_inside(proxy), "GET /generate_204 HTTP/1.1\r\n"));
	portal_forget(&p);
	fake_proxy_close(proxy);
	loop_free(l);
	proxies_free(by);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_none),
		cmocka_unit_test(test_proxied) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
