/* Changes of the ways to peers, of which the newest are kept. */
#include "mesh/node/way_log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void add(struct way_log *l, int64_t when, uint64_t peer, const char *at, int32_t region)
{
	struct way_place to = { .region = region };
	if (at)
		assert_true(endpoint_parse(at, &to.at));
	way_log_add(l, when, peer, &to);
}

static void test_changes(void **state)
{
	struct way_log l = { NULL, 0 };
	size_t at = 0;
	(void)state;
	assert_null(way_log_next(&l, 7, &at));
	add(&l, 1, 7, NULL, 900);
	add(&l, 2, 8, "192.0.2.8:1", 0);
	add(&l, 3, 7, "192.0.2.7:1", 0);
	add(&l, 4, 7, "192.0.2.7:1", 0); /* as it was */
	add(&l, 5, 7, "192.0.2.7:2", 0);
	const struct way_change *c = way_log_next(&l, 7, &at);
	assert_true(
		c->unix_ms == 1 && !c->from.region && !endpoint_is_set(&c->from.at) && c->to.region == 900);
	c = way_log_next(&l, 7, &at);
	assert_true(c->unix_ms == 3 && c->from.region == 900 && c->to.at.port == 1 && !c->to.region);
	c = way_log_next(&l, 7, &at);
	assert_true(c->unix_ms == 5 && c->from.at.port == 1 && c->to.at.port == 2);
	assert_null(way_log_next(&l, 7, &at));
	way_log_fini(&l);
}

/* A peer whose way changes all the time pushes the others out, and takes no more memory. */
static void test_bound(void **state)
{
	struct way_log l = { NULL, 0 };
	size_t at = 0, n = 0;
	(void)state;
	add(&l, 1, 8, NULL, 900);
	for (int i = 0; i < 3 * WAY_LOG_MAX; i++)
		add(&l, 2 + i, 7, NULL, 1 + i % 2);
	assert_null(way_log_next(&l, 8, &at));
	at = 0;
	for (const struct way_change *c; (c = way_log_next(&l, 7, &at)); n++)
		assert_int_equal(c->unix_ms, 2 + 2 * WAY_LOG_MAX + (int)n);
	assert_int_equal(n, WAY_LOG_MAX);
	way_log_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_changes), cmocka_unit_test(test_bound) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
