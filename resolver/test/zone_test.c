#include "resolver/zone.h"

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "resolver/resolver.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static struct zone_hit find(const struct zone *z, const char *text)
{
	struct zone_hit h;
	struct dns_name n;
	assert_true(dns_name_parse(text, &n));
	dns_name_fold(&n);
	zone_find(z, &n, &h);
	return h;
}

static void test_many(void **state)
{
	enum { MANY = 5000 };
	struct zone_builder *b = zone_builder_new();
	char name[64];
	uint32_t n;
	(void)state;
	assert_true(zone_add_authority(b, "Mesh.Example"));
	for (uint32_t i = 0; i < MANY; i++) {
		struct addr a = addr_v4(0x64400000 + i);
		snprintf(name, sizeof(name), "Host-%u.mesh.example.", i);
		assert_true(zone_add_address(b, name, &a, true));
		assert_true(zone_add_address(b, name, &a, true)); /* twice is once */
	}
	struct zone *z = zone_build(b);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "host-%u.mesh.example", i);
		struct zone_hit h = find(z, name);
		const struct zone_rr *rr = zone_set(&h, DNS_A, &n);
		assert_int_equal(h.verdict, ZONE_NAME);
		assert_int_equal(n, 1);
		assert_int_equal(be_get(zone_rdata(z, rr), 4), 0x64400000 + i);
		assert_int_equal(h.apex_labels, 2);
	}
	assert_int_equal(find(z, "host-5000.mesh.example").verdict, ZONE_NO_NAME);
	assert_int_equal(find(z, "example").verdict, ZONE_FOREIGN);
	zone_put(z);
}

/* A list of blocked names: one address has them all. And the order that was given stays. */
static void test_many_of_one(void **state)
{
	enum { MANY = 50000 };
	struct zone_builder *b = zone_builder_new();
	struct addr nowhere = addr_v4(0);
	struct dns_name name;
	char text[64];
	uint32_t n;
	(void)state;
	assert_true(dns_name_parse("order.example", &name));
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "ad%u.example", i);
		assert_true(zone_add_address(b, text, &nowhere, true));
		assert_true(
			zone_add_record(b, &name, DNS_TXT, (const uint8_t *)"\1b\1c\1a\1b" + 2 * (i % 4), 2));
	}
	struct zone *z = zone_build(b);
	struct zone_hit h = find(z, "0.0.0.0.in-addr.arpa");
	assert_non_null(zone_set(&h, DNS_PTR, &n));
	assert_int_equal(n, MANY);
	h = find(z, "order.example");
	const struct zone_rr *rr = zone_set(&h, DNS_TXT, &n);
	assert_int_equal(n, 3);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(zone_rdata(z, &rr[i])[1], "bca"[i]);
	zone_put(z);
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *name;
		enum zone_verdict verdict;
		unsigned apex_labels;
		bool owned, is_apex;
	} rows[] = {
		{ "a.in.net", ZONE_NAME, 2, true, false }, { "in.net", ZONE_NAME, 2, true, true },
		{ "x.in.net", ZONE_NO_NAME, 2, true, false }, { "b.c.in.net", ZONE_NAME, 2, true, false },
		{ "c.in.net", ZONE_NAME, 2, true, false }, { "deep.in.net", ZONE_NAME, 3, true, true },
		{ "x.deep.in.net", ZONE_NO_NAME, 3, true, false },
		{ "alone.net", ZONE_NAME, 2, false, false }, { "x.alone.net", ZONE_FOREIGN, 0, false, false },
		{ "net", ZONE_FOREIGN, 0, false, false }, { ".", ZONE_FOREIGN, 0, false, false },
		{ "xin.net", ZONE_FOREIGN, 0, false, false },
		{ "y.w.in.net", ZONE_NAME, 2, true, false },	  /* the wildcard */
		{ "e.w.in.net", ZONE_NAME, 2, true, false },	  /* beside it */
		{ "y.e.w.in.net", ZONE_NO_NAME, 2, true, false }, /* e.w is closer than *.w's parent */
	};
	struct addr a = addr_v4(1);
	struct zone_builder *b = zone_builder_new();
	(void)state;
	assert_true(zone_add_authority(b, "in.net") && zone_add_authority(b, "deep.in.net"));
	assert_true(
		zone_add_address(b, "a.in.net", &a, false) && zone_add_address(b, "b.c.in.net", &a, false));
	assert_true(
		zone_add_address(b, "alone.net", &a, false) && zone_add_address(b, "*.w.in.net", &a, false));
	assert_true(zone_add_address(b, "e.w.in.net", &a, false));
	assert_false(zone_add_address(b, "no..name", &a, false));
	assert_false(zone_add_authority(b, ""));
	struct zone *z = zone_build(b);
	assert_non_null(z);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone_hit h = find(z, rows[i].name);
		if (h.verdict != rows[i].verdict || h.owned != rows[i].owned || h.is_apex != rows[i].is_apex)
			fail_msg("%s: verdict %d owned %d apex %d", rows[i].name, h.verdict, h.owned,
				h.is_apex);
		if (h.verdict != ZONE_FOREIGN && h.apex_labels != rows[i].apex_labels)
			fail_msg("%s: apex of %u labels", rows[i].name, h.apex_labels);
	}
	assert_ptr_equal(zone_get(z), z);
	zone_put(z);
	zone_put(z);
	zone_put(NULL);
	assert_int_equal(find(NULL, "a.in.net").verdict, ZONE_FOREIGN);
}

/* A server that plays the whole internet. */
static void test_root(void **state)
{
	struct addr a = addr_v4(1);
	struct zone_builder *b = zone_builder_new();
	(void)state;
	assert_true(zone_add_authority(b, ".") && zone_add_address(b, "www.example.net", &a, false));
	struct zone *z = zone_build(b);
	assert_int_equal(find(z, "www.example.net").verdict, ZONE_NAME);
	assert_int_equal(find(z, "example.net").verdict, ZONE_NAME);
	assert_int_equal(find(z, "x.example.net").verdict, ZONE_NO_NAME);
	assert_int_equal(find(z, "org").verdict, ZONE_NO_NAME);
	assert_true(find(z, ".").is_apex);
	zone_put(z);
}

static void test_empty(void **state)
{
	(void)state;
	struct zone *z = zone_build(zone_builder_new());
	assert_non_null(z);
	assert_int_equal(find(z, "a.b").verdict, ZONE_FOREIGN);
	zone_put(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many), cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_many_of_one), cmocka_unit_test(test_root),
		cmocka_unit_test(test_empty) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
