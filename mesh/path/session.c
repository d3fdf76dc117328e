#include "mesh/path/session.h"
#include "mesh/path/candidates.h"
#include "mesh/path/card.h"
#include "mesh/path/events.h"
#include "mesh/path/liveness.h"
#include "mesh/path/netcheck.h"
#include "mesh/path/probe.h"
#include "mesh/path/quiet.h"
#include "mesh/path/region.h"
#include "mesh/path/size.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <string.h>

/* A session is the time in which a peer is in use: from path_used until SESSION_MS after the last. Three
 * things run in it, each with deadlines of its own in struct peer; next_step takes the earliest, session_step
 * serves what has passed.
 *
 * The search, while the way is not trusted: all candidates are pinged in rounds that start close and grow
 * apart (rounds_ms, then steady), and call-me-maybe through the relay tells the peer where we are, so that it
 * pings at the same time. session_burst starts the rounds anew whenever something speaks for another outcome
 * (links, a new key, new endpoints). A peer that calls us gets a few rounds of answer (session_answer_burst),
 * also outside of our own session, for it is the one that sends.
 *
 * The watch, while it is trusted: best is pinged every HEARTBEAT_MS, and at once when we have sent for
 * silence_time without anything coming back. Each probe has a time to be answered (check_ms). The first that
 * is not: the way is doubted, the relay carries copies. The second: trust is lost, the peer is called off the
 * way (call_off), the search begins. The fourth: the way is forgotten.
 * It is doubted at once when the peer may have moved (session_doubt): it uses the relay, or tells by a call or
 * through the map where it is and leaves the way out, or its data comes from elsewhere. Then a new answer
 * counts, and no old one.
 *
 * The comparison, once a minute: all candidates again, for a better one.
 *
 * Who moves what: way_state and data_state are moved by way.c's setters from here, liveness.c and
 * path_authenticated (peers.c). best is set by a pong here, and by WireGuard's word alone for peers that know
 * no disco. */

/* When to ping all candidates, from the start of a burst. Filters open only to those they have sent to, so
 * both ends must try within the same moments: close tries at first. */
static const uint16_t rounds_ms[] = { 0, 100, 250, 500, 1000, 2000, 3500, 5000 };
enum { /* tailscale-protocol.md 3.2, and what makes us faster */
	TRUST_MS = 6500,
	HEARTBEAT_MS = 3000,
	SILENCE_MS = 500,	 /* sending with nothing back: look at once */
	DATA_SILENCE_MS = 10500, /* pongs but no data: WireGuard answers within its 10 s keepalive */
	CALL_GAP_MS = 200,
	CALL_AGAIN_MS =
		5500, /* a call makes an official client ping, and it calls only after 5 s without one */
	FOLLOW_MS = 1000,
	FOLLOW_LATE_MS = 5000,
	UPGRADE_MS = 60000,
};
enum {
	ROUNDS = sizeof(rounds_ms) / sizeof(rounds_ms[0]),
	FIRST_CALLS = 3, /* rounds */
	ANSWER_ROUNDS = 3,
	ANSWERS_AT_ONCE = 3,
	ANSWER_REFILL_MS = 1000,
	STEADY_MAX_MS = 30000,
	FAILED_LOST = 2,
	FAILED_GONE = 4,
	STUN_WAIT_MS = 300,
	SAME_PING_MS = 50,
	TALK_GAP_MS = 6000
};

static uint64_t silence_time(const struct peer *e)
{
	return 2 * e->latency_ms > SILENCE_MS ? (uint64_t)(2 * e->latency_ms) : SILENCE_MS;
}

static void ping_best(struct path *p, struct peer *e)
{
	struct place to = { .at = e->best, .socket = e->socket };
	if (!way_known(e) || !probe_send(p, e, to))
		return;
	e->best_pinged_ms = p->now_ms;
	if (!e->check_ms)
		e->check_ms = p->now_ms + way_check_time(e);
	peer_wake(p, e, e->check_ms);
}

/* main_too: the peer calls, so it pings what it was told, which may be the main socket while our turn with
 * the other goes on. */
