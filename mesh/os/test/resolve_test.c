#include "mesh/os/resolve.h"
#include "mesh/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct seen {
	struct loop *loop;
	int calls, code;
	size_t n;
	struct endpoint first;
};

static void resolved(void *arg, int code, const struct endpoint *at, size_t n, const char *why)
{
	struct seen *s = arg;
	assert_non_null(why);
	s->calls++;
	s->code = code;
	s->n = n;
	if (n)
		s->first = at[0];
	loop_stop(s->loop);
}

static void test_literals(void **state)
{
	static const char *const rows[] = { "127.0.0.1", "::1", "192.0.2.7", "localhost" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr want;
		struct seen s = { .loop = loop_new() };
		assert_non_null(resolve_start(s.loop, rows[i], resolved, &s));
		assert_int_equal(s.calls, 0);
		loop_run(s.loop);
		assert_int_equal(s.calls, 1);
		assert_int_equal(s.code, 0);
		assert_true(s.n >= 1);
		assert_int_equal(s.first.port, 0);
		if (addr_parse(rows[i], &want))
			assert_true(addr_equal(&s.first.ip, &want));
		else
			assert_true(addr_is_loopback(&s.first.ip));
		loop_free(s.loop);
	}
}

static void test_cancel(void **state)
{
	struct seen s = { .loop = loop_new() };
	(void)state;
	struct resolve *r = resolve_start(s.loop, "127.0.0.1", resolved, &s);
	resolve_cancel(r);
	resolve_cancel(NULL);
	loop_run(s.loop);
	assert_int_equal(s.calls, 0);
	loop_free(s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_literals), cmocka_unit_test(test_cancel) };
	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
