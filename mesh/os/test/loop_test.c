#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/os/loop.h"
#include <sys/eventfd.h>
#include <unistd.h>

enum { LATE_MS = 2000 };

static void count(void *arg)
{
	++*(int *)arg;
}

static void count_ready(void *arg, int events)
{
	assert_int_equal(events, LOOP_READ);
	count(arg);
}

/* A round that has delivered something does not wait for the next thing. */
static void test_once(void **state)
{
	struct loop *l = loop_new();
	int due = 0, late = 0, ready = 0, deferred = 0;
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop_timer *a = loop_timer_new(l, count, &due), *b = loop_timer_new(l, count, &late);
	struct loop_fd *f = loop_fd_new(l, fd, count_ready, &ready);
	(void)state;
	loop_timer_set(b, LATE_MS);
	loop_timer_set(a, 0);
	while (!due)
		loop_run_once(l);
	assert_true(loop_defer(l, count, &deferred));
	while (!deferred)
		loop_run_once(l);
	assert_int_equal(late, 0);
	/* what is ready is delivered beside a timer all the same */
	loop_fd_set(f, LOOP_READ);
	loop_timer_set(a, 0);
	loop_run_once(l);
	assert_int_equal(due, 2);
	assert_int_equal(ready, 1);
	/* and it waits where nothing was due */
	loop_fd_set(f, 0);
	loop_run_once(l);
	assert_int_equal(late, 1);
	loop_fd_free(f);
	loop_timer_free(a);
	loop_timer_free(b);
	loop_free(l);
	close(fd);
}

/* A stop that was asked for in a round of its own ends no later run. */
static void test_run_after(void **state)
{
	struct loop *l = loop_new();
	int due = 0;
	struct loop_timer *a = loop_timer_new(l, count, &due);
	(void)state;
	loop_timer_set(a, 0);
	loop_run_once(l);
	assert_int_equal(due, 1);
	loop_timer_set(a, 1);
	loop_run(l); /* until nothing is left to wait for */
	assert_int_equal(due, 2);
	loop_timer_free(a);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_run_after),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
