#include "mesh/path/state.h"

void state_advance(struct path *p, uint64_t now_ms)
{
	if (now_ms > p->now_ms) /* a clock that steps back must not make deadlines of the past */
		p->now_ms = now_ms;
}

void state_wake(struct path *p, uint64_t at_ms)
{
	if (at_ms < p->wake_ms)
		p->wake_ms = at_ms;
}

uint32_t state_random(struct path *p, uint32_t bound)
{
	uint32_t v;
	p->rnd.fill(p->rnd.arg, &v, sizeof(v));
	return v % bound;
}
