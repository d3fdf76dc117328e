/* When the self-test asks again, and when it gives up. */
#include "simnet/fabric/kernel/kernel_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How often it asks again, and when it has given up. */
static unsigned play(double slow, uint64_t late_ms, uint64_t *end_ms)
{
	struct pace p;
	unsigned n = 0;
	uint64_t now = 1000;
	pace_begin(&p, now);
	for (;; n++) {
		assert_true(p.again_ms > now && p.again_ms <= now + PACE_AGAIN_MOST_MS);
		now = p.again_ms + late_ms;
		if (!pace_goes_on(&p, now, slow))
			break;
		assert_true(n < 1000);
	}
	*end_ms = now - 1000;
	return n;
}

static void test_bound(void **state)
{
	static const struct {
		double slow;
		uint64_t late_ms, least_ms;
	} rows[] = { { 1, 0, 4000 }, { 0, 0, 4000 }, { 2, 0, 8000 }, { 2.5, 30, 10000 }, { 4, 0, 16000 },
		{ 1000, 0, 16000 } };
	uint64_t end;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned n = play(rows[i].slow, rows[i].late_ms, &end);
		if (end < rows[i].least_ms || end > rows[i].least_ms + 1100 || n < 4)
			fail_msg(
				"row %zu: asked %u times, over after %llu ms", i, n, (unsigned long long)end);
	}
}

/* A moment of crowd in a quiet time does not make the whole of it long. */
static void test_a_moment_of_crowd(void **state)
{
	struct pace p;
	(void)state;
	pace_begin(&p, 0);
	assert_true(pace_goes_on(&p, 250, 4));
	for (uint64_t now = 1000; now <= 4000; now += 1000)
		assert_true(pace_goes_on(&p, now, 1));
	assert_false(pace_goes_on(&p, 6500, 1));
}

/* Nothing is doubted whose bound was stretched as much as the machine was slow. */
static void test_doubt(void **state)
{
	static const struct {
		double slow[3], doubt;
	} rows[] = { { { 1, 1, 1 }, 0 }, { { 4, 4, 4 }, 0 }, { { 20, 20, 20 }, 20 }, { { 1, 10, 4 }, 5 },
		{ { 20, 1, 1 }, 22 / 3.0 }, { { 6, 1, 1 }, 0 } };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pace p;
		pace_begin(&p, 0);
		assert_true(pace_doubt(&p) < 1);
		for (size_t k = 0; k < 3; k++)
			(void)pace_goes_on(&p, 250 * (k + 1), rows[i].slow[k]);
		assert_true(pace_doubt(&p) > rows[i].doubt - 0.01 && pace_doubt(&p) < rows[i].doubt + 0.01);
	}
}

static void test_strays(void **state)
{
	static const uint64_t rows[][2] = { { 0, 15 }, { 15, 15 }, { 90, 90 }, { 500, 500 }, { 9000, 500 } };
	struct pace p;
	(void)state;
	pace_begin(&p, 70);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pace_stray_ms(&p, 70 + rows[i][0]), rows[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_a_moment_of_crowd),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_strays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
