#include "mesh/oidc/documents.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ENDPOINTS \
	"\"authorization_endpoint\":\"https://id.example.com/a\",\"token_endpoint\":\"https://" \
	"id.example.com/t\"," \
	"\"jwks_uri\":\"https://id.example.com/k\""

static void test_discovery(void **state)
{
	static const struct {
		const char *text, *says; /* NULL = good */
	} rows[] = {
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS "}", NULL },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS ",\"userinfo_endpoint\":null}", NULL },
		{ "{\"issuer\":\"https://id.example.com/\"," ENDPOINTS "}", "issuer" },
		{ "{\"issuer\":\"https://evil.example.com\"," ENDPOINTS "}", "evil" },
		{ "{" ENDPOINTS "}", "issuer" },
		{ "{\"issuer\":\"https://id.example.com\"}", "authorization_endpoint" },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS ",\"userinfo_endpoint\":\"ftp://x\"}",
			"userinfo" },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS
		  ",\"token_endpoint\":\"http://id.example.com/t\"}",
			"token_endpoint" },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS ",\"jwks_uri\":\"https://\"}",
			"jwks_uri" },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS ",\"jwks_uri\":\"https://a\\r\\nb\"}",
			"jwks_uri" },
		{ "{\"issuer\":\"https://id.example.com\"," ENDPOINTS
		  ",\"response_types_supported\":[\"id_token\"]}",
			"code" },
		{ "[]", "object" },
		{ "", "not JSON" },
		{ "{\"issuer\":", "not JSON" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct oidc_discovery d = { .secret_in_body = true };
		struct errbuf eb = { 0 };
		int err = oidc_discovery_read(
			&a, rows[i].text, strlen(rows[i].text), "https://id.example.com", &d, &eb);
		if (!err != !rows[i].says || (rows[i].says && !strstr(eb.text, rows[i].says)))
			fail_msg("row %zu: %s", i, eb.text);
		if (rows[i].says)
			assert_true(!d.issuer && d.secret_in_body); /* as it was */
		arena_free(&a);
	}
}

static void test_methods(void **state)
{
	static const struct {
		const char *methods;
		bool in_body;
	} rows[] = { { "[\"client_secret_post\"]", true },
		{ "[\"client_secret_post\",\"client_secret_basic\"]", false },
		{ "[\"client_secret_basic\"]", false }, { "null", false }, { "[\"none\"]", false },
		{ "7", false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct oidc_discovery d;
		char *text = arena_printf(&a,
			"{\"issuer\":\"https://id.example.com\"," ENDPOINTS
			",\"token_endpoint_auth_methods_supported\":%s}",
			rows[i].methods);
		assert_int_equal(
			oidc_discovery_read(&a, text, strlen(text), "https://id.example.com", &d, NULL), 0);
		if (d.secret_in_body != rows[i].in_body)
			fail_msg("row %zu", i);
		arena_free(&a);
	}
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = { { "{\"id_token\":\"a.b.c\",\"access_token\":\"x\",\"token_type\":\"Bearer\"}", true },
		{ "{\"id_token\":\"a.b.c\"}", true }, { "{\"access_token\":\"x\"}", false },
		{ "{\"id_token\":7}", false }, { "{\"id_token\":\"\"}", false },
		{ "{\"id_token\":\"a\\nb\"}", false }, { "7", false } };
	struct arena a = { 0 };
	char text[200];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct oidc_tokens t = { 0 };
		int err = oidc_tokens_read(&a, rows[i].text, strlen(rows[i].text), &t, NULL);
		if (!err != rows[i].good || (err && t.id_token))
			fail_msg("row %zu", i);
	}
	oidc_refusal_read(
		"{\"error\":\"invalid_grant\",\"error_description\":\"no\\nsuch\"}", 56, text, sizeof(text));
	assert_null(strchr(text, '\n'));
	oidc_refusal_read("<html>", 6, text, sizeof(text));
	assert_string_equal(text, "no reason given");
	arena_free(&a);
}

static void test_userinfo(void **state)
{
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct oidc_claims c = { .subject = "u1", .email = "a@b.c", .name = "", .preferred = "" };
	static const char
		other[] = "{\"sub\":\"u2\",\"email\":\"x@b.c\"}",
		mine[] = "{\"sub\":\"u1\",\"email\":\"x@b.c\",\"email_verified\":true,\"groups\":[\"g\"]}";
	(void)state;
	assert_int_equal(oidc_userinfo_read(&a, other, sizeof(other) - 1, "groups", &c, &eb), ERR_CRYPTO);
	assert_int_equal(oidc_userinfo_read(&a, mine, sizeof(mine) - 1, "groups", &c, &eb), 0);
	assert_string_equal(c.email, "a@b.c");
	assert_false(c.email_verified); /* that was said of the other address */
	assert_int_equal(c.n_groups, 1);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_discovery), cmocka_unit_test(test_methods),
		cmocka_unit_test(test_tokens), cmocka_unit_test(test_userinfo) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
