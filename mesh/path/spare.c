/* Behind a box that translates addresses and filters nothing (Linux masquerade on a VM host, Docker, a
 * hotspot), a peer that calls first spoils our port: its probe to our outer address answers nothing that the
 * box knows, so it ends at the box itself, which remembers the flow. Our own packet to the peer would need
 * the very same outer flow, so it leaves by another port, and the peer's filter has never sent there. Neither
 * end can see this. The same happens where the box runs a node of its own on the port that ours would like.
 *
 * The cure is a port that the peer has not been told. A turn:
 *
 * MAIN -> SPARE
 *     The search on the main socket has found nothing: all candidates are pinged from the spare socket, so
 *     that we speak first; STUN says where it is seen; only then a call names that place.
 * SPARE -> MAIN
 *     Nothing answered for TURN_MS, or our links changed. TURNS for each search, PAUSE_MS apart: the call may
 *     be lost, or find the peer busy; the flow that we made by speaking first stays.
 *
 * A way that is trusted keeps its socket (peer.socket). The ends must not take their turns together: each
 * would be the caller that the other must not hear. So the larger key begins when the smaller's turn is over.
 * Unless the peer's call names a place that is news, and our search is old: then our main port is spoilt as
 * well, and our turn answers the peer's. Both speak from ports that nobody has heard of, ours knowing the
 * peer's (quiet.c).
 */
#include "mesh/path/spare.h"
#include "mesh/path/netcheck.h"
#include "mesh/path/quiet.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <string.h>

enum { TURNS = 3, PAUSE_MS = 4000, FIRST_MS = 800, TURN_MS = 1500, OPEN_WAIT_MS = 50, STUN_WAIT_MS = 300 };

void spare_search(struct path *p, struct peer *e)
{
	bool first = memcmp(p->us.b, e->key.b, KEY_LEN) < 0;
	quiet_begin(p, e);
	e->searched_ms = p->now_ms;
	e->spare_turns = 0;
	e->turn_ms = p->now_ms + (e->socket == PATH_SPARE ? TURN_MS : first ? FIRST_MS : FIRST_MS + TURN_MS);
	peer_wake(p, e, e->turn_ms);
}

uint64_t spare_due(const struct peer *e)
{
	return e->turn_ms ? e->turn_ms : UINT64_MAX;
}

/* The port is ours to spoil: behind a NAT that gives one port for all destinations. */
static bool may_help(const struct path *p, const struct peer *e)
{
	bool translated = p->udp && endpoint_is_set(&p->global4) && p->varies != OPT_TRUE;
	for (size_t i = 0; i < p->n_local; i++)
		translated = translated && !addr_equal(&p->local[i], &p->global4.ip);
	return translated && p->ops.spare_wanted && !p->spare_failed && !key_is_zero(e->disco.b);
}

static void search_from(struct path *p, struct peer *e, enum path_socket socket)
{
	e->socket = socket;
	for (size_t i = 0; i < e->n_cands; i++)
		e->cands[i].pinged_ms = 0;
	e->round = 0;
	e->round_ms = p->now_ms;
	e->called_ms = 0;
}

void spare_step(struct path *p, struct peer *e)
{
	if (!e->turn_ms || p->now_ms < e->turn_ms)
		return;
	e->turn_ms = 0;
	if (way_trusted(p, e))
		return;
	if (e->socket == PATH_SPARE) {
		search_from(p, e, PATH_MAIN);
		if (e->spare_turns < TURNS)
			e->turn_ms = p->now_ms + PAUSE_MS;
	} else if (e->spare_turns < TURNS && may_help(p, e)) {
		if (!p->spare_port) {
			p->spare_wanted = true;
			e->turn_ms = p->now_ms + OPEN_WAIT_MS;
			return;
		}
		e->spare_turns++;
		e->turn_ms = p->now_ms + TURN_MS;
		p->spare_asked_ms = p->now_ms;
		search_from(p, e, PATH_SPARE);
		quiet_begin(p, e);
		netcheck_ask_spare(p);
	}
}

void spare_called(struct path *p, struct peer *e)
{
	bool searched = e->turn_ms && p->now_ms - e->searched_ms >= FIRST_MS;
	if (e->socket != PATH_MAIN || !searched || !peer_active(p, e) || way_trusted(p, e))
		return;
	e->turn_ms = p->now_ms;
	peer_wake(p, e, e->turn_ms);
}

void spare_seen(struct path *p, const struct endpoint *at)
{
	p->spare_at = *at;
	p->spare_seen_ms = p->now_ms;
	for (struct peer *e = p->active; e; e = e->next) {
		if (e->socket == PATH_SPARE && !way_trusted(p, e))
			peer_wake(p, e, p->now_ms);
	}
}

bool spare_waits(const struct path *p, const struct peer *e)
{
	return e->socket == PATH_SPARE && p->spare_seen_ms < p->spare_asked_ms &&
	       p->now_ms - p->spare_asked_ms < STUN_WAIT_MS;
}

const struct endpoint *spare_place(const struct path *p, const struct peer *e)
{
	return e->socket == PATH_SPARE && endpoint_is_set(&p->spare_at) ? &p->spare_at : NULL;
}

void spare_links_changed(struct path *p)
{
	p->spare_at = (struct endpoint) { 0 };
	p->spare_seen_ms = p->spare_asked_ms = 0;
	p->spare_failed = false;
	for (struct peer *e = p->active; e; e = e->next) {
		e->socket = PATH_MAIN;
		spare_search(p, e);
	}
}

void path_spare_opened(struct path *p, uint64_t now_ms, uint16_t port)
{
	state_advance(p, now_ms);
	p->spare_port = port;
	p->spare_failed = !port;
}
