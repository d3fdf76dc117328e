#include "mesh/os/work.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

struct job {
	struct loop *loop;
	int gate[2]; /* run goes on when a byte comes */
	atomic_int ran;
	int done;
};

static void run(void *arg)
{
	struct job *j = arg;
	char c;
	if (j->gate[0] > 0)
		assert_int_equal(read(j->gate[0], &c, 1), 1);
	atomic_fetch_add(&j->ran, 1);
}

static void done(void *arg)
{
	struct job *j = arg;
	assert_int_equal(atomic_load(&j->ran), j->done + 1);
	j->done++;
	loop_stop(j->loop);
}

static void test_runs_beside(void **state)
{
	struct job j = { .loop = loop_new() };
	(void)state;
	assert_int_equal(pipe(j.gate), 0);
	assert_non_null(work_start(j.loop, run, done, &j));
	assert_int_equal(j.done, 0); /* the loop's thread goes on while it waits */
	assert_int_equal(write(j.gate[1], "x", 1), 1);
	loop_run(j.loop);
	assert_int_equal(j.done, 1);
	close(j.gate[0]);
	close(j.gate[1]);
	loop_free(j.loop);
}

/* Whether it has begun or not: after work_finish nothing of it runs, and done is never called. */
static void test_finish(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct job j = { .loop = loop_new() };
		struct work *w = work_start(j.loop, run, done, &j);
		assert_non_null(w);
		if (i % 2)
			usleep(1);
		bool ran = work_finish(w);
		assert_int_equal(atomic_load(&j.ran), ran);
		loop_free(j.loop);
		assert_int_equal(j.done, 0);
		assert_int_equal(atomic_load(&j.ran), ran);
	}
}

/* The pool is there, and the loop ends though nobody ran it. */
static void test_ready(void **state)
{
	struct job j = { .loop = loop_new(), .gate = { -1, -1 } };
	(void)state;
	assert_true(work_ready(j.loop));
	assert_non_null(work_start(j.loop, run, done, &j));
	loop_run(j.loop);
	assert_int_equal(j.done, 1);
	assert_true(work_ready(j.loop)); /* again is as good */
	loop_free(j.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_runs_beside), cmocka_unit_test(test_finish),
		cmocka_unit_test(test_ready) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
