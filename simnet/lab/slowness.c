#include "simnet/lab/slowness.h"

#include "mesh/os/crowd.h"
#include <stdlib.h>

/* Two things make programs slow, and each is seen in its own way. Who shares the processors with us: with twice as many
 * runnable tasks as processors each has half of one, and the kernel counts them in /proc/loadavg. Who takes the processors
 * away from the machine itself (a hypervisor): then our own timer comes late. The larger of both is the sample. */
enum { TICK_MS = 50 };

struct slowness {
	struct loop *loop;
	struct loop_timer *timer;
	uint64_t due_ms;
	double sum, newest, believed; /* believed 0 = it is measured */
	uint64_t n;
};

static void tick_due(void *arg)
{
	struct slowness *s = arg;
	uint64_t now = loop_now_ms(s->loop);
	double late = now > s->due_ms ? 1 + (double)(now - s->due_ms) / TICK_MS : 1, many = crowd_now();

	s->newest = late > many ? late : many;
	s->sum += s->newest;
	s->n++;
	s->due_ms = now + TICK_MS;
	loop_timer_set(s->timer, TICK_MS);
}

struct slowness *slowness_open(struct loop *loop)
{
	const char *believed = getenv("SIMNET_SLOWDOWN");
	struct slowness *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct slowness) { .loop = loop, .newest = 1 };
	s->believed = believed ? strtod(believed, NULL) : 0;
	if (s->believed >= 1)
		return s;
	s->believed = 0;
	s->timer = loop_timer_new(loop, tick_due, s);
	if (!s->timer) {
		free(s);
		return NULL;
	}
	s->due_ms = loop_now_ms(loop) + TICK_MS;
	loop_timer_set(s->timer, TICK_MS);
	return s;
}

void slowness_close(struct slowness *s)
{
	if (!s)
		return;
	loop_timer_free(s->timer);
	free(s);
}

struct slowness_mark slowness_now(const struct slowness *s)
{
	return s ? (struct slowness_mark) { .sum = s->sum, .n = s->n } : (struct slowness_mark) { 0 };
}

double slowness_since(const struct slowness *s, const struct slowness_mark *mark)
{
	if (!s)
		return 1;
	if (s->believed >= 1)
		return s->believed;
	return s->n > mark->n ? (s->sum - mark->sum) / (double)(s->n - mark->n) : s->newest;
}

uint64_t slowness_stretch(double factor, uint64_t ms)
{
	factor = factor < 1 ? 1 : factor > SLOWNESS_MOST ? SLOWNESS_MOST : factor;
	return (uint64_t)((double)ms * factor);
}
