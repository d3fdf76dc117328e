/* A box that translates addresses and filters nothing takes a ping that it did not wait for as its own, and
 * from then on the flow that our peer behind it would need (spare.c). Where both ends are behind such boxes,
 * whoever is heard first spoils the other's port, and the port that the other gets in its place spoils ours.
 * So nobody may be heard before both have spoken.
 *
 * A ping whose life ends on the way does that: it passes our router, which remembers the flow, and dies before
 * the peer's. The call goes out beside it by the relay; the peer's ping then meets a router that knows it, and
 * is answered from a flow that the peer's router knows. A search begins so for the time that a call takes, and
 * goes on aloud, for not every peer hears a call. Who was called is heard at once: the caller has spoken.
 *
 * Somebody may wait for the answer to one (path_ping): it is sent again, aloud, as soon as it may be heard.
 *
 * How far our routers go nobody knows: the first ping passes two, later ones more, for those of a carrier. To an
 * address of our own /24 there may be a single router between the boxes, which a second would pass: there they pass
 * one, until the call should have been answered. What they reach all the same answers as ever. */
#include "mesh/path/quiet.h"
#include "mesh/path/candidates.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"

enum { QUIET_MS = 400, QUIET_MAX_MS = 1500, NEAR_MS = 50, FAR_MS = 200, HOPS = 2, NEIGHBOUR_HOPS = 1 };

static uint64_t call_time(const struct path *p, const struct peer *e)
{
	const struct region *r = e->home || e->heard ? region_find(p, region_for_peer(p, e)) : NULL;
	if (!r)
		return 0; /* nobody brings the call: it listens at no relay, or we know none */
	double ms = 2 * region_latency(r);
	return ms < QUIET_MS ? QUIET_MS : ms > QUIET_MAX_MS ? QUIET_MAX_MS : (uint64_t)ms;
}

void quiet_begin(const struct path *p, struct peer *e)
{
	e->quiet_from_ms = p->now_ms;
	e->quiet_ms = p->now_ms + call_time(p, e);
}

/* What it was told of us is the main socket. */
void quiet_called(struct peer *e)
{
	if (e->socket == PATH_MAIN && e->quiet_ms)
		e->quiet_ms = e->quiet_from_ms;
}

bool quiet_ended(const struct path *p, struct peer *e)
{
	if (!e->quiet_ms || p->now_ms < e->quiet_ms)
		return false;
	e->quiet_ms = 0;
	return true;
}

uint64_t quiet_due(const struct peer *e)
{
	return e->quiet_ms ? e->quiet_ms : UINT64_MAX;
}

/* It is reached through a router that may be of that kind, and so may be ours. */
static bool far_away(const struct path *p, const struct endpoint *at)
{
	if (!addr_is_v4(&at->ip) || !p->have4 || addr_is_inside(&at->ip) ||
		candidates_on_our_link(p, &at->ip))
		return false;
	if (endpoint_is_set(&p->global4) && addr_equal(&p->global4.ip, &at->ip))
		return false; /* behind our own router */
	for (size_t i = 0; i < p->n_local; i++) {
		if (addr_is_v4(&p->local[i]) && !addr_is_inside(&p->local[i]))
			return false; /* ours needs no opening */
	}
	return p->varies != OPT_TRUE;
}

uint8_t quiet_hops(
	const struct path *p, const struct peer *e, const struct candidate *c, enum path_socket socket)
{
	if (!p->ops.send_near || socket != e->socket || p->now_ms >= e->quiet_ms || !far_away(p, &c->at))
		return 0;
	uint64_t since = p->now_ms - e->quiet_from_ms;
	bool knows_us = c->ponged_ms && p->now_ms - c->ponged_ms < SESSION_MS;
	bool lets_in = c->heard_ms && c->heard_ms >= e->quiet_from_ms;
	if (lets_in || (knows_us && socket == PATH_MAIN))
		return 0;
	if (since < (e->quiet_ms - e->quiet_from_ms) / 2 && candidates_is_neighbour(p, &c->at.ip))
		return NEIGHBOUR_HOPS;
	return (uint8_t)(HOPS + (since >= NEAR_MS) + (since >= FAR_MS));
}
