#include "mesh/path/events.h"
#include "mesh/path/state.h"

enum { TELL_GAP_MIN_MS = 100, TELL_GAP_MAX_MS = 10000, TELL_QUIET_MS = 60000 };

void events_self_changed(struct path *p)
{
	p->self_dirty = true;
}

void events_way_changed(struct path *p, struct peer *e)
{
	if (e->changed)
		return;
	e->changed = true;
	e->changed_next = p->changed;
	p->changed = e;
}

void events_forget(struct path *p, struct peer *e)
{
	struct peer **at = &p->changed;
	while (*at && *at != e)
		at = &(*at)->changed_next;
	if (*at)
		*at = e->changed_next;
}

static void tell_self(struct path *p)
{
	uint64_t since = p->now_ms - p->self_told_ms;
	if (!p->self_told_ms || since > TELL_QUIET_MS)
		p->self_gap_ms = TELL_GAP_MIN_MS;
	if (p->self_told_ms && since < p->self_gap_ms) {
		state_wake(p, p->self_told_ms + p->self_gap_ms);
		return;
	}
	if (p->self_told_ms && p->self_gap_ms < TELL_GAP_MAX_MS)
		p->self_gap_ms *= 2;
	p->self_told_ms = p->now_ms;
	p->self_dirty = false;
	p->ops.self_changed(p->ops.arg);
}

/* Last thing of every fact: the driver may call us back from these. */
void events_flush(struct path *p)
{
	struct peer *e;
	if (p->home != p->home_told) {
		p->home_told = p->home;
		p->ops.home_changed(p->ops.arg, p->home);
	}
	while ((e = p->changed)) {
		p->changed = e->changed_next;
		e->changed = false;
		p->ops.way_changed(p->ops.arg, e->id);
	}
	if (p->self_dirty)
		tell_self(p);
}
