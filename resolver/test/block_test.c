/* The set of names: which lists cover a name, what allows, and what many of them cost. */
#include "resolver/block.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t seed[2] = { 1, 2 };

static struct dns_name name_of(const char *text)
{
	struct dns_name n;
	assert_true(dns_name_parse(text, &n));
	return n;
}

static void add(struct block *b, unsigned list, const char *text, unsigned reach)
{
	struct dns_name n = name_of(text);
	assert_int_equal(block_add(b, list, &n, reach), 0);
}

static void test_judge(void **state)
{
	enum { ADS, TRACK, GOOD };
	enum { A = 1 << ADS, T = 1 << TRACK, G = 1 << GOOD };
	static const struct {
		const char *name;
		uint32_t lists;
		enum block_verdict verdict;
		unsigned by;
	} rows[] = {
		{ "ads.example", A, BLOCK_BLOCKED, ADS },
		{ "ads.example", T, BLOCK_PASS, 0 },
		{ "ads.example", 0, BLOCK_PASS, 0 },
		{ "x.ads.example", A, BLOCK_PASS, 0 }, /* that list has the name alone */
		{ "t.example", A, BLOCK_PASS, 0 },
		{ "t.example", A | T, BLOCK_BLOCKED, TRACK },
		{ "a.b.t.example", A | T, BLOCK_BLOCKED, TRACK },
		{ "xt.example", A | T, BLOCK_PASS, 0 },
		{ "under.example", A, BLOCK_PASS, 0 }, /* all under it, but not itself */
		{ "x.under.example", A, BLOCK_BLOCKED, ADS },
		{ "both.example", A | T, BLOCK_BLOCKED, ADS },
		{ "both.example", T, BLOCK_BLOCKED, TRACK },
		{ "x.both.example", A, BLOCK_PASS, 0 },
		{ "x.both.example", T, BLOCK_BLOCKED, TRACK },
		{ "good.t.example", T | G, BLOCK_ALLOWED, GOOD },
		{ "x.good.t.example", T | G, BLOCK_ALLOWED, GOOD },
		{ "good.t.example", T, BLOCK_BLOCKED, TRACK },
		{ "good.t.example", G, BLOCK_ALLOWED, GOOD },
		{ "r7.example", A, BLOCK_BLOCKED, ADS },
		{ "r7.example", T, BLOCK_PASS, 0 },
		{ "r7.example", A | G, BLOCK_BLOCKED, ADS },
		{ "r8.example", A | G, BLOCK_ALLOWED, GOOD },
		{ "example", A | T | G, BLOCK_PASS, 0 },
	};
	struct block *b = block_new(seed);
	struct dns_name root = { .len = 1 };
	unsigned list = 9;
	(void)state;
	assert_int_equal(block_judge(NULL, A, &root, NULL), BLOCK_PASS);
	assert_int_equal(block_list_add(b, "ads", false, &list), 0);
	assert_int_equal(list, ADS);
	assert_int_equal(block_list_add(b, "track", false, &list), 0);
	assert_int_equal(block_list_add(b, "good", true, &list), 0);
	assert_int_equal(block_judge(b, A, &root, NULL), BLOCK_PASS);
	add(b, ADS, "ads.example", BLOCK_NAME);
	add(b, TRACK, "t.example", BLOCK_NAME | BLOCK_BELOW);
	add(b, ADS, "under.example", BLOCK_BELOW);
	add(b, ADS, "both.example", BLOCK_NAME);
	add(b, TRACK, "both.example", BLOCK_NAME | BLOCK_BELOW);
	add(b, GOOD, "good.t.example", BLOCK_NAME | BLOCK_BELOW);
	assert_int_equal(block_add_regex(b, ADS, "^r[0-9]\\.", 9, NULL), 0);
	assert_int_equal(block_add_regex(b, GOOD, "^r8\\.", 5, NULL), 0);
	assert_true(block_add_regex(b, GOOD, "r8(", 3, NULL) < 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n = name_of(rows[i].name);
		unsigned by = 0;
		enum block_verdict v = block_judge(b, rows[i].lists, &n, &by);
		if (v != rows[i].verdict || by != rows[i].by)
			fail_msg("row %zu, %s: %d by %u", i, rows[i].name, (int)v, by);
		assert_int_equal(block_judge(b, rows[i].lists, &root, NULL), BLOCK_PASS);
	}
	assert_int_equal(block_names(b), 5);
	assert_string_equal(block_list_name(b, GOOD), "good");
	block_put(b);
}

static void test_bounds(void **state)
{
	struct block *b = block_new(seed);
	struct errbuf eb;
	char text[64];
	unsigned list;
	(void)state;
	for (unsigned i = 0; i < BLOCK_LISTS_MAX; i++)
		assert_int_equal(block_list_add(b, "a name of a list that is longer than one is kept, by far",
					 i & 1, &list),
			0);
	assert_int_equal(block_list_add(b, "x", false, &list), ERR_TOO_LARGE);
	assert_int_equal(strlen(block_list_name(b, 31)), BLOCK_LIST_NAME - 1);
	add(b, 30, "last.example", BLOCK_NAME);
	struct dns_name n = name_of("last.example");
	assert_int_equal(block_judge(b, UINT32_C(1) << 30, &n, &list), BLOCK_BLOCKED);
	assert_int_equal(list, 30);
	for (unsigned i = 0; i < BLOCK_REGEXES_MAX; i++) {
		snprintf(text, sizeof(text), "^x%u\\.", i);
		assert_int_equal(block_add_regex(b, 0, text, strlen(text), &eb), 0);
	}
	assert_int_equal(block_add_regex(b, 0, "y", 1, &eb), ERR_TOO_LARGE);
	assert_int_equal(block_add_regex(b, 0, "y(", 2, &eb), ERR_TOO_LARGE);
	block_put(b);
}

/* All of many are found, nothing else is, a name of two lists is there once, and each costs few bytes. */
static void test_many(void **state)
{
	enum { MANY = 100000 };
	struct block *b = block_new(seed);
	char text[64];
	unsigned list;
	(void)state;
	assert_int_equal(block_list_add(b, "one", false, &list), 0);
	assert_int_equal(block_list_add(b, "two", false, &list), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "host-%u.ads%u.example", i, i % 977);
		add(b, 0, text, BLOCK_NAME);
		if (i % 2)
			add(b, 1, text, BLOCK_NAME);
	}
	assert_int_equal(block_names(b), MANY);
	assert_true(block_bytes(b) < (size_t)MANY * 60);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "host-%u.ads%u.example", i, i % 977);
		struct dns_name n = name_of(text);
		assert_int_equal(block_judge(b, 1, &n, NULL), BLOCK_BLOCKED);
		assert_int_equal(block_judge(b, 2, &n, NULL), i % 2 ? BLOCK_BLOCKED : BLOCK_PASS);
		snprintf(text, sizeof(text), "host-%u.ads%u.example", i, (i + 1) % 977);
		n = name_of(text);
		assert_int_equal(block_judge(b, 3, &n, NULL), BLOCK_PASS);
	}
	block_put(block_get(b));
	assert_int_equal(block_names(b), MANY);
	block_put(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_judge), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
