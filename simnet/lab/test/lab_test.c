/* What is judged without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/lab/lab.h"
#include <errno.h>
#include <string.h>

/* Who fails at once has not waited; who was killed, or could not be run, has not judged. */
static void test_gave_up(void **state)
{
	enum { KILLED = 128 + 9 };
	static const struct {
		int status;
		uint64_t took_ms;
		bool may;
	} rows[] = {
		{ 0, 9000, false },
		{ 1, 0, false },
		{ 1, 499, false },
		{ 1, 500, true },
		{ 125, 9000, true },
		{ 126, 9000, false },
		{ 127, 9000, false },
		{ KILLED, 9000, false },
		{ -ETIMEDOUT, 9000, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (lab_may_have_given_up(rows[i].status, rows[i].took_ms) != rows[i].may)
			fail_msg("row %zu", i);
}

static void test_short_of(void **state)
{
	(void)state;
	assert_non_null(strstr(lab_short_of(-EMFILE), "ulimit -n"));
	assert_non_null(strstr(lab_short_of(-EAGAIN), "ulimit -u"));
	assert_non_null(lab_short_of(-ENFILE));
	assert_null(lab_short_of(0));
	assert_null(lab_short_of(-ETIMEDOUT));
	assert_null(lab_short_of(ERR_REFUSED));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_gave_up), cmocka_unit_test(test_short_of) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
