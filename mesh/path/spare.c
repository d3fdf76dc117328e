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
 *
 * Where the two boxes are neighbours, nothing opens the one without a word to the other: their outer addresses
 * are of one /24. Neither box may know a packet of the other's when the flow between the two spare sockets
 * begins; but Linux forgets a packet that nothing answered after 30 s, and a flow of its own is in use, though
 * what goes on it gets no further than the box itself (HOPS_NONE). So who is called from the other's turn, and
 * has told no place of its own yet, holds:
 *
 * HOLD   One ping from its spare socket to the place that is news; the peer's box has heard of it. From then
 *        on none that passes its own box, for HOLD_MS: the peer's forgets, its own does not.
 * SAY    A call names the place of that socket. The peer, which told its own FORGOTTEN_MS ago or more and has
 *        sent nothing there, answers by a ping from its spare socket to this place: it is let in.
 *
 * The turns of both go on meanwhile, for where one box filters they are enough; but no ping of a turn goes to
 * the place that is held, and the holder's next turn begins when the peer's is over (APART_MS).
 *
 * Who has just moved calls as one who says, is found by the main socket, and is to hear of no second place of
 * ours, which it might keep to when we move: the answer waits for ANSWER_WAIT_MS, and is left out when a way is
 * found meanwhile.
 */
#include "mesh/path/spare.h"
#include "mesh/path/candidates.h"
#include "mesh/path/netcheck.h"
#include "mesh/path/quiet.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <string.h>

enum { TURNS = 3, PAUSE_MS = 4000, FIRST_MS = 800, TURN_MS = 1500, OPEN_WAIT_MS = 50, STUN_WAIT_MS = 300 };
/* 30 s are nf_conntrack_udp_timeout. */
enum { HOLDS = 2, HOLD_MS = 35000, FORGOTTEN_MS = 31000, HOLD_GAP_MS = 8000, APART_MS = TURN_MS + 200 };
enum { ANSWER_WAIT_MS = 500 };
enum { OPENING_HOPS = 2 }; /* a neighbour's box, and no further where it is none */

void spare_search(struct path *p, struct peer *e)
{
	bool first = memcmp(p->us.b, e->key.b, KEY_LEN) < 0;
	quiet_begin(p, e);
	e->searched_ms = p->now_ms;
	e->spare_turns = 0;
	e->hold = (struct hold) { 0 };
	e->turn_ms = p->now_ms + (e->socket == PATH_SPARE ? TURN_MS : first ? FIRST_MS : FIRST_MS + TURN_MS);
	peer_wake(p, e, e->turn_ms);
}

/* The port is ours to spoil: behind a NAT that gives one port for all destinations. */
static bool may_help(const struct path *p, const struct peer *e)
{
	bool translated = p->udp && endpoint_is_set(&p->global4) && p->varies != OPT_TRUE;
	for (size_t i = 0; i < p->n_local; i++)
		translated = translated && !addr_equal(&p->local[i], &p->global4.ip);
	return translated && p->ops.spare_wanted && !p->spare_failed && !key_is_zero(e->disco.b);
}

/* --- boxes that are neighbours --- */

static void hold_begin(struct path *p, struct peer *e, const struct endpoint *at)
{
	struct hold *h = &e->hold;
	h->at = *at;
	h->times++;
	h->next_ms = p->now_ms;
	h->until_ms = p->now_ms + HOLD_MS;
	peer_wake(p, e, p->now_ms);
}

/* The peer is to speak now, to our router that has known it for long, from one that knows nothing of us. */
static void hold_end(struct path *p, struct peer *e)
{
	e->hold.until_ms = 0;
	e->hold.saying_ms = p->now_ms + TURN_MS;
	e->called_ms = 0;
	e->call_wanted = true;
	p->spare_asked_ms = p->now_ms;
	netcheck_ask_spare(p);
}

static void hold_step(struct path *p, struct peer *e)
{
	struct hold *h = &e->hold;
	if (way_trusted(p, e)) {
		h->until_ms = h->saying_ms = 0;
		h->answer = (struct endpoint) { 0 };
	} else if (h->until_ms && p->now_ms >= h->until_ms) {
		hold_end(p, e);
	} else if (h->saying_ms && p->now_ms >= h->saying_ms) {
		h->saying_ms = 0;
		if (h->times < HOLDS)
			hold_begin(p, e, &h->at);
	}
}

static uint64_t hold_due(const struct hold *h)
{
	if (endpoint_is_set(&h->answer)) /* who holds has none to give */
		return h->answer_ms;
	if (h->until_ms)
		return h->next_ms < h->until_ms ? h->next_ms : h->until_ms;
	return h->saying_ms ? h->saying_ms : UINT64_MAX;
}

