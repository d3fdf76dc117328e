/* Lines that are kept are fit to be shown, wherever they are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/text.h"
#include "mesh/control/http/log_ring.h"
#include <string.h>

static void test_cut(void **state)
{
	struct log_ring *r = log_ring_new();
	struct log_ring_line l;
	(void)state;
	assert_non_null(r);
	for (int len = LOG_RING_TEXT - 4; len <= LOG_RING_TEXT; len++) {
		char as_is[LOG_RING_TEXT];
		log_warn("%0*d\xe2\x82\xac\xe2\x82\xac", len, 0);
		assert_true(log_ring_get(r, log_ring_last(r), &l));
		assert_true(strlen(l.text) <= LOG_RING_TEXT - 1);
		strcpy(as_is, l.text);
		text_clean(as_is);
		assert_string_equal(l.text, as_is);
	}
	log_ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cut) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
