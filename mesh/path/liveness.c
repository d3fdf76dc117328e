#include "mesh/path/liveness.h"
#include "mesh/path/card.h"
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"

/* A middlebox may pass disco and swallow WireGuard, in one direction or both. So data is asked for proof:
 * what is answered inside the tunnel, sent by the direct way alone. Without an answer the relay is asked too:
 * only a peer that answers there but not here has told that the way is shut. */
enum {
	QUIET_MS = 500,	     /* sending with no data back: ask ... */
	QUIET_GAP_MS = 3000, /* ... but no sooner than this after the last answer */
	PROVE_MS = 10000,    /* sending: ask this often in any case */
	AGAIN_MS = 5000,     /* shut: has it opened? */
	RELAY_WAIT_MS = 1500,
	QUESTIONS = 3
};

/* A new way is believed, but not for long when nothing comes back. */
void liveness_begin(struct path *p, struct peer *e)
{
	uint64_t early = QUIET_GAP_MS - QUIET_MS;
	e->live = (struct liveness) { .sent_ms = e->live.sent_ms };
	e->live.proven_ms = p->now_ms > early ? p->now_ms - early : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t liveness_due(const struct path *p, const struct peer *e)
{
	const struct liveness *l = &e->live;
	if (!p->ops.probe_data || !peer_active(p, e) || !way_trusted(p, e))
		return UINT64_MAX;
	if (l->asked) {
		bool waits = l->asked == QUESTIONS && !way_shut(e) && !l->relay_answered;
		uint64_t wait = way_check_time(e);
		return l->asked_ms + (waits ? later(RELAY_WAIT_MS, wait) : wait);
	}
	if (way_shut(e))
		return l->asked_ms + AGAIN_MS;
	if (l->sent_ms <= l->proven_ms)
		return UINT64_MAX;
	uint64_t last = later(l->proven_ms, l->asked_ms), quiet = UINT64_MAX;
	bool probes_pass = !e->check_ms && e->direct_ms >= e->no_data_ms;
	if (e->no_data_ms && probes_pass)
		quiet = later(e->no_data_ms + QUIET_MS, last + QUIET_GAP_MS);
	return quiet < last + PROVE_MS ? quiet : last + PROVE_MS;
}

void liveness_sent(struct path *p, struct peer *e)
{
	e->live.sent_ms = p->now_ms;
	liveness_wake(p, e);
}

void liveness_wake(struct path *p, struct peer *e)
{
	uint64_t due = liveness_due(p, e);
	if (due != UINT64_MAX && due < e->next_ms)
		peer_wake(p, e, due > p->now_ms ? due : p->now_ms + 1);
}

static void end_series(struct path *p, struct peer *e)
{
	struct liveness *l = &e->live;
	l->asked = 0;
	if (l->relay_answered) /* answers nowhere are no word about this way */
		way_data_feed(p, e, DATA_EV_REFUTED);
}

void liveness_step(struct path *p, struct peer *e)
{
	struct liveness *l = &e->live;
	if (p->now_ms < liveness_due(p, e))
		return;
	if (l->asked == QUESTIONS || (l->asked && way_shut(e))) {
		end_series(p, e);
		return;
	}
	if (!l->asked) {
		p->rnd.fill(p->rnd.arg, &l->token, sizeof(l->token));
		l->relay_token = ~l->token;
		l->relay_answered = false;
	}
	l->asked++;
	l->asked_ms = p->now_ms;
	events_ask(p, e, false);
	if (l->asked == QUESTIONS)
		events_ask(p, e, true);
}

void path_data_answered(struct path *p, uint64_t now_ms, uint64_t peer, uint64_t token)
{
	state_advance(p, now_ms);
	struct peer *e = peer_made(p, peer);
	if (!e || !e->live.asked)
		return;
	struct liveness *l = &e->live;
	if (token == l->relay_token) {
		l->relay_answered = true;
		peer_wake(p, e, p->now_ms + 1);
		return;
	}
	if (token != l->token)
		return;
	l->asked = 0;
	l->proven_ms = p->now_ms;
	way_data_feed(p, e, DATA_EV_PROVEN);
}
