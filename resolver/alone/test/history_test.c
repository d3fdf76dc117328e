#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resolver/alone/history.h"

enum { LAST = HISTORY_SLOTS - 1 };
#define HOUR INT64_C(3600000)

static void test_day(void **state)
{
	struct history h = { 0 };
	struct resolver_stats s = { .queries = 10, .blocked = 3 };
	int64_t now = 1800000000000;
	(void)state;
	history_count(&h, &s, now);
	s.queries = 12;
	s.blocked = 4;
	history_count(&h, &s, now + 1000); /* of the same ten minutes */
	assert_int_equal(history_at(&h, LAST, now).queries, 12);
	assert_int_equal(history_at(&h, LAST, now).blocked, 4);
	s.queries = 20;
	history_count(&h, &s, now + HOUR);
	assert_int_equal(history_at(&h, LAST, now + HOUR).queries, 8);
	assert_int_equal(history_at(&h, LAST, now + HOUR).blocked, 0);
	assert_int_equal(history_at(&h, LAST - 6, now + HOUR).queries, 12);
	assert_int_equal(history_at(&h, LAST - 5, now + HOUR).queries, 0);
	/* A day later the place is another's, and what is older than a day is not shown. */
	history_count(&h, &s, now + 24 * HOUR);
	assert_int_equal(history_at(&h, LAST, now + 24 * HOUR).queries, 0);
	assert_int_equal(history_at(&h, 5, now + 24 * HOUR).queries, 8);
	assert_int_equal(history_at(&h, 0, now + 24 * HOUR).queries, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_day) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
