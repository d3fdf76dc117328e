/* Timers of the protocol (paper 6), as facts: the other files say what happened, here is what follows and
 * when. A field of struct wg_peer is a moment in ms, WG_NEVER when it waits for nothing; p->timer is due at
 * the earliest of them or before, in a heap, so that an idle peer costs nothing and wg_deadline is its top.
 * A field is cleared before what it waits for is done: doing it may set it again. What each waits for:
 * keepalive_at  we received data and sent nothing since: say that we are alive
 * lost_at       we sent data and heard nothing since: the session may be dead, shake hands anew
 * retry_at      an initiation was not answered, or may be sent only then
 * wipe_at       no new session for long: forget the keys
 * answer_at     an answer that must not leave together with an initiation of ours */
#include "mesh/wg/core.h"

enum { LOST_MS = WG_KEEPALIVE_MS + WG_RETRY_MS };

/* A peer without a timer is not in the heap; there is room in it for every peer. */
static void set_due(struct wg *w, struct wg_peer *p, uint64_t due)
{
	if (due == WG_NEVER)
		heap_remove(&w->heap, &p->timer);
	else
		heap_set(&w->heap, &p->timer, due);
}

static uint64_t due_of(const struct wg_peer *p)
{
	return p->timer.at ? p->timer.due_ms : WG_NEVER;
}

void wg_timer_forget(struct wg *w, struct wg_peer *p)
{
	set_due(w, p, WG_NEVER);
}

static void arm(struct wg *w, struct wg_peer *p, uint64_t *field, uint64_t at)
{
	*field = at;
	if (at < due_of(p))
		set_due(w, p, at);
}

/* It keeps two ends from acting in step, and is no secret: an answer for each question is a timer for each packet, and the
 * machine's random bytes would cost a system call each. */
static uint64_t jitter(struct wg *w)
{
	w->jitter = w->jitter * 6364136223846793005u + 1442695040888963407u;
	return (w->jitter >> 33) % WG_JITTER_MS;
}

/* --- facts --- */

void wg_timer_data_sent(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	if (p->lost_at == WG_NEVER)
		arm(w, p, &p->lost_at, now_ms + LOST_MS + jitter(w));
}

void wg_timer_data_received(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	if (p->keepalive_at == WG_NEVER)
		arm(w, p, &p->keepalive_at, now_ms + WG_KEEPALIVE_MS);
	else
		p->keepalive_again = true;
}

void wg_timer_initiation_sent(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	arm(w, p, &p->retry_at, now_ms + WG_REPEAT_MS);
}

void wg_timer_session_made(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	p->last_handshake_ms = now_ms;
	p->retry_at = WG_NEVER;
	arm(w, p, &p->wipe_at, now_ms + WG_WIPE_MS);
}

void wg_timer_session_awaited(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	arm(w, p, &p->wipe_at, now_ms + WG_WIPE_MS);
}

void wg_timer_retry_at(struct wg *w, struct wg_peer *p, uint64_t at)
{
	if (p->retry_at == WG_NEVER)
		arm(w, p, &p->retry_at, at);
}

/* wireguard-go answers two copies that come within a moment both, and keeps the session of the second alone.
 */
void wg_timer_repeat_at(struct wg *w, struct wg_peer *p, uint64_t at)
{
	arm(w, p, &p->retry_at, at);
}

/* Half as long again as it has been tried for. */
static uint64_t missed_wait(const struct wg_attempt *a, uint64_t now_ms)
{
	uint64_t half = (now_ms - a->begun_ms) / 2;
	return half > WG_MISSED_MS ? half : WG_MISSED_MS;
}

void wg_timer_missed(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	uint64_t at = now_ms + missed_wait(p->attempt, now_ms);
	p->attempt->missed = true;
	if (at < p->retry_at)
		arm(w, p, &p->retry_at, at);
}

void wg_timer_answer_at(struct wg *w, struct wg_peer *p, uint64_t at)
{
	arm(w, p, &p->answer_at, at);
}

/* --- what passes --- */

static void retry(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	struct wg_attempt *a = p->attempt;
	p->retry_at = WG_NEVER;
	if (!a) {
		wg_transport_want_session(w, now_ms, p);
		return;
	}
	if (!a->repeated) {
		a->repeated = now_ms - a->sent_ms >= WG_REPEAT_MS; /* not a copy for a new path */
		arm(w, p, &p->retry_at,
			a->sent_ms + (a->repeated ? WG_RETRY_MS + jitter(w) : (uint64_t)WG_REPEAT_MS));
		if (a->missed)
			wg_timer_missed(w, now_ms, p);
		wg_handshake_repeat(w, now_ms, p);
		return;
	}
	if (now_ms - a->begun_ms < WG_ATTEMPT_MS) {
		if (!wg_handshake_begin(w, now_ms, p))
			wg_timer_retry_at(w, p, now_ms + WG_RETRY_MS);
		return;
	}
	wg_handshake_abandon(w, p);
	wg_stage_clear(w, p, &w->drops.handshake_failed);
}

static void keep_alive(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	p->keepalive_at = WG_NEVER;
	wg_transport_keepalive(w, now_ms, p);
	if (p->keepalive_again) {
		p->keepalive_again = false;
		arm(w, p, &p->keepalive_at, now_ms + WG_KEEPALIVE_MS);
	}
}

static void serve(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	if (p->wipe_at <= now_ms) {
		p->wipe_at = WG_NEVER;
		wg_session_wipe(w, p);
	}
	if (p->answer_at <= now_ms) {
		p->answer_at = WG_NEVER;
		wg_handshake_answer(w, now_ms, p);
	}
	if (p->keepalive_at <= now_ms)
		keep_alive(w, now_ms, p);
	if (p->lost_at <= now_ms) {
		p->lost_at = WG_NEVER;
		wg_transport_want_session(w, now_ms, p);
	}
	if (p->retry_at <= now_ms)
		retry(w, now_ms, p);
	uint64_t due = p->wipe_at;
	due = p->keepalive_at < due ? p->keepalive_at : due;
	due = p->lost_at < due ? p->lost_at : due;
	due = p->retry_at < due ? p->retry_at : due;
	due = p->answer_at < due ? p->answer_at : due;
	set_due(w, p, due);
}

uint64_t wg_deadline(const struct wg *w)
{
	return w->heap.n ? w->heap.v[0]->due_ms : WG_NEVER;
}

void wg_tick(struct wg *w, uint64_t now_ms)
{
	w->now_ms = now_ms;
	while (w->heap.n && w->heap.v[0]->due_ms <= now_ms)
		serve(w, now_ms, heap_owner(w->heap.v[0], struct wg_peer, timer));
}
