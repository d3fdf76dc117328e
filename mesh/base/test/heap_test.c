#include "mesh/base/heap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <cmocka.h>

enum { ITEMS = 50, STEPS = 20000 };

struct owner {
	int before; /* so that the item does not stand at the beginning */
	struct heap_item timer;
};

static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Random puts, moves and removals; after each the first is the smallest of those that are in, and all know their place. */
static void test_order(void **state)
{
	struct owner o[ITEMS] = { 0 };
	struct heap_item *room[ITEMS];
	struct heap h = { .v = room };
	bool in[ITEMS] = { false };
	uint32_t x = 7;
	(void)state;
	for (int step = 0; step < STEPS; step++) {
		unsigned i = next(&x) % ITEMS;
		in[i] = next(&x) % 4 != 0;
		if (in[i])
			heap_set(&h, &o[i].timer, next(&x) % 100);
		else
			heap_remove(&h, &o[i].timer);
		uint64_t least = UINT64_MAX;
		size_t n = 0;
		for (unsigned k = 0; k < ITEMS; k++) {
			n += in[k];
			assert_int_equal(o[k].timer.at != 0, in[k]);
			if (in[k]) {
				assert_ptr_equal(h.v[o[k].timer.at - 1], &o[k].timer);
				least = o[k].timer.due_ms < least ? o[k].timer.due_ms : least;
			}
		}
		assert_int_equal(h.n, n);
		if (n)
			assert_int_equal(h.v[0]->due_ms, least);
	}
	struct owner *first = heap_owner(&o[3].timer, struct owner, timer);
	assert_ptr_equal(first, &o[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };
	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