static void ping_all(struct path *p, struct peer *e, bool main_too)
{
	main_too = main_too && e->socket != PATH_MAIN && !way_trusted(p, e);
	for (size_t i = 0; i < e->n_cands; i++) {
		const struct candidate *c = &e->cands[i];
		if (!candidates_usable(p, c) || (c->pinged_ms && p->now_ms - c->pinged_ms < SAME_PING_MS))
			continue;
		uint8_t hops = quiet_hops(p, e, c, e->socket);
		if (!spare_holds(e, &c->at, e->socket))
			probe_send(p, e, (struct place) { .at = c->at, .socket = e->socket, .hops = hops });
		if (main_too)
			probe_send(p, e, (struct place) { .at = c->at, .socket = PATH_MAIN });
	}
}

/* Own endpoints that are old are asked for anew before they are told; without an answer they are told as they
 * are. */
static void call(struct path *p, struct peer *e)
{
	if (!e->call_wanted)
		return;
	if (e->called_ms && p->now_ms - e->called_ms < CALL_GAP_MS) {
		peer_wake(p, e, e->called_ms + CALL_GAP_MS);
		return;
	}
	bool fresh = p->stun_ok_ms && p->now_ms - p->stun_ok_ms < ENDPOINTS_FRESH_MS;
	if (!fresh) {
		netcheck_session(p);
		if (p->report_running && p->now_ms - p->report_ms < STUN_WAIT_MS) {
			peer_wake(p, e, p->report_ms + STUN_WAIT_MS);
			return;
		}
	}
	if (spare_waits(p, e)) {
		peer_wake(p, e, p->now_ms + STUN_WAIT_MS);
		return;
	}
	if (!p->n_own)
		return;
	e->call_wanted = e->call_owed = false;
	e->called_ms = p->now_ms;
	e->called_own = p->own_version;
	probe_call(p, e, NULL);
}

/* A peer that only receives trusts the way for up to 6.5 s after it died. What a call no longer names it
 * forgets (tailscale-protocol.md 3.3), also a way in use; the call that follows names it again. */
static void call_off(struct path *p, struct peer *e)
{
	if (!endpoint_is_set(&e->seen_as))
		return;
	if (e->called_own != p->own_version) /* only what was named can be left out */
		probe_call(p, e, NULL);
	probe_call(p, e, &e->seen_as);
	e->called_ms = 0;
}

static uint64_t next_round(const struct path *p, const struct peer *e)
{
	if (e->round < ROUNDS)
		return p->now_ms + (uint64_t)(rounds_ms[e->round] - rounds_ms[e->round - 1]);
	uint64_t since = p->now_ms - e->direct_ms, wait = STEADY_MAX_MS;
	if (e->direct_ms && since < 60000)
		wait = 2000; /* it worked a moment ago */
	else if ((e->direct_ms && since < 600000) || e->round == ROUNDS)
		wait = 5000;
	else if (e->round < ROUNDS + 2)
		wait = 10000u * (e->round - ROUNDS);
	return p->now_ms + wait;
}

static void run_round(struct path *p, struct peer *e)
{
	ping_all(p, e, false);
	bool first = e->round < FIRST_CALLS && e->round % 2 == 0;
	if (first || p->now_ms - e->called_ms >= CALL_AGAIN_MS)
		e->call_wanted = true;
	if (e->round < UINT8_MAX)
		e->round++;
	e->round_ms = next_round(p, e);
	peer_wake(p, e, e->round_ms);
}

void session_burst(struct path *p, struct peer *e)
{
	if (!peer_active(p, e))
		return;
	e->round = 0;
	e->round_ms = p->now_ms;
	peer_wake(p, e, p->now_ms);
}

/* Calls are paid for from a small purse, so that a peer cannot make us ping strangers without end. */
void session_answer_burst(struct path *p, struct peer *e)
{
	uint64_t spent = (uint64_t)ANSWERS_AT_ONCE * ANSWER_REFILL_MS;
	uint64_t floor = p->now_ms > spent ? p->now_ms - spent : 0;
	if (e->answer_paid_ms < floor)
		e->answer_paid_ms = floor;
	bool now = e->answer_paid_ms + ANSWER_REFILL_MS <= p->now_ms;
	if (now)
		e->answer_paid_ms += ANSWER_REFILL_MS;
	else if (e->answer_rounds)
		return; /* those to come do for this call too */
	e->answer_rounds = ANSWER_ROUNDS;
	e->answer_ms = now ? p->now_ms : e->answer_paid_ms + ANSWER_REFILL_MS;
	if (!now)
		e->answer_paid_ms += ANSWER_REFILL_MS;
	peer_wake(p, e, e->answer_ms);
	if (now)
		session_step(p, e);
}

