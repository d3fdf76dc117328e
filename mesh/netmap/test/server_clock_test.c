#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/netmap/server_clock.h"

#define NOW (INT64_C(1790000000) * 1000)
#define MINUTE (INT64_C(60) * 1000)

/* How far our clock is from the server's, once that is known. */
static void test_apart(void **state)
{
	static const struct {
		int64_t told, wall;
		uint64_t apart;
	} rows[] = {
		{ INT64_MIN, NOW + 99 * MINUTE, 0 },
		{ 1000, NOW, 0 }, /* it has no clock */
		{ NOW, NOW, 0 },
		{ NOW, NOW + 10 * MINUTE - 1, 0 },
		{ NOW, NOW + 10 * MINUTE, 10 * MINUTE },
		{ NOW, NOW - 10 * MINUTE, 10 * MINUTE },
		{ NOW, NOW - 10 * MINUTE + 1, 0 },
		{ NOW, 0, NOW },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server_clock c = { 0 };
		server_clock_told(&c, rows[i].told, 5000);
		uint64_t apart = server_clock_apart(&c, 5000 + MINUTE, rows[i].wall + MINUTE);
		if (apart != rows[i].apart)
			fail_msg("row %zu: %llu", i, (unsigned long long)apart);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_apart) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
