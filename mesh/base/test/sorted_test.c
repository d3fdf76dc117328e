#include "mesh/base/sorted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static bool before(const void *v, size_t i, const void *key)
{
	return ((const int *)v)[i] < *(const int *)key;
}

/* Every length from none up, every place: on an element, between two, at both ends. */
static void test_places(void **state)
{
	int v[9];
	(void)state;
	for (int i = 0; i < 9; i++)
		v[i] = 2 * i;
	for (size_t n = 0; n <= 9; n++) {
		for (int key = -1; key <= 2 * (int)n; key++) {
			size_t want = 0;
			while (want < n && v[want] < key)
				want++;
			if (sorted_before(v, n, &key, before) != want)
				fail_msg("%zu elements, key %d", n, key);
		}
	}
}

/* Equal elements: the first of them. */
static void test_equal(void **state)
{
	static const int v[] = { 1, 2, 2, 2, 3 };
	int key = 2;
	(void)state;
	assert_int_equal(sorted_before(v, 5, &key, before), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places), cmocka_unit_test(test_equal) };
	return cmocka_run_group_tests_name("sorted", tests, NULL, NULL);
}
