#include "simnet/lab/lab.h"

static void deadline_passed(void *arg)
{
	loop_stop(((struct lab *)arg)->loop);
}

void lab_poke(struct lab *l)
{
	loop_stop(l->loop);
}

bool lab_wait(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms)
{
	if (!l->deadline)
		l->deadline = loop_timer_new(l->loop, deadline_passed, l);
	for (;;) {
		uint64_t now = loop_now_ms(l->loop);
		if (done(arg))
			return true;
		if (now >= deadline_ms || l->interrupted || l->story->lost || !l->deadline)
			return false;
		loop_timer_set(l->deadline, deadline_ms - now);
		loop_run(l->loop);
		loop_timer_clear(l->deadline);
	}
}

static bool is_over(void *arg)
{
	return ((struct lab *)arg)->failed;
}

void lab_sleep(struct lab *l, uint64_t ms)
{
	(void)lab_wait(l, is_over, l, loop_now_ms(l->loop) + ms);
}
