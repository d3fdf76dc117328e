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
	struct zone *z = zone_new();
	char name[64];
	uint32_t n;
	(void)state;
	assert_true(!zone_add_authority(z, "Mesh.Example"));
	for (uint32_t i = 0; i < MANY; i++) {
		struct addr a = addr_v4(0x64400000 + i);
		snprintf(name, sizeof(name), "Host-%u.mesh.example.", i);
		assert_true(!zone_add_address(z, name, &a, true));
		assert_true(!zone_add_address(z, name, &a, true)); /* twice is once */
	}
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "host-%u.mesh.example", i);
		struct zone_hit h = find(z, name);
		const struct zone_rr *const *rr = zone_set(&h, DNS_A, &n);
		assert_int_equal(h.verdict, ZONE_NAME);
		assert_int_equal(n, 1);
		assert_int_equal(be_get(rr[0]->rdata, 4), 0x64400000 + i);
		assert_int_equal(h.apex_labels, 2);
	}
	assert_int_equal(find(z, "host-5000.mesh.example").verdict, ZONE_NO_NAME);
	assert_int_equal(find(z, "example").verdict, ZONE_FOREIGN);
	zone_put(z);
}

/* Nearly all of a mesh leaves: who stays is found all the while. */
static void test_many_leave(void **state)
{
	enum { MANY = 3000, STAYS = 100, TIMES = 2 };
	struct zone *z = zone_new();
	char name[64];
	uint32_t n;
	(void)state;
	for (uint32_t i = 0; i < MANY * TIMES; i++) {
		struct addr a = addr_v4(0x64400000 + i % MANY);
		snprintf(name, sizeof(name), "host-%u.mesh.example.", i % MANY);
		assert_true(!zone_add_address(z, name, &a, true));
	}
	for (uint32_t i = 0; i < MANY * TIMES; i++) {
		struct addr a = addr_v4(0x64400000 + i % MANY);
		snprintf(name, sizeof(name), "host-%u.mesh.example.", i % MANY);
		if (i % MANY % STAYS)
			zone_remove_address(z, name, &a, true);
		snprintf(name, sizeof(name), "host-%u.mesh.example", i % MANY / STAYS * STAYS);
		struct zone_hit h = find(z, name);
		assert_non_null(zone_set(&h, DNS_A, &n));
		snprintf(name, sizeof(name), "%u.%u.64.100.in-addr.arpa", i % MANY / STAYS * STAYS % 256,
			i % MANY / STAYS * STAYS / 256);
		h = find(z, name);
		assert_non_null(zone_set(&h, DNS_PTR, &n));
	}
	assert_int_equal(find(z, "host-1.mesh.example").verdict, ZONE_FOREIGN);
	zone_put(z);
}

