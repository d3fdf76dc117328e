/* Of which provider an answer is that a browser brings (RFC 9207). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/login_inner.h"
#include <stdio.h>
#include <string.h>

#define OWN "https://id.test/a"

static void test_issuer(void **state)
{
	static const struct {
		const char *query;
		bool has_to_say, is;
	} rows[] = {
		{ "", false, true },
		{ "", true, false },
		{ "&iss=https%3A%2F%2Fid.test%2Fa", false, true },
		{ "&iss=https%3A%2F%2Fid.test%2Fa", true, true },
		{ "&iss=https%3A%2F%2Fid.test%2Fb", false, false },
		{ "&iss=https%3A%2F%2Fid.test%2Fb", true, false },
		{ "&iss=", false, false },
		{ "&iss=%zz", false, false }, /* not to be read is not unsaid */
		{ "&iss=%zz", true, false },
		{ "&iss=https%3A%2F%2Fid.test%2Fa%00", false, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char target[256];
		snprintf(target, sizeof(target), "/oidc/callback?state=x&code=y%s", rows[i].query);
		const struct http_head head = { .target = target };
		if (login_reply_is_of(&head, OWN, rows[i].has_to_say) != rows[i].is)
			fail_msg("row %zu", i);
	}
}

/* Longer than any issuer that can be set. */
static void test_long(void **state)
{
	char target[4 * OIDC_TEXT_MAX];
	const struct http_head head = { .target = target };
	(void)state;
	int n = snprintf(target, sizeof(target), "/oidc/callback?code=y&iss=https%%3A%%2F%%2Fevil.test%%2F");
	memset(target + n, 'a', (size_t)2 * OIDC_TEXT_MAX);
	target[n + 2 * OIDC_TEXT_MAX] = 0;
	assert_false(login_reply_is_of(&head, OWN, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_issuer), cmocka_unit_test(test_long) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