static void session_begin(struct path *p, struct peer *e)
{
	e->started_ms = p->now_ms;
	e->probes = 0;
	e->unanswered_ms = e->no_data_ms = 0;
	e->better_ms = p->now_ms + 1000;
	e->failed = 0;
	e->best_data_ms = p->now_ms;
	netcheck_session(p);
	if (way_known(e) && !key_is_zero(e->disco.b))
		ping_best(p, e);
	if (!way_trusted(p, e)) {
		spare_search(p, e);
		e->round = 0;
		run_round(p, e);
		call(p, e);
	}
	peer_wake(p, e, p->now_ms + HEARTBEAT_MS);
	way_publish(p, e);
}

static void lose_trust(struct path *p, struct peer *e)
{
	e->live.asked = 0;
	way_feed(p, e, WAY_EV_EXPIRED);
	if (peer_active(p, e)) {
		netcheck_start(p, false); /* our own mapping may be what was lost */
		session_burst(p, e);
		spare_search(p, e);
	}
}

void session_forget_best(struct path *p, struct peer *e)
{
	e->check_ms = 0;
	e->failed = 0;
	way_feed(p, e, WAY_EV_FORGOTTEN);
	way_data_feed(p, e, DATA_EV_BEGINS);
}

void session_doubt(struct path *p, struct peer *e)
{
	way_feed(p, e, WAY_EV_MISSED);
	e->doubted_ms = p->now_ms;
	if (e->check_ms && e->best_pinged_ms == p->now_ms)
		return;
	e->check_ms = 0;
	ping_best(p, e);
}

/* The answer to a ping from before the doubt may be the last that the peer sent from where it was. */
static bool is_old_proof(const struct path *p, const struct peer *e, double latency_ms)
{
	return e->way_state == WAY_DOUBTED && p->now_ms - (uint64_t)latency_ms < e->doubted_ms;
}

/* A peer tells where it is. What it leaves out, it may have left: its data may still come from there, and ours
 * would not arrive. */
void session_named(struct path *p, struct peer *e, uint8_t from)
{
	const struct candidate *best = way_sure(p, e) ? candidates_find(e, &e->best) : NULL;
	if (best && !(best->from & from))
		session_doubt(p, e);
}

/* Data came by the best, and now by another: the peer may have moved. Not for each packet of a peer that
 * sends by both. */
bool session_peer_moved(struct path *p, struct peer *e)
{
	bool moved = e->best_heard && way_sure(p, e) &&
		     (!e->moved_ms || p->now_ms - e->moved_ms >= FOLLOW_LATE_MS);
	e->best_heard = false;
	if (moved) {
		e->moved_ms = p->now_ms;
		session_doubt(p, e);
	}
	return moved;
}

/* Data comes by c, and none by the best any more: the peer's choice is another. The larger key waits longer,
 * or two ends that follow each other would change places for ever. */
bool session_peer_left(const struct path *p, const struct peer *e, const struct candidate *c)
{
	bool first = memcmp(p->us.b, e->key.b, KEY_LEN) < 0;
	return c->data_ms > e->best_data_ms + (first ? FOLLOW_MS : FOLLOW_LATE_MS);
}

static bool is_better(
	const struct path *p, const struct peer *e, const struct candidate *c, double latency_ms)
{
	if (!way_sure(p, e))
		return true;
	if (session_peer_left(p, e, c))
		return true;
	double old = candidates_cost(p, &e->best, e->latency_ms);
	return candidates_cost(p, &c->at, latency_ms) < old * 0.99;
}

