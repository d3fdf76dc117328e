#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/os/loop.h"
#include <sys/eventfd.h>
#include <unistd.h>

enum { LATE_MS = 3600 * 1000, SOON_MS = 50 }; /* late: not while this runs, on any machine */

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
	int due = 0, late = 0, ready = 0;
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop_timer *a = loop_timer_new(l, count, &due), *b = loop_timer_new(l, count, &late);
	struct loop_fd *f = loop_fd_new(l, fd, count_ready, &ready);
	(void)state;
	loop_timer_set(b, LATE_MS);
	loop_timer_set(a, 0);
	while (!due)
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
	assert_int_equal(late, 0);
	loop_timer_set(b, SOON_MS);
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

enum { PIECES = 1000 };
struct pieces {
	struct loop *loop;
	struct loop_timer *timer, *next; /* each sets the other */
	unsigned done, seen;		 /* done when what is ready was seen */
};

static void piece_done(void *arg)
{
	struct pieces *p = arg;
	struct loop_timer *now = p->timer;
	p->timer = p->next;
	p->next = now;
	if (++p->done < PIECES)
		loop_timer_set(p->timer, 0);
}

static void pieces_seen(void *arg, int events)
{
	struct pieces *p = arg;
	(void)events;
	if (!p->seen)
		p->seen = p->done;
}

/* Work in pieces, each of which sets the timer of the next to 0, lets what has arrived have its turn in between; and all of
 * it is done without a wait. */
static void test_pieces(void **state)
{
	struct pieces p = { .loop = loop_new() };
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop_fd *f = loop_fd_new(p.loop, fd, pieces_seen, &p);
	(void)state;
	p.timer = loop_timer_new(p.loop, piece_done, &p);
	p.next = loop_timer_new(p.loop, piece_done, &p);
	loop_fd_set(f, LOOP_READ);
	loop_timer_set(p.timer, 0);
	while (p.done < PIECES)
		loop_run_once(p.loop);
	assert_in_range(p.seen, 1, 2);
	assert_false(loop_timer_is_set(p.timer) || loop_timer_is_set(p.next));
	loop_fd_free(f);
	p.done = 0;
	loop_timer_set(p.timer, 0);
	loop_run(p.loop); /* they keep the loop, and nothing does afterwards */
	assert_int_equal(p.done, PIECES);
	loop_timer_free(p.timer);
	loop_timer_free(p.next);
	loop_free(p.loop);
	close(fd);
}

static void set_all(void *arg)
{
	struct loop_timer **t = arg;
	for (int i = 0; i < 4; i++)
		loop_timer_set(t[i], 0);
	for (int i = 0; i < 4; i++)
		assert_true(loop_timer_is_set(t[i]));
	loop_timer_set(t[1], LATE_MS);
	loop_timer_clear(t[2]);
	loop_timer_free(t[3]);
}

/* What a timer has set it can also set anew, clear and free. */
static void test_again_changed(void **state)
{
	struct loop *l = loop_new();
	int due[4] = { 0 };
	struct loop_timer *t[5];
	(void)state;
	for (int i = 0; i < 4; i++)
		t[i] = loop_timer_new(l, count, &due[i]);
	t[4] = loop_timer_new(l, set_all, t);
	loop_timer_set(t[4], 0);
	while (!due[0])
		loop_run_once(l);
	assert_true(!due[1] && !due[2] && !due[3]);
	assert_true(loop_timer_is_set(t[1]) && !loop_timer_is_set(t[2]));
	loop_timer_clear(t[1]);
	loop_run(l);
	for (int i = 0; i < 5; i++)
		if (i != 3)
			loop_timer_free(t[i]);
	assert_int_equal(due[0], 1);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_run_after),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_again_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
