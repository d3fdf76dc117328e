#include "simnet/lab.h"

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
		if (now >= deadline_ms || l->interrupted || !l->deadline)
			return false;
		loop_timer_set(l->deadline, deadline_ms - now);
		loop_run(l->loop);
		loop_timer_clear(l->deadline);
	}
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void lab_sleep(struct lab *l, uint64_t ms)
{
	(void)lab_wait(l, never, NULL, loop_now_ms(l->loop) + ms);
}
