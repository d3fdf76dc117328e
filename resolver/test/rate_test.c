/* Who asks too much, and who does not pay for it. */
#include "resolver/rate.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static const uint64_t seed[2] = { 1, 2 };

static unsigned ask(struct rate *r, const struct addr *client, uint64_t now_ms, unsigned n)
{
	unsigned taken = 0;
	for (unsigned i = 0; i < n; i++)
		taken += rate_take(r, client, now_ms);
	return taken;
}

static void test_rate(void **state)
{
	struct rate *r = rate_new(20, seed);
	struct addr a = addr_v4(0x0a000001), b = addr_v4(0x0a000002);
	uint64_t at = 5000;
	(void)state;
	assert_int_equal(ask(r, &a, at, 1000), 200); /* those of ten seconds */
	assert_int_equal(ask(r, &b, at, 10), 10);    /* another's own */
	assert_int_equal(ask(r, &a, at + 49, 1), 0);
	assert_int_equal(ask(r, &a, at + 50, 2), 1);
	assert_int_equal(ask(r, &a, at + 1050, 1000), 20);
	assert_int_equal(ask(r, &a, at + 1050 + 3600000, 1000), 200);
	for (uint64_t ms = 0; ms < 60000; ms += 50) /* as much as it may, for ever */
		assert_int_equal(ask(r, &b, at + 100 + ms, 1), 1);
	rate_free(r);
}

/* A host has a whole /64 to ask from. */
static void test_networks(void **state)
{
	struct rate *r = rate_new(1, seed);
	struct addr a, b, c;
	(void)state;
	assert_true(addr_parse("2001:db8::1", &a) && addr_parse("2001:db8::ffff:2", &b) &&
		    addr_parse("2001:db8:0:1::1", &c));
	assert_int_equal(ask(r, &a, 1, 20), 10);
	assert_int_equal(ask(r, &b, 1, 20), 0);
	assert_int_equal(ask(r, &c, 1, 20), 10);
	rate_free(r);
}

/* More clients than places: nobody is refused for what others asked. */
static void test_many(void **state)
{
	struct rate *r = rate_new(1, seed);
	(void)state;
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 4 * RATE_CLIENTS; i++) {
			struct addr a = addr_v4(0x0a000000 + i);
			assert_true(rate_take(r, &a, 100 + round));
		}
	rate_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rate), cmocka_unit_test(test_networks),
		cmocka_unit_test(test_many) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
