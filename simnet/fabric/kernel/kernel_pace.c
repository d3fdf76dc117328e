#include "simnet/fabric/kernel/kernel_pace.h"

/* A packet may be lost on a busy machine, where queues between namespaces run full: so it is asked again, and only what
 * never comes is a finding. */

void pace_begin(struct pace *p, uint64_t now_ms)
{
	*p = (struct pace) {
		.since_ms = now_ms, .again_ms = now_ms + PACE_AGAIN_MS, .gap_ms = PACE_AGAIN_MS
	};
}

bool pace_goes_on(struct pace *p, uint64_t now_ms, double slow)
{
	p->slow += slow;
	p->longer += slow < 1 ? 1 : slow > PACE_SLOWEST ? PACE_SLOWEST : slow;
	p->n++;
	if ((double)(now_ms - p->since_ms) >= PACE_BOUND_MS * (p->longer / p->n))
		return false;
	p->gap_ms = 2 * p->gap_ms < PACE_AGAIN_MOST_MS ? 2 * p->gap_ms : PACE_AGAIN_MOST_MS;
	p->again_ms = now_ms + p->gap_ms;
	return true;
}

double pace_doubt(const struct pace *p)
{
	double slow = p->n ? p->slow / p->n : 0;
	return slow > PACE_SLOWEST ? slow : 0;
}

uint64_t pace_stray_ms(const struct pace *p, uint64_t now_ms)
{
	uint64_t took = now_ms - p->since_ms;
	return took < PACE_STRAY_MS ? PACE_STRAY_MS : took > PACE_STRAY_MOST_MS ? PACE_STRAY_MOST_MS : took;
}
