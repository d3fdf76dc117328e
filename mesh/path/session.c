#include "mesh/path/path.h"
#include "mesh/path/parts.h"
#include <string.h>

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
	CHECK_MIN_MS = 250,
	CHECK_MAX_MS = 3000,
	FAILED_LOST = 2,
	FAILED_GONE = 4,
	STUN_WAIT_MS = 300,
	SAME_PING_MS = 50,
	TALK_GAP_MS = 6000
};

bool session_active(const struct path *p, const struct peer *e)
{
	return e->sent_ms && p->now_ms - e->sent_ms < SESSION_MS;
}

bool session_trusted(const struct path *p, const struct peer *e)
{
	return e->has_best && e->trust_ms > p->now_ms;
}

static void list(struct path *p, struct peer *e)
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

static void unlist(struct path *p, struct peer *e)
{
	*(e->prev ? &e->prev->next : &p->active) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->next = e->prev = NULL;
	e->listed = false;
	e->next_ms = UINT64_MAX;
}

void session_at(struct path *p, struct peer *e, uint64_t at_ms)
{
	list(p, e);
	if (at_ms < e->next_ms)
		e->next_ms = at_ms;
	path_wake(p, at_ms);
}

void session_notify(struct path *p, struct peer *e)
{
	struct shown s = { .direct = session_trusted(p, e) && !e->live.shut, .region = home_for_peer(p, e) };
	if (s.direct)
		s.at = e->best;
	/* An idle peer is nobody's news; what became of its way is told when it is used again. */
	if (!session_active(p, e) && !s.direct)
		return;
	bool same = s.direct == e->shown.direct && s.region == e->shown.region &&
		    endpoint_equal(&s.at, &e->shown.at);
	e->shown = s;
	if (same || e->changed)
		return;
	e->changed = true; /* told by self_flush, when all is settled */
	e->changed_next = p->changed;
	p->changed = e;
}

uint64_t session_check_time(const struct peer *e)
{
	double t = 3 * e->latency_ms + 100;
	return t < CHECK_MIN_MS ? CHECK_MIN_MS : t > CHECK_MAX_MS ? CHECK_MAX_MS : (uint64_t)t;
}

static uint64_t silence_time(const struct peer *e)
{
	return 2 * e->latency_ms > SILENCE_MS ? (uint64_t)(2 * e->latency_ms) : SILENCE_MS;
}

static void ping_best(struct path *p, struct peer *e)
{
	if (!e->has_best || !probe_send(p, e, &e->best, 0, NULL) || !e->has_best)
		return;
	e->best_pinged_ms = p->now_ms;
	if (!e->check_ms)
		e->check_ms = p->now_ms + session_check_time(e);
	session_at(p, e, e->check_ms);
}

static void ping_all(struct path *p, struct peer *e)
{
	for (size_t i = 0; i < e->n_cands; i++) {
		const struct candidate *c = &e->cands[i];
		if (candidates_usable(p, c) && (!c->pinged_ms || p->now_ms - c->pinged_ms >= SAME_PING_MS))
			probe_send(p, e, &c->at, 0, NULL);
	}
}

/* Own endpoints that are old are asked for anew before they are told; without an answer they are told as they
 * are. */
static void call(struct path *p, struct peer *e)
{
	if (!e->call_wanted)
		return;
	if (e->called_ms && p->now_ms - e->called_ms < CALL_GAP_MS) {
		session_at(p, e, e->called_ms + CALL_GAP_MS);
		return;
	}
	bool fresh = p->stun_ok_ms && p->now_ms - p->stun_ok_ms < ENDPOINTS_FRESH_MS;
	if (!fresh) {
		netcheck_session(p);
		if (p->report_running && p->now_ms - p->report_ms < STUN_WAIT_MS) {
			session_at(p, e, p->report_ms + STUN_WAIT_MS);
			return;
		}
	}
	if (!p->n_own)
		return;
	e->call_wanted = false;
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
	ping_all(p, e);
	bool first = e->round < FIRST_CALLS && e->round % 2 == 0;
	if (first || p->now_ms - e->called_ms >= CALL_AGAIN_MS)
		e->call_wanted = true;
	if (e->round < UINT8_MAX)
		e->round++;
	e->round_ms = next_round(p, e);
	session_at(p, e, e->round_ms);
}

