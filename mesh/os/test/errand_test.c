#include "mesh/os/errand.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 60000 };

struct trip {
	struct loop *loop;
	int gate[2]; /* run ends when a byte comes, or when it is told to */
	atomic_int ran, stopped;
	int done;
};

static void trip_begin(struct trip *t)
{
	*t = (struct trip) { .loop = loop_new() };
	assert_non_null(t->loop);
	assert_int_equal(pipe(t->gate), 0);
}

static void trip_end(struct trip *t)
{
	close(t->gate[0]);
	close(t->gate[1]);
	loop_free(t->loop);
}

static void run(void *arg, int stop)
{
	struct trip *t = arg;
	struct pollfd p[] = { { .fd = t->gate[0], .events = POLLIN }, { .fd = stop, .events = POLLIN } };
	(void)poll(p, 2, WAIT_MS);
	atomic_store(&t->stopped, (p[1].revents & POLLIN) != 0);
	atomic_fetch_add(&t->ran, 1);
}

static void done(void *arg)
{
	struct trip *t = arg;
	assert_int_equal(atomic_load(&t->ran), t->done + 1);
	t->done++;
	loop_stop(t->loop);
}

static void test_runs_beside(void **state)
{
	struct trip t;
	(void)state;
	trip_begin(&t);
	assert_non_null(errand_start(t.loop, run, done, &t));
	assert_int_equal(atomic_load(&t.ran), 0); /* the loop's thread goes on while it waits */
	assert_int_equal(write(t.gate[1], "x", 1), 1);
	loop_run(t.loop);
	assert_int_equal(t.done, 1);
	assert_false(atomic_load(&t.stopped));
	trip_end(&t);
}

static void test_stop(void **state)
{
	struct trip t;
	(void)state;
	trip_begin(&t);
	struct errand *e = errand_start(t.loop, run, done, &t);
	assert_non_null(e);
	errand_stop(e);
	errand_stop(e);
	loop_run(t.loop);
	assert_int_equal(t.done, 1);
	assert_true(atomic_load(&t.stopped));
	trip_end(&t);
}

/* More of them than the pool of work.h has threads: none waits for another. */
static void test_many(void **state)
{
	enum { MANY = 16 };
	struct trip t[MANY];
	struct errand *e[MANY];
	(void)state;
	for (int i = 0; i < MANY; i++) {
		trip_begin(&t[i]);
		e[i] = errand_start(t[i].loop, run, done, &t[i]);
		assert_non_null(e[i]);
	}
	assert_int_equal(write(t[MANY - 1].gate[1], "x", 1), 1);
	loop_run(t[MANY - 1].loop);
	assert_int_equal(t[MANY - 1].done, 1);
	for (int i = 0; i < MANY - 1; i++) {
		errand_finish(e[i]);
		assert_int_equal(atomic_load(&t[i].ran), 1);
		assert_int_equal(t[i].done, 0);
	}
	for (int i = 0; i < MANY; i++)
		trip_end(&t[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_beside),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
