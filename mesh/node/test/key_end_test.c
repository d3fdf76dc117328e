#include "mesh/node/key_end.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const int64_t hour = 3600000, now = 1700000000000;

static void test_stages(void **state)
{
	(void)state;
	static const struct {
		int64_t left_ms;
		unsigned stage;
		const char *text; /* begins with; NULL: none */
	} rows[] = {
		{ 15 * 24 * 3600000ll, 0, NULL },
		{ 14 * 24 * 3600000ll + 1, 0, NULL },
		{ 14 * 24 * 3600000ll, 14,
			"The key of this machine ends in 14 days (2023-11-28T22:13:20Z)." },
		{ 3 * 24 * 3600000ll + 1, 14, "The key of this machine ends in 3 days" },
		{ 3 * 24 * 3600000ll, 3, "The key of this machine ends in 3 days" },
		{ 25 * 3600000ll, 3, "The key of this machine ends in 1 day " },
		{ 24 * 3600000ll, 1, "The key of this machine ends in 1 day " },
		{ 2 * 3600000ll, 1, "The key of this machine ends in 2 hours" },
		{ 3600000ll, 1, "The key of this machine ends in 1 hour " },
		{ 119000, 1, "The key of this machine ends in 1 minute " },
		{ 1, 1, "The key of this machine ends in 0 seconds" },
		{ 0, 0, NULL },
		{ -1, 0, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[KEY_END_TEXT];
		key_end_text(now + rows[i].left_ms, now, text);
		bool said = rows[i].text ? strncmp(text, rows[i].text, strlen(rows[i].text)) == 0 : !text[0];
		if (key_end_stage(now + rows[i].left_ms, now) != rows[i].stage || !said)
			fail_msg("row %zu: %u %s", i, key_end_stage(now + rows[i].left_ms, now), text);
	}
	assert_int_equal(key_end_stage(INT64_MIN, now), 0);
	assert_int_equal(key_end_stage(INT64_MAX, now - hour), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stages) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
