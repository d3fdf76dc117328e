/* Sets and bags of addresses, against a slow one: each step of a long random walk. */
#include "mesh/node/host/addr_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { ADDRESSES = 40, STEPS = 5000 };

/* Both families, and neighbours that differ in the first or in the last byte alone. */
static struct addr address(unsigned i)
{
	struct addr six = { { 0xfd, 0x7a, [15] = (uint8_t)i } };
	if (i % 4 == 0)
		six.b[7] = (uint8_t)i;
	return i % 2 ? addr_v4(0x64400000 + i) : six;
}

static void check_order(const struct addr *v, size_t n, bool repeats)
{
	for (size_t i = 1; i < n; i++)
		assert_true(memcmp(v[i - 1].b, v[i].b, 16) < (repeats ? 1 : 0));
}

static void test_walk(void **state)
{
	struct addr_set s = { 0 };
	struct addr_bag b = { 0 };
	unsigned count[ADDRESSES] = { 0 }, all = 0, random = 1;
	(void)state;
	for (int step = 0; step < STEPS; step++) {
		random = random * 1103515245 + 12345;
		unsigned i = random >> 16 & 63;
		bool add = random >> 24 & 1;
		struct addr a = address(i % ADDRESSES);
		unsigned *c = &count[i % ADDRESSES];
		if (add) {
			assert_true(addr_set_add(&s, &a) && addr_bag_add(&b, &a));
			++*c;
			all++;
		} else {
			addr_set_remove(&s, &a);
			while (*c && addr_bag_has(&b, &a)) {
				addr_bag_remove(&b, &a);
				--*c;
				all--;
			}
			addr_bag_remove(&b, &a);
		}
		size_t n = 0;
		for (unsigned k = 0; k < ADDRESSES; k++) {
			struct addr x = address(k);
			assert_int_equal(addr_set_has(&s, &x), count[k] > 0);
			assert_int_equal(addr_bag_has(&b, &x), count[k] > 0);
			n += count[k] > 0;
		}
		assert_int_equal(s.n, n);
		assert_int_equal(b.n, all);
		check_order(s.v, s.n, false);
		check_order(b.v, b.n, true);
	}
	addr_set_free(&s);
	addr_bag_free(&b);
}

/* Told whole, in any order. */
static void test_assign(void **state)
{
	struct addr v[2 * ADDRESSES];
	struct addr_set s = { 0 }, half = { 0 }, out = { 0 };
	struct addr_bag b = { 0 };
	(void)state;
	for (unsigned i = 0; i < ADDRESSES; i++)
		v[i] = v[2 * ADDRESSES - 1 - i] = address(i);
	assert_true(addr_set_assign(&s, v, 2 * ADDRESSES) && addr_bag_assign(&b, v, 2 * ADDRESSES));
	assert_int_equal(s.n, ADDRESSES);
	assert_int_equal(b.n, 2 * ADDRESSES);
	check_order(s.v, s.n, false);
	check_order(b.v, b.n, true);
	assert_true(addr_set_assign(&half, v, ADDRESSES / 2));
	assert_true(addr_set_minus(&s, &half, &out));
	assert_int_equal(out.n, ADDRESSES - ADDRESSES / 2);
	addr_set_free(&out);
	assert_true(addr_set_common(&half, &s, &out) && addr_set_equal(&half, &out));
	addr_set_free(&out);
	addr_set_free(&half);
	addr_set_free(&s);
	addr_bag_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_assign),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
