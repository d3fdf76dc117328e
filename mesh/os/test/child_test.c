#include "mesh/os/child.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { LONG_MS = 20000 };

static const char *const copy[] = { "sh", "-c", "test \"$(cat)\" = hello", NULL };
static const char *const complain[] = { "sh", "-c", "echo line one >&2; echo two >&2; exit 3", NULL };
static const char *const hang[] = { "sleep", "60", NULL };
static const char *const nobody[] = { "no-such-program-here", NULL };

static void test_run(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(child_run(copy, "hello", 5, LONG_MS, &eb), 0);
	assert_int_equal(child_run(copy, "other", 5, LONG_MS, &eb), ERR_REFUSED);
	assert_int_equal(child_run(complain, NULL, 0, LONG_MS, &eb), ERR_REFUSED);
	assert_string_equal(eb.text, "sh failed: line one");
	assert_int_equal(child_run(hang, NULL, 0, 20, &eb), -ETIMEDOUT);
	assert_string_equal(eb.text, "sleep did not end in time");
	assert_int_equal(child_run(nobody, NULL, 0, LONG_MS, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, "no-such-program-here"));
}

struct result {
	struct loop *l;
	int code, calls;
	char why[128];
};

static void took(void *arg, int code, const char *why)
{
	struct result *r = arg;
	r->code = code;
	r->calls++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	loop_stop(r->l);
}

static void test_beside_the_loop(void **state)
{
	struct errbuf eb = { 0 };
	struct result r = { .l = loop_new() };
	static char big[1 << 20]; /* more than a pipe holds */
	static const char *const count[] = { "sh", "-c", "test $(wc -c) = 1048576", NULL };
	(void)state;
	assert_non_null(child_start(r.l, count, big, sizeof(big), LONG_MS, took, &r, &eb));
	loop_run(r.l);
	assert_int_equal(r.code, 0);
	assert_non_null(child_start(r.l, complain, NULL, 0, LONG_MS, took, &r, &eb));
	loop_run(r.l);
	assert_int_equal(r.code, ERR_REFUSED);
	assert_string_equal(r.why, "sh failed: line one");
	assert_non_null(child_start(r.l, hang, NULL, 0, 20, took, &r, &eb));
	loop_run(r.l);
	assert_int_equal(r.code, -ETIMEDOUT);
	assert_int_equal(r.calls, 3);
	assert_null(child_start(r.l, nobody, NULL, 0, LONG_MS, took, &r, &eb));
	struct child *c = child_start(r.l, hang, NULL, 0, LONG_MS, took, &r, &eb);
	assert_non_null(c);
	child_cancel(c);
	child_cancel(NULL);
	assert_int_equal(r.calls, 3);
	loop_free(r.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_beside_the_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
