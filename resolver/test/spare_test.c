#include "resolver/spare.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

enum { SIZE = 100, MANY = SPARES_MAX + 10 };

/* What was given back comes again, and no more of it is kept than that. */
static void test_kept(void **state)
{
	struct spares s = { 0 };
	void *pieces[MANY], *again = NULL;
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		pieces[i] = spare_get(&s, SIZE);
		assert_non_null(pieces[i]);
		memset(pieces[i], 0xff, SIZE);
	}
	for (unsigned i = 0; i < MANY; i++)
		spare_put(&s, pieces[i], SIZE);
	assert_int_equal(s.n, SPARES_MAX);
	for (unsigned i = SPARES_MAX; i-- > 0;) {
		again = spare_get(&s, SIZE);
		assert_ptr_equal(again, pieces[i]);
		memset(again, 0, SIZE);
		free(again);
	}
	assert_int_equal(s.n, 0);
	again = spare_get(&s, SIZE);
	spare_put(&s, again, SIZE);
	spares_free(&s, SIZE);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
