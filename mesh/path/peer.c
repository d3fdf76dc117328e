#include "mesh/path/peer.h"
#include "mesh/path/state.h"

bool peer_box(struct path *p, struct peer *e)
{
	if (!e->box_ready && !key_is_zero(e->disco.b))
		e->box_ready = box_precompute(p->disco_private.b, e->disco.b, &e->box);
	return e->box_ready;
}

bool peer_active(const struct path *p, const struct peer *e)
{
	return e->sent_ms && p->now_ms - e->sent_ms < SESSION_MS;
}

static void peer_list(struct path *p, struct peer *e)
{
	if (e->listed)
		return;
	e->listed = true;
	e->prev = NULL;
	e->next = p->active;
	if (p->active)
		p->active->prev = e;
	p->active = e;
}

void peer_unlist(struct path *p, struct peer *e)
{
	if (!e->listed)
		return;
	*(e->prev ? &e->prev->next : &p->active) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->next = e->prev = NULL;
	e->listed = false;
	e->next_ms = UINT64_MAX;
}

void peer_wake(struct path *p, struct peer *e, uint64_t at_ms)
{
	peer_list(p, e);
	if (at_ms < e->next_ms)
		e->next_ms = at_ms;
	state_wake(p, at_ms);
}