void session_burst(struct path *p, struct peer *e)
{
	if (!session_active(p, e))
		return;
	e->round = 0;
	e->round_ms = p->now_ms;
	session_at(p, e, p->now_ms);
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
	session_at(p, e, e->answer_ms);
	if (now)
		session_step(p, e);
}

void session_begin(struct path *p, struct peer *e)
{
	e->started_ms = p->now_ms;
	e->probes = 0;
	e->unanswered_ms = e->no_data_ms = 0;
	e->better_ms = p->now_ms + 1000;
	e->failed = 0;
	e->best_data_ms = p->now_ms;
	netcheck_session(p);
	if (e->has_best && !key_is_zero(e->disco.b))
		ping_best(p, e);
	if (!session_trusted(p, e)) {
		e->round = 0;
		run_round(p, e);
		call(p, e);
	}
	session_at(p, e, p->now_ms + HEARTBEAT_MS);
	session_notify(p, e);
}

static void lose_trust(struct path *p, struct peer *e)
{
	e->trust_ms = 0;
	e->doubted = false;
	e->live.asked = 0;
	if (session_active(p, e)) {
		netcheck_start(p, false); /* our own mapping may be what was lost */
		session_burst(p, e);
	}
	session_notify(p, e);
}

void session_forget_best(struct path *p, struct peer *e)
{
	if (!e->has_best)
		return;
	e->has_best = e->doubted = e->data_dead = false;
	e->trust_ms = e->check_ms = 0;
	e->failed = 0;
	session_notify(p, e);
}

void session_doubt(struct path *p, struct peer *e)
{
	e->doubted = true;
	if (!e->check_ms)
		ping_best(p, e);
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
	if (!session_trusted(p, e) || e->doubted)
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
	bool same = e->has_best && endpoint_equal(&e->best, &c->at);
	if (!same) {
		if (!is_better(p, e, c, latency_ms))
			return;
		liveness_begin(p, e);
		if (!session_trusted(p, e))
			e->better_ms =
				p->now_ms + 1000; /* the quickest is not always the best: compare once soon */
		e->best = c->at;
		e->best_data_ms = p->now_ms;
		e->has_best = true;
		e->data_dead = false;
		e->no_data_ms = 0;
	}
	e->latency_ms = latency_ms;
	e->trust_ms = p->now_ms + TRUST_MS;
	e->direct_ms = p->now_ms;
	e->best_pinged_ms = c->pinged_ms;
	e->failed = 0;
	e->probes = 0;
	e->check_ms = e->unanswered_ms = 0;
	e->doubted = e->call_wanted = false;
	session_at(p, e, c->pinged_ms + HEARTBEAT_MS);
	session_at(p, e, e->trust_ms);
	liveness_wake(p, e);
	session_notify(p, e);
}

/* What was lost may be our own mapping, and the relay's connection with it: look at once, and use the relay
 * so that a dead connection shows. */
static void doubt(struct path *p, struct peer *e)
{
	e->doubted = true;
	if (!session_active(p, e))
		return;
	netcheck_start(p, false);
	e->call_wanted = true;
}

static bool is_sure(const struct path *p, const struct peer *e)
{
	return session_trusted(p, e) && !e->doubted;
}

void session_call(struct path *p, struct peer *e)
{
	if (!session_active(p, e) || is_sure(p, e))
		return;
	e->call_wanted = true;
	session_at(p, e, p->now_ms);
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
	} else if (e->trust_ms) {
		lose_trust(p, e);
		if (session_active(p, e))
			call_off(p, e);
	}
	if (session_active(p, e))
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
			ping_all(p, e);
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
	bool active = session_active(p, e);
	if (e->check_ms)
		t = earliest(t, e->check_ms);
	if (e->answer_rounds)
		t = earliest(t, e->answer_ms);
	if (e->call_wanted && active && p->n_own)
		t = earliest(t, p->now_ms + CALL_GAP_MS);
	if (session_trusted(p, e)) {
		t = earliest(t, e->trust_ms);
		t = earliest(t, liveness_due(p, e));
		if (active)
			t = earliest(t, e->better_ms);
		if (active && !e->check_ms) { /* else a ping is out already */
			t = earliest(t, e->best_pinged_ms + HEARTBEAT_MS);
			if (e->unanswered_ms)
				t = earliest(t, e->unanswered_ms + silence_time(e));
		}
	} else if (active) {
		t = earliest(t, e->round_ms);
	}
	return active ? earliest(t, e->sent_ms + SESSION_MS) : t;
}

