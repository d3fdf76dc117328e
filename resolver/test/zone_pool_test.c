/* Pieces of a zone: whole, zeroed, of their own, used again, whatever their sizes. */
#include "resolver/zone_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 1500, STEPS = 40000, SIZE_MOST = 700 };

static bool is_all(const uint8_t *p, size_t n, uint8_t byte)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != byte)
			return false;
	return true;
}

static void test_pieces(void **state)
{
	static struct {
		uint8_t *p;
		size_t size;
	} have[PIECES];
	struct zone_pool pool = { 0 };
	unsigned seed = 1;
	(void)state;
	for (unsigned step = 0; step < STEPS; step++) {
		seed = seed * 1103515245 + 12345;
		unsigned i = (seed >> 8) % PIECES;
		uint8_t mine = (uint8_t)(i % 255 + 1);
		if (have[i].p) {
			assert_true(is_all(have[i].p, have[i].size, mine));
			zone_pool_put(&pool, have[i].p, have[i].size);
			have[i].p = NULL;
			continue;
		}
		have[i].size = (seed >> 4) % SIZE_MOST;
		have[i].p = zone_pool_get(&pool, have[i].size);
		assert_non_null(have[i].p);
		assert_int_equal((uintptr_t)have[i].p % sizeof(void *), 0);
		assert_true(is_all(have[i].p, have[i].size, 0));
		memset(have[i].p, mine, have[i].size);
	}
	zone_pool_put(&pool, NULL, 8);
	zone_pool_free(&pool);
	zone_pool_free(&pool);
}

/* What is given back is what comes next; a pool of which little is in use says so. */
static void test_again(void **state)
{
	enum { MANY = 20000, SIZE = 40 };
	static void *have[MANY];
	struct zone_pool pool = { 0 };
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			assert_non_null(have[i] = zone_pool_get(&pool, SIZE));
		assert_in_range(zone_pool_mapped(&pool), MANY * SIZE, MANY * SIZE * 5 / 4);
		assert_false(zone_pool_is_sparse(&pool));
		for (int i = 0; i < MANY; i++)
			zone_pool_put(&pool, have[i], SIZE);
		assert_true(zone_pool_is_sparse(&pool));
	}
	zone_pool_free(&pool);
	assert_false(zone_pool_is_sparse(&pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pieces), cmocka_unit_test(test_again) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
