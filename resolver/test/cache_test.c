#include "resolver/cache.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t seed[2] = { 1, 2 };

static struct dns_name name_of(unsigned i)
{
	struct dns_name n;
	char text[32];
	snprintf(text, sizeof(text), "n%u.example", i);
	assert_true(dns_name_parse(text, &n));
	return n;
}

static void test_keys(void **state)
{
	struct cache *c = cache_new(1 << 20, seed);
	struct dns_name a = name_of(1), b = name_of(2);
	const struct cache_key base = { .split = 1, .name = &a, .type = 1 };
	struct cache_key others[5] = { base, base, base, base, base };
	struct cache_item got;
	(void)state;
	others[0].split = 2;
	others[1].name = &b;
	others[2].type = 257;
	others[3].dnssec_ok = true;
	others[4].checking_disabled = true;
	cache_put(c, &base, 1000, (struct cache_life) { 10, 0 }, (const uint8_t *)"base", 4);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(cache_find(c, &others[i], 1000, &got));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		cache_put(c, &others[i], 1000, (struct cache_life) { 10, 0 }, (const uint8_t *)"other", 5);
	assert_true(cache_find(c, &base, 1000, &got));
	assert_int_equal(got.len, 4);
	cache_put(c, &base, 1000, (struct cache_life) { 10, 0 }, (const uint8_t *)"newer", 5);
	assert_true(cache_find(c, &base, 1000, &got));
	assert_memory_equal(got.msg, "newer", 5);
	cache_free(c);
}

static void test_age(void **state)
{
	struct cache *c = cache_new(1 << 20, seed);
	struct dns_name a = name_of(1);
	struct cache_key k = { .name = &a };
	struct cache_item got;
	(void)state;
	cache_put(c, &k, 5000, (struct cache_life) { 10, 0 }, (const uint8_t *)"x", 1);
	assert_true(cache_find(c, &k, 5999, &got));
	assert_int_equal(got.age_s, 0);
	assert_true(cache_find(c, &k, 14999, &got));
	assert_int_equal(got.age_s, 9);
	assert_false(cache_find(c, &k, 15000, &got));
	assert_int_equal(cache_bytes(c), 0);
	cache_put(c, &k, 5000, (struct cache_life) { 0, 0 }, (const uint8_t *)"x", 1);
	assert_false(cache_find(c, &k, 5000, &got));
	cache_free(c);
}

static void test_bounds(void **state)
{
	enum { BYTES = 64 << 10, MANY = 5000 };
	static uint8_t big[BYTES];
	struct cache *c = cache_new(BYTES, seed);
	struct cache_item got;
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct dns_name n = name_of(i), first = name_of(0);
		struct cache_key k = { .name = &n }, keep = { .name = &first };
		cache_put(c, &k, 1000, (struct cache_life) { 100, 0 }, big, 100);
		assert_true(cache_bytes(c) <= BYTES);
		assert_true(cache_find(c, &keep, 1000, &got)); /* used all the time: it stays */
	}
	struct dns_name last = name_of(MANY - 1), old = name_of(1);
	assert_true(cache_find(c, &(struct cache_key) { .name = &last }, 1000, &got));
	assert_false(cache_find(c, &(struct cache_key) { .name = &old }, 1000, &got));
	cache_put(c, &(struct cache_key) { .name = &old }, 1000, (struct cache_life) { 100, 0 }, big,
		BYTES / 4); /* one may not push out the rest */
	assert_false(cache_find(c, &(struct cache_key) { .name = &old }, 1000, &got));
	assert_true(cache_find(c, &(struct cache_key) { .name = &last }, 1000, &got));
	cache_resize(c, 1000);
	assert_true(cache_bytes(c) <= 1000);
	cache_free(c);
}

/* A new size keeps what is there, and finds it as fast as before. */
static void test_resize(void **state)
{
	enum { MANY = 2000 };
	static const size_t sizes[] = { 64 << 20, 1 << 20, 8 << 20 };
	struct cache *c = cache_new(1 << 20, seed);
	struct cache_item got;
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct dns_name n = name_of(i);
		cache_put(c, &(struct cache_key) { .name = &n }, 1000, (struct cache_life) { 100, 0 },
			(const uint8_t *)&i, sizeof(i));
	}
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		cache_resize(c, sizes[s]);
		assert_in_range(cache_buckets(c), sizes[s] / 1024, sizes[s] / 256);
		for (unsigned i = 0; i < MANY; i++) {
			struct dns_name n = name_of(i);
			assert_true(cache_find(c, &(struct cache_key) { .name = &n }, 1000, &got));
			assert_memory_equal(got.msg, &i, sizeof(i));
		}
	}
	cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_age),
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_resize) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