static void neighbour_called(struct path *p, struct peer *e, const struct endpoint *at)
{
	struct hold *h = &e->hold;
	if (!h->said_ms && !h->times) {
		hold_begin(p, e, at);
		if (e->turn_ms && e->turn_ms < p->now_ms + APART_MS)
			e->turn_ms = p->now_ms + APART_MS;
	} else if (!h->times && p->now_ms - h->said_ms >= FORGOTTEN_MS) {
		h->said_ms = p->now_ms; /* one answer for each time that a hold takes */
		h->answer = *at;
		h->answer_ms = p->now_ms + ANSWER_WAIT_MS;
		peer_wake(p, e, h->answer_ms);
	}
}

bool spare_ping(struct path *p, struct peer *e, struct place *to)
{
	struct hold *h = &e->hold;
	bool holds = h->until_ms && p->now_ms >= h->next_ms && p->now_ms < h->until_ms;
	bool answers = endpoint_is_set(&h->answer) && p->now_ms >= h->answer_ms;
	if (way_trusted(p, e) || (!holds && !answers))
		return false;
	if (p->spare_failed) {
		e->hold = (struct hold) { .said_ms = h->said_ms };
		return false;
	}
	if (!p->spare_port) {
		p->spare_wanted = true;
		h->next_ms = h->answer_ms = p->now_ms + OPEN_WAIT_MS;
		return false;
	}
	if (holds) {
		*to = (struct place) {
			.at = h->at, .socket = PATH_SPARE, .hops = h->open ? HOPS_NONE : OPENING_HOPS
		};
		h->open = true;
		h->next_ms = p->now_ms + HOLD_GAP_MS;
	} else {
		*to = (struct place) { .at = h->answer, .socket = PATH_SPARE };
		h->answer = (struct endpoint) { 0 };
	}
	return true;
}

bool spare_holds(const struct peer *e, const struct endpoint *at, enum path_socket from)
{
	return from == PATH_SPARE && e->hold.times && endpoint_equal(&e->hold.at, at);
}

/* --- turns --- */

static void search_from(struct path *p, struct peer *e, enum path_socket socket)
{
	e->socket = socket;
	for (size_t i = 0; i < e->n_cands; i++)
		e->cands[i].pinged_ms = 0;
	e->round = 0;
	e->round_ms = p->now_ms;
	e->called_ms = 0;
}

uint64_t spare_due(const struct peer *e)
{
	uint64_t hold = hold_due(&e->hold);
	return e->turn_ms && e->turn_ms < hold ? e->turn_ms : hold;
}

void spare_step(struct path *p, struct peer *e)
{
	hold_step(p, e);
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
		if (!e->hold.said_ms)
			e->hold.said_ms = p->now_ms;
		e->turn_ms = p->now_ms + TURN_MS;
		p->spare_asked_ms = p->now_ms;
		search_from(p, e, PATH_SPARE);
		quiet_begin(p, e);
		netcheck_ask_spare(p);
	}
}

void spare_called(struct path *p, struct peer *e, const struct endpoint *at)
{
	uint64_t searched = p->now_ms - e->searched_ms;
	if (e->socket != PATH_MAIN || !e->searched_ms || !peer_active(p, e) || way_trusted(p, e))
		return;
	if (candidates_is_neighbour(p, &at->ip) && p->ops.send_near && may_help(p, e)) {
		if (searched >= FIRST_MS / 2)
			neighbour_called(p, e, at);
	} else if (searched >= FIRST_MS && e->turn_ms) {
		e->turn_ms = p->now_ms;
		peer_wake(p, e, e->turn_ms);
	}
}

static bool says_spare(const struct peer *e)
{
	return e->socket == PATH_SPARE || e->hold.saying_ms;
}

void spare_seen(struct path *p, const struct endpoint *at)
{
	p->spare_at = *at;
	p->spare_seen_ms = p->now_ms;
	for (struct peer *e = p->active; e; e = e->next) {
		if (says_spare(e) && !way_trusted(p, e))
			peer_wake(p, e, p->now_ms);
	}
}

bool spare_waits(const struct path *p, const struct peer *e)
{
	return says_spare(e) && p->spare_seen_ms < p->spare_asked_ms &&
	       p->now_ms - p->spare_asked_ms < STUN_WAIT_MS;
}

const struct endpoint *spare_place(const struct path *p, const struct peer *e)
{
	return says_spare(e) && endpoint_is_set(&p->spare_at) ? &p->spare_at : NULL;
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
