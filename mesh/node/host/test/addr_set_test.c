/* Sets and bags of addresses, against a slow one: each step of a long random walk. */
#include "mesh/node/host/addr_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { ADDRESSES = 200, STEPS = 5000, ALL_STEPS = 150 }; /* more than wait in a bag */

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

/* All are there, as often as they shall be, and in their order. */
static void check_bag(struct addr_bag *b, const unsigned count[ADDRESSES], unsigned n)
{
	const struct addr_set all = addr_bag_all(b);
	assert_int_equal(all.n, n);
	check_order(all.v, all.n, true);
	for (unsigned k = 0; k < ADDRESSES; k++) {
		struct addr x = address(k);
		unsigned times = 0;
		for (size_t i = 0; i < all.n; i++)
			times += addr_equal(&all.v[i], &x);
		assert_int_equal(times, count[k]);
	}
}

/* One that changes in a big bag waits beside the others, which stay where they are. */
static void test_waits(void **state)
{
	struct addr v[ADDRESSES];
	struct addr_bag b = { 0 };
	(void)state;
	for (unsigned i = 0; i < ADDRESSES; i++)
		v[i] = address(i);
	assert_true(addr_bag_assign(&b, v, ADDRESSES));
	assert_true(addr_bag_add(&b, &v[0]));
	const struct addr *many = b.v;
	for (unsigned i = 1; i < ADDR_BAG_LATE; i++) {
		addr_bag_remove(&b, &v[i]);
		assert_false(addr_bag_has(&b, &v[i]));
	}
	assert_ptr_equal(b.v, many);
	assert_int_equal(b.n, ADDRESSES);
	assert_int_equal(addr_bag_all(&b).n, ADDRESSES + 2 - ADDR_BAG_LATE);
	addr_bag_free(&b);
}

static void test_walk(void **state)
{
	struct addr_bag b = { 0 };
	unsigned count[ADDRESSES] = { 0 }, all = 0, random = 1;
	(void)state;
	for (int step = 0; step < STEPS; step++) {
		random = random * 1103515245 + 12345;
		unsigned i = random >> 16 & 255;
		bool add = random >> 24 & 1, whole = step % ALL_STEPS == 0;
		struct addr a = address(i % ADDRESSES);
		unsigned *c = &count[i % ADDRESSES];
		if (add) {
			assert_true(addr_bag_add(&b, &a));
			++*c;
			all++;
		} else {
			while (*c && addr_bag_has(&b, &a)) {
				addr_bag_remove(&b, &a);
				--*c;
				all--;
			}
			addr_bag_remove(&b, &a);
		}
		for (unsigned k = 0; k < ADDRESSES; k++) {
			struct addr x = address(k);
			assert_int_equal(addr_bag_has(&b, &x), count[k] > 0);
		}
		if (whole)
			check_bag(&b, count, all);
	}
	addr_bag_free(&b);
}

/* A set one by one, each twice. */
static void test_add(void **state)
{
	struct addr_set s = { 0 };
	(void)state;
	for (unsigned i = 0; i < 2 * ADDRESSES; i++) {
		struct addr a = address(i * 77 % ADDRESSES), next = address((i + 1) * 77 % ADDRESSES);
		assert_true(addr_set_add(&s, &a));
		assert_true(addr_set_has(&s, &a));
		assert_int_equal(addr_set_has(&s, &next), i + 1 >= ADDRESSES);
		assert_int_equal(s.n, i < ADDRESSES ? i + 1 : ADDRESSES);
		check_order(s.v, s.n, false);
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct addr a = address(i * 77 % ADDRESSES), next = address((i + 1) * 77 % ADDRESSES);
		addr_set_remove(&s, &a);
		addr_set_remove(&s, &a);
		assert_int_equal(s.n, ADDRESSES - 1 - i);
		assert_false(addr_set_has(&s, &a));
		assert_int_equal(addr_set_has(&s, &next), i + 1 < ADDRESSES);
		check_order(s.v, s.n, false);
	}
	addr_set_free(&s);
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
	const struct addr_set all = addr_bag_all(&b);
	assert_int_equal(all.n, 2 * ADDRESSES);
	check_order(s.v, s.n, false);
	check_order(all.v, all.n, true);
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
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_assign),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