/* A list of blocked names: one address has them all. And the order that was given stays. */
static void test_many_of_one(void **state)
{
	enum { MANY = 50000 };
	struct zone *z = zone_new();
	struct addr nowhere = addr_v4(0);
	struct dns_name name;
	char text[64];
	uint32_t n;
	(void)state;
	assert_true(dns_name_parse("order.example", &name));
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "ad%u.example", i);
		assert_true(!zone_add_address(z, text, &nowhere, true));
		assert_true(!zone_add_record(
			z, &name, DNS_TXT, (const uint8_t *)"\1b\1c\1a\1b" + 2 * (i % 4), 2));
	}
	struct zone_hit h = find(z, "0.0.0.0.in-addr.arpa");
	assert_non_null(zone_set(&h, DNS_PTR, &n));
	assert_int_equal(n, MANY);
	h = find(z, "order.example");
	const struct zone_rr *const *rr = zone_set(&h, DNS_TXT, &n);
	assert_int_equal(n, 3);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(rr[i]->rdata[1], "bca"[i]);
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
		{ "a.in.net", ZONE_NAME, 2, true, false },
		{ "in.net", ZONE_NAME, 2, true, true },
		{ "x.in.net", ZONE_NO_NAME, 2, true, false },
		{ "b.c.in.net", ZONE_NAME, 2, true, false },
		{ "c.in.net", ZONE_NAME, 2, true, false },
		{ "deep.in.net", ZONE_NAME, 3, true, true },
		{ "x.deep.in.net", ZONE_NO_NAME, 3, true, false },
		{ "alone.net", ZONE_NAME, 2, false, false },
		{ "x.alone.net", ZONE_FOREIGN, 0, false, false },
		{ "net", ZONE_FOREIGN, 0, false, false },
		{ ".", ZONE_FOREIGN, 0, false, false },
		{ "xin.net", ZONE_FOREIGN, 0, false, false },
		{ "y.w.in.net", ZONE_NAME, 2, true, false },	  /* the wildcard */
		{ "e.w.in.net", ZONE_NAME, 2, true, false },	  /* beside it */
		{ "y.e.w.in.net", ZONE_NO_NAME, 2, true, false }, /* e.w is closer than *.w's parent */
		{ "y.out.net", ZONE_NAME, 3, false, false },	  /* a wildcard of no authority */
		{ "x.y.out.net", ZONE_NAME, 4, false, false },
		{ "out.net", ZONE_FOREIGN, 0, false, false },
		{ "e.out.net", ZONE_NAME, 3, false, false },
		{ "y.e.out.net", ZONE_FOREIGN, 0, false, false },
	};
	struct addr a = addr_v4(1);
	struct zone *z = zone_new();
	(void)state;
	assert_true(!zone_add_authority(z, "in.net") && !zone_add_authority(z, "deep.in.net"));
	assert_true(
		!zone_add_address(z, "a.in.net", &a, false) && !zone_add_address(z, "b.c.in.net", &a, false));
	assert_true(!zone_add_address(z, "alone.net", &a, false) &&
		    !zone_add_address(z, "*.w.in.net", &a, false));
	assert_true(!zone_add_address(z, "e.w.in.net", &a, false));
	assert_true(
		!zone_add_address(z, "*.out.net", &a, false) && !zone_add_address(z, "e.out.net", &a, false));
	assert_true(zone_add_address(z, "no..name", &a, false));
	assert_true(zone_add_authority(z, ""));
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
	struct zone *z = zone_new();
	(void)state;
	assert_true(!zone_add_authority(z, ".") && !zone_add_address(z, "www.example.net", &a, false));
	assert_int_equal(find(z, "www.example.net").verdict, ZONE_NAME);
	assert_int_equal(find(z, "example.net").verdict, ZONE_NAME);
	assert_int_equal(find(z, "x.example.net").verdict, ZONE_NO_NAME);
	assert_int_equal(find(z, "org").verdict, ZONE_NO_NAME);
	assert_true(find(z, ".").is_apex);
	zone_remove_authority(z, ".");
	assert_int_equal(find(z, "org").verdict, ZONE_FOREIGN);
	assert_int_equal(zone_add_address(z, "*", &a, false), 0);
	assert_int_equal(find(z, "org").verdict, ZONE_NAME);
	assert_int_equal(find(z, "a.b.org").verdict, ZONE_NAME);
	assert_int_equal(find(z, "x.net").verdict, ZONE_FOREIGN); /* net is closer */
	zone_remove_address(z, "*", &a, false);
	assert_int_equal(find(z, "org").verdict, ZONE_FOREIGN);
	zone_remove_address(z, "www.example.net", &a, false);
	assert_int_equal(find(z, "www.example.net").verdict, ZONE_FOREIGN);
	assert_int_equal(zone_add_address(z, "org", &a, false), 0);
	assert_int_equal(find(z, "org").verdict, ZONE_NAME);
	zone_put(z);
}

static void test_empty(void **state)
{
	(void)state;
	struct zone *z = zone_new();
	assert_non_null(z);
	assert_int_equal(find(z, "a.b").verdict, ZONE_FOREIGN);
	zone_put(z);
}

/* Any order of additions and removals leaves the zone that additions alone would have made. */
static void test_changes(void **state)
{
	enum { NAMES = 12, STEPS = 4000 };
	static const char *const names[NAMES] = { "a.in.net", "b.a.in.net", "c.b.a.in.net", "*.w.in.net",
		"in.net", "x.deep.in.net", "deep.in.net", "alone.net", "a.alone.net", "net", "e.w.in.net",
		"q.w.in.net" };
	unsigned given[NAMES][3] = { 0 }, authority[NAMES] = { 0 }, seed = 1;
	struct addr ip[2] = { addr_v4(0x64400001),
		addr_v6_bytes((const uint8_t[16]) { 0xfd, 0x7a, [15] = 1 }) };
	struct zone *z = zone_new();
	(void)state;
	for (unsigned step = 0; step < STEPS; step++) {
		seed = seed * 1103515245 + 12345;
		unsigned i = seed >> 16 & 0xff, k = (seed >> 8) % 3;
		bool add = step < STEPS / 2 ? i & 3 : !(i & 3);
		unsigned *count = k < 2 ? &given[i % NAMES][k] : &authority[i % NAMES];
		uint64_t before = zone_changes(z);
		if (!add && !*count)
			continue;
		if (k < 2 && add)
			assert_int_equal(zone_add_address(z, names[i % NAMES], &ip[k], true), 0);
		else if (k < 2)
			zone_remove_address(z, names[i % NAMES], &ip[k], true);
		else if (add)
			assert_int_equal(zone_add_authority(z, names[i % NAMES]), 0);
		else
			zone_remove_authority(z, names[i % NAMES]);
		*count += add ? 1 : -1u;
		assert_int_not_equal(zone_changes(z), before);
		if (step % 16)
			continue;
		struct zone *anew = zone_new();
		for (unsigned n = 0; n < NAMES; n++) {
			for (unsigned v = 0; v < 2; v++)
				if (given[n][v])
					assert_int_equal(zone_add_address(anew, names[n], &ip[v], true), 0);
			if (authority[n])
				assert_int_equal(zone_add_authority(anew, names[n]), 0);
		}
		for (unsigned n = 0; n < NAMES; n++) {
			struct zone_hit x = find(z, names[n]), y = find(anew, names[n]);
			if (x.verdict != y.verdict || x.n != y.n || x.owned != y.owned ||
				x.apex_labels != y.apex_labels || x.is_apex != y.is_apex)
				fail_msg("step %u: %s differs from a zone made anew", step, names[n]);
		}
		zone_put(anew);
	}
	zone_put(z);
}

