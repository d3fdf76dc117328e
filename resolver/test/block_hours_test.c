/* When a list holds: as it is written, at its edges, over midnight. */
#include "resolver/block_hours.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

enum { SUN, MON, TUE, WED, THU, FRI, SAT };

static void test_hold(void **state)
{
	static const struct {
		const char *text;
		unsigned day, minute;
		bool holds;
	} rows[] = {
		{ "08:00-16:00", SUN, 8 * 60 - 1, false },
		{ "08:00-16:00", SUN, 8 * 60, true },
		{ "08:00-16:00", WED, 16 * 60 - 1, true },
		{ "08:00-16:00", WED, 16 * 60, false },
		{ "00:00-24:00", SAT, 0, true },
		{ "00:00-24:00", SAT, 24 * 60 - 1, true },
		{ "mon-fri 08:00-16:00", MON, 600, true },
		{ "mon-fri 08:00-16:00", FRI, 600, true },
		{ "mon-fri 08:00-16:00", SAT, 600, false },
		{ "sat-mon 08:00-16:00", SUN, 600, true },
		{ "sat-mon 08:00-16:00", TUE, 600, false },
		{ "Tue,thu 08:00-16:00", THU, 600, true },
		{ "Tue,thu 08:00-16:00", WED, 600, false },
		{ "22:00-07:00", MON, 23 * 60, true },
		{ "22:00-07:00", MON, 6 * 60, true },
		{ "22:00-07:00", MON, 7 * 60, false },
		{ "fri 22:00-07:00", SAT, 6 * 60, true },
		{ "fri 22:00-07:00", FRI, 6 * 60, false },
		{ "sat 22:00-07:00", SUN, 6 * 60, true },
		{ "sat 22:00-07:00", SUN, 23 * 60, false },
	};
	struct block_hours h;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!block_hours_parse(rows[i].text, &h) ||
			block_hours_hold(&h, rows[i].day, rows[i].minute) != rows[i].holds)
			fail_msg("row %zu: %s", i, rows[i].text);
}

static void test_wrong(void **state)
{
	static const char *const rows[] = { "", "8:00-16:00", "08:00", "08:00-", "08:00-16:00 ",
		"08:60-16:00", "24:01-08:00", "08:00-08:00", "mon", "mon 08:00", "monday 08:00-16:00",
		"mon- 08:00-16:00", "mon, 08:00-16:00", "mon08:00-16:00", "08:00-16:00x", "xyz 08:00-16:00" };
	struct block_hours h;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (block_hours_parse(rows[i], &h))
			fail_msg("row %zu: %s", i, rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hold), cmocka_unit_test(test_wrong) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