void session_step(struct path *p, struct peer *e)
{
	uint64_t now = p->now_ms;
	bool active = session_active(p, e);
	e->next_ms = UINT64_MAX;
	if (e->has_best && e->trust_ms && now >= e->trust_ms)
		lose_trust(p, e);
	if (e->check_ms && now >= e->check_ms)
		check_failed(p, e);
	if (e->answer_rounds && now >= e->answer_ms) {
		ping_all(p, e);
		e->answer_rounds--;
		e->answer_ms = now + (e->answer_rounds == ANSWER_ROUNDS - 1 ? 100 : 200);
	}
	liveness_step(p, e);
	if (active && session_trusted(p, e))
		step_trusted(p, e);
	else if (active && now >= e->round_ms && !key_is_zero(e->disco.b))
		run_round(p, e);
	if (active && !is_sure(p, e))
		call(p, e);
	uint64_t next = next_step(p, e);
	if (next == UINT64_MAX)
		unlist(p, e);
	else
		session_at(p, e, next > now ? next : now + 1);
}

void session_self_fresh(struct path *p, bool changed)
{
	for (struct peer *e = p->active, *next; e; e = next) {
		next = e->next;
		if (!session_active(p, e) || is_sure(p, e))
			continue;
		if (changed)
			e->call_wanted = true;
		call(p, e);
		if (changed && !session_trusted(p, e))
			session_answer_burst(
				p, e); /* the peer will try the new places now: open them from inside */
	}
}

static void note_sent(struct path *p, struct peer *e, uint64_t gap_ms)
{
	if (!session_trusted(p, e))
		return;
	if (!e->unanswered_ms && !e->live.shut) { /* shut: nothing goes this way that could be answered */
		e->unanswered_ms = p->now_ms;
		session_at(p, e, p->now_ms + silence_time(e));
	}
	if (!e->no_data_ms || gap_ms > TALK_GAP_MS)
		e->no_data_ms = p->now_ms;
	else if (p->now_ms - e->no_data_ms >= DATA_SILENCE_MS &&
		 p->now_ms - e->live.proven_ms >= DATA_SILENCE_MS)
		e->data_dead = true; /* not by proof: the peer may not answer inside the tunnel */
	liveness_sent(p, e);
}

/* Without a relay, where the peer was last heard is better than nowhere. */
static bool last_heard(const struct peer *e, struct endpoint *at)
{
	uint64_t newest = 0;
	for (size_t i = 0; i < e->n_cands; i++) {
		const struct candidate *c = &e->cands[i];
		uint64_t heard = c->heard_ms > c->ponged_ms ? c->heard_ms : c->ponged_ms;
		if (heard > newest) {
			newest = heard;
			*at = c->at;
		}
	}
	return newest > 0;
}

static struct path_way way_now(const struct path *p, const struct peer *e)
{
	struct path_way way = { .region = home_for_peer(p, e) };
	way.udp = e->has_best || (!home_is_usable(p, way.region) && last_heard(e, &way.at));
	if (e->has_best)
		way.at = e->best;
	way.relay = way.region != PATH_REGION_NONE && (!is_sure(p, e) || e->data_dead || e->live.shut);
	if (way.relay && e->live.shut)
		way.udp = false;
	return way;
}

struct path_way path_way_quiet(const struct path *p, uint64_t peer)
{
	const struct peer *e = peers_find(p, peer);
	return e ? way_now(p, e) : (struct path_way) { 0 };
}

struct path_way path_way_for(struct path *p, uint64_t now_ms, uint64_t peer)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct peer *e = peers_find(p, peer);
	if (!e)
		return (struct path_way) { 0 };
	bool begins = !session_active(p, e);
	uint64_t gap = p->now_ms - e->sent_ms;
	e->sent_ms = p->last_send_ms = p->now_ms;
	if (begins)
		session_begin(p, e);
	if (key_is_zero(e->disco.b) && !e->has_best && e->n_cands) { /* plain WireGuard peer */
		e->best = e->cands[0].at;
		e->has_best = true;
	}
	note_sent(p, e, gap);
	struct path_way way = way_now(p, e);
	self_flush(p);
	return way;
}
