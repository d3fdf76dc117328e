#include "mesh/base/nat64.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct addr addr(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, &a));
	return a;
}

/* RFC 6052 2.4: 192.0.2.33 in each. */
static const struct {
	const char *prefix;
	uint8_t bits;
	const char *embedded;
} rows[] = {
	{ "2001:db8::", 32, "2001:db8:c000:221::" },
	{ "2001:db8:100::", 40, "2001:db8:1c0:2:21::" },
	{ "2001:db8:122::", 48, "2001:db8:122:c000:2:2100::" },
	{ "2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::" },
	{ "2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100:0" },
	{ "2001:db8:122:344::", 96, "2001:db8:122:344::c000:221" },
	{ "64:ff9b::", 96, "64:ff9b::c000:221" },
};

static void embedded(void **state)
{
	(void)state;
	struct addr v4 = addr("192.0.2.33"), back, other = addr("2001:db9::c000:221");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nat64 n = { addr(rows[i].prefix), rows[i].bits };
		struct addr a = nat64_embed(&n, &v4), want = addr(rows[i].embedded);
		assert_true(addr_equal(&a, &want));
		assert_true(nat64_extract(&n, &a, &back) && addr_equal(&back, &v4));
		assert_false(nat64_extract(&n, &other, &back));
		assert_false(nat64_extract(&n, &v4, &back));
	}
	struct nat64 none = { .bits = 0 };
	assert_false(nat64_extract(&none, &other, &back));
}

static void found(void **state)
{
	(void)state;
	struct addr well_known[2] = { addr("192.0.0.170"), addr("192.0.0.171") };
	struct nat64 got;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nat64 n = { addr(rows[i].prefix), rows[i].bits };
		for (int k = 0; k < 2; k++) {
			struct addr answer = nat64_embed(&n, &well_known[k]);
			assert_true(nat64_find(&answer, &got));
			assert_true(got.bits == n.bits && addr_equal(&got.prefix, &n.prefix));
		}
	}
	static const char *const others[] = { "192.0.0.170", "::", "2001:db8::1", "64:ff9b::c000:221",
		"64:ff9b::c000:aa:1", "::c000:aa", "fe80::c000:aa", "ff02::c000:aa",
		"ff0e:0:c000:aa::", "fd7a:115c:a1e0::c000:aa", "fd7a:115c:a1e0:0:c0:0:aa00:0" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct addr a = addr(others[i]);
		assert_false(nat64_find(&a, &got));
	}
}

static void parsed(void **state)
{
	static const char *const wrong[] = { "64:ff9b::", "64:ff9b::/64x", "64:ff9b::/95", "64:ff9b::/128",
		"64:ff9b::1/96", "10.0.0.0/32", "::/96", "fe80::/64", "ff02::/32", "::ffff:0:0/96",
		"2001:db8:0:0:100::/96", "" };
	char text[PREFIX_TEXT];
	struct nat64 got = { .bits = 7 };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = { addr(rows[i].prefix), rows[i].bits };
		assert_true(nat64_parse(prefix_format(&p, text), &got));
		assert_true(got.bits == p.bits && addr_equal(&got.prefix, &p.ip));
	}
	got.bits = 7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (nat64_parse(wrong[i], &got) || got.bits != 7)
			fail_msg("%s", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(embedded), cmocka_unit_test(found),
		cmocka_unit_test(parsed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