void session_pong(struct path *p, struct peer *e, struct candidate *c, double latency_ms)
{
	c->ponged_ms = p->now_ms;
	c->latency_ms = latency_ms;
	candidates_prove(p, e, c);
	bool same = way_is(e, &c->at);
	bool regained = !way_trusted(p, e);
	if (same && is_old_proof(p, e, latency_ms))
		return;
	if (!same) {
		if (!is_better(p, e, c, latency_ms))
			return;
		liveness_begin(p, e);
		if (!way_trusted(p, e))
			e->better_ms =
				p->now_ms + 1000; /* the quickest is not always the best: compare once soon */
		e->best = c->at;
		e->best_data_ms = p->now_ms;
		e->best_heard = false;
		way_data_feed(p, e, DATA_EV_BEGINS);
		e->no_data_ms = 0;
	}
	e->latency_ms = latency_ms;
	e->trust_ms = p->now_ms + TRUST_MS;
	if (e->way_state != WAY_TRUSTED)
		e->sure_ms = p->now_ms;
	e->direct_ms = p->now_ms;
	e->best_pinged_ms = c->pinged_ms;
	e->failed = 0;
	e->probes = 0;
	e->check_ms = e->unanswered_ms = 0;
	e->call_wanted = e->call_owed;
	if (!same || regained)
		size_begin(p, e);
	way_feed(p, e, WAY_EV_PONG);
	peer_wake(p, e, size_due(p, e) > p->now_ms ? size_due(p, e) : p->now_ms + 1);
	peer_wake(p, e, c->pinged_ms + HEARTBEAT_MS);
	peer_wake(p, e, e->trust_ms);
	liveness_wake(p, e);
}

/* What was lost may be our own mapping, and the relay's connection with it: look at once, and use the relay
 * so that a dead connection shows. */
static void doubt(struct path *p, struct peer *e)
{
	way_feed(p, e, WAY_EV_MISSED);
	if (!peer_active(p, e))
		return;
	netcheck_start(p, false);
	e->call_wanted = true;
}

void session_call(struct path *p, struct peer *e)
{
	if (!peer_active(p, e) || way_sure(p, e))
		return;
	e->call_wanted = true;
	peer_wake(p, e, p->now_ms);
}

static void check_failed(struct path *p, struct peer *e)
{
	e->check_ms = 0;
	if (e->failed < UINT8_MAX)
		e->failed++;
	if (e->failed >= FAILED_GONE) {
		session_forget_best(p, e);
		return;
	}
	if (e->failed < FAILED_LOST) {
		doubt(p, e);
	} else if (e->way_state >= WAY_TRUSTED) {
		lose_trust(p, e);
		if (peer_active(p, e))
			call_off(p, e);
	}
	if (peer_active(p, e))
		ping_best(p, e);
}

