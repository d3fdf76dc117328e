#include "mesh/oidc/rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const char *domains[] = { "example.com" }, *users[] = { "alice@example.com" }, *groups[] = { "staff" },
		  *in_staff[] = { "x", "staff" }, *in_other[] = { "Staff" };
#define LIST(list) \
	{ \
		.v = (list), .n = 1 \
	}

static void test_rows(void **state)
{
	static const struct {
		struct oidc_settings s;
		struct oidc_claims c;
		const char *says; /* NULL = may enter */
	} rows[] = {
		{ { .verified_email = true }, { .email = "" }, NULL },
		{ { .domains = LIST(domains), .verified_email = true },
			{ .email = "a@example.com", .email_verified = true }, NULL },
		{ { .domains = LIST(domains), .verified_email = true },
			{ .email = "a@EXAMPLE.com", .email_verified = true }, NULL },
		{ { .domains = LIST(domains), .verified_email = true }, { .email = "a@example.com" },
			"vouch" },
		{ { .domains = LIST(domains) }, { .email = "a@example.com" }, NULL },
		{ { .domains = LIST(domains), .verified_email = true }, { .email = "" },
			"not said your e-mail" },
		/* neither below the domain, nor with it in front of another @ */
		{ { .domains = LIST(domains) }, { .email = "a@sub.example.com" }, "addresses such as" },
		{ { .domains = LIST(domains) }, { .email = "a@notexample.com" }, "addresses such as" },
		{ { .domains = LIST(domains) }, { .email = "a@example.com@evil.org" }, "addresses such as" },
		{ { .domains = LIST(domains) }, { .email = "example.com" }, "vouch" },
		{ { .domains = LIST(domains) }, { .email = "@example.com" }, "vouch" },
		{ { .users = LIST(users) }, { .email = "Alice@example.com" }, NULL },
		{ { .users = LIST(users) }, { .email = "bob@example.com" }, "bob@example.com may" },
		{ { .groups = LIST(groups) },
			{ .email = "", .has_groups = true, .groups = in_staff, .n_groups = 2 }, NULL },
		{ { .groups = LIST(groups) },
			{ .email = "", .has_groups = true, .groups = in_other, .n_groups = 1 }, "none" },
		{ { .groups = LIST(groups) }, { .email = "" }, "groups_claim" },
		/* all of them are asked for */
		{ { .groups = LIST(groups), .users = LIST(users) },
			{ .email = "bob@example.com", .has_groups = true, .groups = in_staff, .n_groups = 2 },
			"may have no" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct oidc_settings s = rows[i].s;
		struct errbuf eb = { 0 };
		s.issuer = "https://id.example.com";
		s.name = "it";
		int err = oidc_may_enter(&s, &rows[i].c, &eb);
		if (!err != !rows[i].says || (err && !strstr(eb.text, rows[i].says)))
			fail_msg("row %zu: %s", i, eb.text);
	}
}

static void test_quirks(void **state)
{
	static const struct {
		const char *issuer, *name;
		bool refused;
	} rows[] = { { "https://accounts.google.com", "Google", false },
		{ "https://login.microsoftonline.com/1d2c6a3e-0000-4000-8000-000000000000/v2.0", "Microsoft",
			false },
		{ "https://login.microsoftonline.com/common/v2.0", "Microsoft", true },
		{ "https://login.microsoftonline.com/organizations/v2.0", "Microsoft", true },
		{ "https://github.com", "GitHub", true }, { "https://appleid.apple.com", "Apple", true } };
	const struct oidc_settings microsoft = { .issuer = rows[1].issuer,
		.name = "Microsoft",
		.domains = LIST(domains),
		.verified_email = true };
	const struct oidc_settings google = {
		.issuer = rows[0].issuer, .name = "Google", .groups = LIST(groups)
	};
	const struct oidc_claims c = { .email = "a@example.com" };
	struct errbuf eb = { 0 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct oidc_quirk *q = oidc_quirk_of(rows[i].issuer);
		if (!q || strcmp(q->name, rows[i].name) != 0 || !q->refused == rows[i].refused)
			fail_msg("row %zu", i);
	}
	assert_null(oidc_quirk_of("https://id.example.com"));
	/* The sentence says what to do there. */
	assert_int_equal(oidc_may_enter(&microsoft, &c, &eb), ERR_REFUSED);
	assert_non_null(strstr(eb.text, "email_verified_required: false"));
	assert_int_equal(oidc_may_enter(&google, &c, &eb), ERR_REFUSED);
	assert_non_null(strstr(eb.text, "allowed_domains"));
	assert_true(oidc_is_own_parameter("state") && !oidc_is_own_parameter("prompt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_quirks) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