/* Given by two, it stays until both have gone; an alias stands alone both ways. */
static void test_removed(void **state)
{
	static const uint8_t alias[] = "\1b\3net";
	struct addr a = addr_v4(1);
	struct zone *z = zone_new();
	struct dns_name name;
	(void)state;
	assert_true(dns_name_parse("A.net", &name));
	assert_int_equal(zone_add_address(z, "a.net", &a, true), 0);
	assert_int_equal(zone_add_address(z, "A.net.", &a, false), 0);
	assert_int_equal(zone_add_record(z, &name, DNS_CNAME, alias, sizeof(alias)), ERR_REFUSED);
	zone_remove_address(z, "a.net", &a, true);
	assert_int_equal(find(z, "a.net").n, 1);
	assert_int_equal(find(z, "1.0.0.0.in-addr.arpa").verdict, ZONE_FOREIGN);
	zone_remove_address(z, "a.net", &a, false);
	zone_remove_address(z, "a.net", &a, false); /* what is not there cannot go */
	assert_int_equal(find(z, "a.net").verdict, ZONE_FOREIGN);
	assert_int_equal(zone_add_record(z, &name, DNS_CNAME, alias, sizeof(alias)), 0);
	assert_int_equal(zone_add_address(z, "a.net", &a, true), ERR_REFUSED);
	assert_int_equal(find(z, "1.0.0.0.in-addr.arpa").verdict, ZONE_FOREIGN);
	zone_put(z);
}

/* The record that a name was made for stands with it: it goes first or last, comes again, and its name stays whole. */
static void test_inner(void **state)
{
	enum { LENGTHS = 9, RECORDS = 3 };
	static const uint8_t text[RECORDS][4] = { "\3abc", "\3def", "\3ghi" };
	char name[LENGTHS + 8];
	struct dns_name parsed;
	struct zone *z = zone_new();
	(void)state;
	for (unsigned i = 0; i < LENGTHS * RECORDS; i++) {
		unsigned first = i % RECORDS;
		snprintf(name, sizeof(name), "%.*s.net", (int)(i / RECORDS + 1), "abcdefghi");
		assert_true(dns_name_parse(name, &parsed));
		for (unsigned k = 0; k < RECORDS; k++)
			assert_int_equal(zone_add_record(z, &parsed, DNS_TXT, text[k], 4), 0);
		zone_remove_record(z, &parsed, DNS_TXT, text[first], 4);
		struct zone_hit h = find(z, name);
		assert_int_equal(h.n, RECORDS - 1);
		assert_memory_equal(h.rrs[0]->rdata, text[first ? 0 : 1], 4);
		assert_memory_equal(h.rrs[1]->rdata, text[first == 2 ? 1 : 2], 4);
		assert_int_equal(zone_add_record(z, &parsed, DNS_TXT, text[first], 4), 0);
		assert_memory_equal(find(z, name).rrs[2]->rdata, text[first], 4);
		for (unsigned k = RECORDS; k-- > 0;)
			zone_remove_record(z, &parsed, DNS_TXT, text[(first + k) % RECORDS], 4);
		assert_int_equal(find(z, name).verdict, ZONE_FOREIGN);
	}
	/* A name that was there without one: below an authority's, and an authority itself. */
	assert_int_equal(zone_add_authority(z, "a.net"), 0);
	assert_true(dns_name_parse("net", &parsed));
	assert_int_equal(zone_add_record(z, &parsed, DNS_TXT, text[0], 4), 0);
	assert_true(dns_name_parse("a.net", &parsed));
	assert_int_equal(zone_add_record(z, &parsed, DNS_TXT, text[1], 4), 0);
	zone_remove_authority(z, "a.net");
	assert_memory_equal(find(z, "a.net").rrs[0]->rdata, text[1], 4);
	assert_memory_equal(find(z, "net").rrs[0]->rdata, text[0], 4);
	zone_put(z);
}

