#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/web/browser.h"
#include <string.h>

#define TOKEN "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static int setup(void **state)
{
	(void)state;
	return key_setup() ? 0 : -1;
}

static void test_cookies(void **state)
{
	static const struct {
		const char *cookies;
		bool found;
	} rows[] = { { NULL, false }, { "", false }, { "rw=" TOKEN, true }, { "a=b; rw=" TOKEN, true },
		{ "a=b;rw=" TOKEN ";c=d", true }, { "xrw=" TOKEN, false }, { "rw=" TOKEN "A", false },
		{ "rw=AAAA", false }, { "rw=AAAA; rw=" TOKEN, true }, { "rw", false }, { "rw=", false },
		{ "; ;rw=" TOKEN, true }, { "rw =" TOKEN, false }, { "rw=\"" TOKEN "\"", false } };
	char out[BROWSER_TOKEN];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (browser_cookie_find(rows[i].cookies, "rw", out) != rows[i].found ||
			(rows[i].found && strcmp(out, TOKEN) != 0))
			fail_msg("row %zu", i);
}

static void test_forms(void **state)
{
	static const uint8_t secret[32] = { 1 }, other[32] = { 2 };
	char form[BROWSER_FORM];
	(void)state;
	browser_form_make(secret, "one", form);
	assert_true(browser_form_is(secret, "one", form));
	assert_false(browser_form_is(secret, "two", form));
	assert_false(browser_form_is(other, "one", form));
	assert_false(browser_form_is(secret, "one", ""));
	form[3] ^= 1;
	assert_false(browser_form_is(secret, "one", form));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cookies), cmocka_unit_test(test_forms) };
	return cmocka_run_group_tests(tests, setup, NULL);
}
