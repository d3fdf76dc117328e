/* How often somebody may ask, and who is not counted. */
#include "resolver/listen.h"
#include "resolver/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { PER_S = 2, BURST = PER_S * RATE_BURST_S, NOW = 5000 };
static const struct addr us = { { [10] = 0xff, 0xff, 127, 0, 0, 1 } },
			 box = { { [10] = 0xff, 0xff, 172, 18, 0, 2 } },
			 other = { { [10] = 0xff, 0xff, 172, 18, 0, 3 } };

static bool is_us(void *arg, const struct addr *from)
{
	++*(unsigned *)arg;
	return addr_equal(from, &us);
}

static unsigned taken(struct resolver_server *s, const struct addr *from)
{
	unsigned n = 0;
	for (unsigned i = 0; i < 2 * BURST; i++)
		n += server_takes(s, from, NOW);
	return n;
}

static void test_unlimited(void **state)
{
	struct loop *l = loop_new();
	struct endpoint at = { .ip = us };
	unsigned asked = 0;
	struct resolver_server_options o = { .at = &at, .n = 1, .unlimited = is_us, .arg = &asked };
	struct errbuf eb = { 0 };
	(void)state;
	struct resolver_server *s = resolver_server_open(l, &o, &eb);
	if (!s)
		fail_msg("%s", eb.text);
	assert_int_equal(taken(s, &box), 2 * BURST); /* nobody is counted where there is no limit */
	assert_int_equal(asked, 0);
	assert_int_equal(resolver_server_rate_limit(s), 0);
	assert_int_equal(resolver_server_rate(s, PER_S, &eb), 0);
	assert_int_equal(resolver_server_rate_limit(s), PER_S);
	assert_int_equal(taken(s, &us), 2 * BURST);
	assert_int_equal(taken(s, &box), BURST);
	assert_int_equal(taken(s, &other), BURST);
	resolver_server_close(s);
	o.unlimited = NULL;
	assert_non_null(s = resolver_server_open(l, &o, &eb));
	assert_int_equal(resolver_server_rate(s, PER_S, &eb), 0);
	assert_int_equal(taken(s, &us), BURST);
	resolver_server_close(s);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_unlimited) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