/* One name from no record to many and back, each given twice: what is there is found whatever the number. */
static void test_crowd(void **state)
{
	enum { MOST = 40 };
	struct zone *z = zone_new();
	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint32_t n = 1; n <= MOST; n++) {
			struct addr a = addr_v4(n);
			assert_int_equal(zone_add_address(z, "a.net", &a, false), 0);
			assert_int_equal(zone_add_address(z, "a.net", &a, false), 0);
			assert_int_equal(find(z, "a.net").n, n);
		}
		for (uint32_t n = MOST; n; n--) {
			struct addr a = addr_v4(n * 7 % 41), other = addr_v4(99); /* in no order */
			zone_remove_address(z, "a.net", &other, false);
			zone_remove_address(z, "a.net", &a, false);
			assert_int_equal(find(z, "a.net").n, n);
			zone_remove_address(z, "a.net", &a, false);
			assert_int_equal(find(z, "a.net").n, n - 1);
		}
		assert_int_equal(find(z, "a.net").verdict, ZONE_FOREIGN);
	}
	zone_put(z);
}

/* A copy says the same, record by record, as often as each was given, and is of its own. */
static void test_copy(void **state)
{
	enum { CROWD = 40 };
	static const char *const names[] = { "a.mesh.example", "mesh.example", "example", "txt.mesh.example",
		"x.deep.mesh.example", "deep.mesh.example", "alias.example.net", "7-via-3.mesh.example",
		"any.wild.example", "4.3.2.1.in-addr.arpa", "no.mesh.example" };
	static const char via[] = "10-1-1-16-via-7.mesh.example";
	struct zone *z = zone_new();
	struct addr a = addr_v4(0x01020304);
	struct dns_name name;
	uint32_t n, k;
	(void)state;
	assert_true(!zone_add_authority(z, "mesh.example") && !zone_add_authority(z, "mesh.example"));
	zone_via6_names(z);
	for (int i = 0; i < 2; i++)
		assert_int_equal(zone_add_address(z, "a.mesh.example", &a, true), 0);
	assert_int_equal(zone_add_address(z, "x.deep.mesh.example", &a, false), 0);
	assert_int_equal(zone_add_address(z, "*.wild.example", &a, false), 0);
	assert_true(dns_name_parse("alias.example.net", &name));
	assert_int_equal(zone_add_record(z, &name, DNS_CNAME, (const uint8_t *)"\1x", 3), 0);
	assert_true(dns_name_parse("txt.mesh.example", &name));
	for (uint8_t i = CROWD; i; i--)
		assert_int_equal(zone_add_record(z, &name, DNS_TXT, (const uint8_t[]) { 1, i }, 2), 0);
	struct zone *copy = zone_copy(z);
	assert_non_null(copy);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct zone_hit was = find(z, names[i]), is = find(copy, names[i]);
		assert_true(was.verdict == is.verdict && was.n == is.n && was.owned == is.owned &&
			    was.apex_labels == is.apex_labels && was.is_apex == is.is_apex);
		for (n = 0; n < was.n; n++)
			assert_true(was.rrs[n]->type == is.rrs[n]->type &&
				    was.rrs[n]->len == is.rrs[n]->len &&
				    !memcmp(was.rrs[n]->rdata, is.rrs[n]->rdata, was.rrs[n]->len));
	}
	assert_true(find(copy, via).via6);
	zone_put(z);
	struct zone_hit h = find(copy, "a.mesh.example");
	assert_true(zone_set(&h, DNS_A, &k) && k == 1);
	zone_remove_address(copy, "a.mesh.example", &a, true);
	assert_int_equal(find(copy, "a.mesh.example").n, 1); /* given twice */
	zone_remove_address(copy, "a.mesh.example", &a, true);
	zone_remove_authority(copy, "mesh.example");
	assert_int_equal(find(copy, "a.mesh.example").verdict, ZONE_NO_NAME);
	zone_remove_authority(copy, "mesh.example");
	assert_int_equal(find(copy, "a.mesh.example").verdict, ZONE_FOREIGN);
	zone_put(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many), cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_many_leave), cmocka_unit_test(test_many_of_one),
		cmocka_unit_test(test_root), cmocka_unit_test(test_empty), cmocka_unit_test(test_changes),
		cmocka_unit_test(test_inner), cmocka_unit_test(test_removed), cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_copy) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
