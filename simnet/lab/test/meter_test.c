#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/lab/meter.h"

/* Probes every 25 ms from `from`; those in [lost_from, lost_to) are not answered, others after 10 ms. */
static void traffic(struct meter *m, uint64_t from, uint64_t to, uint64_t lost_from, uint64_t lost_to)
{
	for (uint64_t t = from; t < to; t += 25) {
		uint32_t seq;
		assert_true(meter_sent(m, t, &seq));
		if (t < lost_from || t >= lost_to)
			assert_true(meter_received(m, seq, t + 10));
	}
}

static void test_meter(void **state)
{
	struct meter m = { 0 };
	struct meter_cost c;
	(void)state;

	c = meter_read(&m, 5000);
	assert_int_equal(c.sent + c.lost + c.longest_gap_ms, 0);
	meter_set_mark(&m, 1000);
	traffic(&m, 1000, 2000, 0, 0);
	c = meter_read(&m, 2000);
	assert_int_equal(c.sent, 40);
	assert_int_equal(c.answered, 40);
	assert_int_equal(c.lost, 0);
	assert_int_equal(c.longest_gap_ms, 25);

	meter_set_mark(&m, 2000); /* the event: 500 ms of nothing */
	traffic(&m, 2000, 4000, 2000, 2500);
	c = meter_read(&m, 4000);
	assert_int_equal(c.sent, 80);
	assert_int_equal(c.lost, 20);
	assert_int_equal(c.longest_gap_ms, 2510 - 1985);

	meter_set_mark(&m, 4000); /* what went before does not count */
	c = meter_read(&m, 4010);
	assert_int_equal(c.sent, 0);
	assert_int_equal(c.lost, 0);
	traffic(&m, 4000, 4100, 4000, 4100);
	c = meter_read(&m, 4100);
	assert_int_equal(c.lost, 0); /* still on their way */
	assert_int_equal(c.longest_gap_ms, 4100 - 3985);
	c = meter_read(&m, 6000);
	assert_int_equal(c.lost, 4);
	assert_int_equal(c.longest_gap_ms, 6000 - 3985);

	assert_false(meter_received(&m, 0, 6000)); /* twice */
	assert_false(meter_received(&m, 99999, 6000));
	meter_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