static void step_trusted(struct path *p, struct peer *e)
{
	uint64_t now = p->now_ms;
	bool silent = e->unanswered_ms && now - e->unanswered_ms >= silence_time(e);
	if (!e->check_ms && (silent || now - e->best_pinged_ms >= HEARTBEAT_MS))
		ping_best(p, e);
	if (now >= e->better_ms) {
		bool near = candidates_on_our_link(p, &e->best.ip);
		if (e->better_ms == 0 || !near || e->latency_ms > 5)
			ping_all(p, e, false);
		e->better_ms = now + UPGRADE_MS;
	}
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_step(const struct path *p, const struct peer *e)
{
	uint64_t t = UINT64_MAX;
	bool active = peer_active(p, e);
	if (e->check_ms)
		t = earliest(t, e->check_ms);
	if (e->answer_rounds)
		t = earliest(t, e->answer_ms);
	if (e->call_wanted && active && p->n_own)
		t = earliest(t, p->now_ms + CALL_GAP_MS);
	if (way_trusted(p, e)) {
		t = earliest(t, e->trust_ms);
		t = earliest(t, earliest(liveness_due(p, e), size_due(p, e)));
		if (active)
			t = earliest(t, e->better_ms);
		if (active && !e->check_ms) { /* else a ping is out already */
			t = earliest(t, e->best_pinged_ms + HEARTBEAT_MS);
			if (e->unanswered_ms)
				t = earliest(t, e->unanswered_ms + silence_time(e));
		}
	} else if (active) {
		t = earliest(t, earliest(e->round_ms, spare_due(e)));
		t = earliest(t, quiet_due(e));
	}
	return active ? earliest(t, e->sent_ms + SESSION_MS) : t;
}

void session_step(struct path *p, struct peer *e)
{
	uint64_t now = p->now_ms;
	bool active = peer_active(p, e);
	e->next_ms = UINT64_MAX;
	if (e->way_state >= WAY_TRUSTED && now >= e->trust_ms)
		lose_trust(p, e);
	if (e->check_ms && now >= e->check_ms)
		check_failed(p, e);
	if (e->answer_rounds && now >= e->answer_ms) {
		ping_all(p, e, true);
		e->answer_rounds--;
		e->answer_ms = now + (e->answer_rounds == ANSWER_ROUNDS - 1 ? 100 : 200);
	}
	liveness_step(p, e);
	size_step(p, e);
	if (quiet_ended(p, e))
		probe_aloud(p, e);
	struct place to;
	if (active && spare_ping(p, e, &to))
		probe_send(p, e, to);
	if (active)
		spare_step(p, e);
	if (active && way_trusted(p, e))
		step_trusted(p, e);
	else if (active && now >= e->round_ms && !key_is_zero(e->disco.b))
		run_round(p, e);
	if (active && (!way_sure(p, e) || e->call_owed))
		call(p, e);
	way_publish(p, e);
	uint64_t next = next_step(p, e);
	if (next == UINT64_MAX)
		peer_unlist(p, e);
	else
		peer_wake(p, e, next > now ? next : now + 1);
}

static void tell_own(struct path *p, bool changed)
{
	for (struct peer *e = p->active, *next; e; e = next) {
		next = e->next;
		if (!peer_active(p, e) || (way_sure(p, e) && !e->call_owed))
			continue;
		if (changed)
			e->call_wanted = true;
		call(p, e);
		if (changed && !way_trusted(p, e))
			session_answer_burst(
				p, e); /* the peer will try the new places now: open them from inside */
	}
}

static void tell_home(struct path *p)
{
	for (struct peer *e = p->active; e; e = e->next) {
		way_publish(p, e);
		session_call(p, e); /* says by which relay we are reached now */
	}
}

void session_settle(struct path *p)
{
	bool fresh = p->own_fresh, moved = p->own_moved;
	p->own_fresh = p->own_moved = false;
	if (fresh)
		tell_own(p, moved);
	if (p->home_moved)
		tell_home(p);
	p->home_moved = false;
}

static void note_sent(struct path *p, struct peer *e, uint64_t gap_ms)
{
	if (!way_trusted(p, e))
		return;
	if (!e->unanswered_ms && !way_shut(e)) { /* shut: nothing goes this way that could be answered */
		e->unanswered_ms = p->now_ms;
		peer_wake(p, e, p->now_ms + silence_time(e));
	}
	if (!e->no_data_ms || gap_ms > TALK_GAP_MS)
		e->no_data_ms = p->now_ms;
	else if (p->now_ms - e->no_data_ms >= DATA_SILENCE_MS &&
		 p->now_ms - e->live.proven_ms >= DATA_SILENCE_MS)
		way_data_feed(
			p, e, DATA_EV_SILENCE); /* not by proof: the peer may not answer inside the tunnel */
	liveness_sent(p, e);
}

void path_used(struct path *p, uint64_t now_ms, uint64_t peer)
{
	state_advance(p, now_ms);
	struct peer *e = peer_find(p, peer);
	if (!e)
		return;
	bool begins = !peer_active(p, e);
	uint64_t gap = p->now_ms - e->sent_ms;
	e->sent_ms = p->last_send_ms = p->now_ms;
	if (begins)
		session_begin(p, e);
	if (key_is_zero(e->disco.b) && !way_known(e) && e->n_cands) { /* plain WireGuard peer */
		e->best = e->cands[0].at;
		way_feed(p, e, WAY_EV_ROAMED);
	}
	note_sent(p, e, gap);
	way_publish(p, e);
}

void path_ping(struct path *p, uint64_t now_ms, uint64_t peer, uint64_t token, uint16_t size)
{
	path_used(p, now_ms, peer);
	struct peer *e = peer_find(p, peer);
	if (!e)
		return;
	if (e->way.udp && !e->way.relay) { /* proven: the answer is to be about this one */
		probe_send_asked(
			p, e, (struct place) { .at = e->way.at, .socket = e->way.from }, token, size);
		return;
	}
	int32_t region = region_for_peer(p, e);
	if (region)
		probe_send_asked(p, e, (struct place) { .region = region }, token, size);
	for (size_t i = 0; i < e->n_cands; i++) {
		const struct candidate *c = &e->cands[i];
		struct place to = {
			.at = c->at, .socket = e->socket, .hops = quiet_hops(p, e, c, e->socket)
		};
		if (candidates_usable(p, c) && !spare_holds(e, &c->at, e->socket))
			probe_send_asked(p, e, to, token, size);
	}
}
