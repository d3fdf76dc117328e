/* What a flight sends: to whom, when to the next, and what it may still expect. flight.c has the whole. */
#include "resolver/flight.h"

#include "mesh/base/buf.h"

enum {
	HELD_RACE_MS = 100,
	STREAM_AGAIN_MS =
		1600, /* a connection loses nothing; but it may be dead, and the exchange then takes another */
	EXPECTED_MS = 1500, /* a preferred upstream that was silent for so long is not waited for any more */
};

uint64_t attempt_random(struct resolver *r, size_t n)
{
	if (r->n_pool < n) {
		r->rnd->fill(r->rnd->arg, r->pool, sizeof(r->pool));
		r->n_pool = sizeof(r->pool);
	}
	r->n_pool -= n;
	return be_get(r->pool + r->n_pool, n);
}

static uint64_t attempt_handle(const struct flight *f, const struct attempt *a)
{
	return (uint64_t)f->generation << 32 | (uint64_t)f->slot << 8 | (uint64_t)(a - f->attempts);
}

void attempt_question(const struct flight *f, const struct attempt *a, struct dns_ask *out)
{
	*out = (struct dns_ask) {
		.id = a->id, .type = f->key.type, .name = &f->key.name, .edns = a->edns, .upper = a->upper
	};
	out->cd = f->key.checking_disabled;
	out->dnssec_ok = f->key.dnssec_ok;
	out->padded = a->to->secure && a->to->secure->by != DNS_SECURE_MESH; /* there all is padded alike */
}

bool attempt_send(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct upstream *to, struct attempt_how how)
{
	uint8_t msg[DNS_ASK_MAX] BUF_UNSET;
	struct dns_ask ask;
	if (f->n_attempts == ATTEMPTS_MAX)
		return false;
	bool lower = !how.tcp && (how.settles || mixed_case_is_lower(f, to));
	uint64_t upper = how.tcp || lower ? 0 : mixed_case_choose(r, now_ms, f, to);
	struct attempt *a = &f->attempts[f->n_attempts++];
	*a = (struct attempt) { .to = to,
		.sent_ms = now_ms,
		.id = (uint16_t)attempt_random(r, 2),
		.waiting = true,
		.tcp = how.tcp,
		.settles = how.settles || lower,
		.upper = upper };
	a->edns = !how.plain && now_ms >= to->plain_until_ms;
	attempt_question(f, a, &ask);
	size_t len = dns_ask_write(msg, &ask);
	if (to->validates)
		r->stats.validated++;
	else if (to->secure)
		r->stats.upstream_secure++;
	else if (how.tcp)
		r->stats.upstream_tcp++;
	r->ops.upstream_send(r->ops.arg, attempt_handle(f, a),
		&(struct resolver_target) { .at = to->at,
			.secure = to->secure,
			.tcp = how.tcp,
			.fresh = lower,
			.validated = to->validates },
		msg, len);
	return true;
}

void attempt_stop(struct resolver *r, struct flight *f, struct attempt *a)
{
	if (!a->waiting)
		return;
	a->waiting = false;
	r->ops.upstream_done(r->ops.arg, attempt_handle(f, a));
}

/* In a strict route: the one whose turn it is until it fails or is held. -1: all did. */
static int strict_turn(const struct flight *f)
{
	for (unsigned i = 0; i < f->n_order; i++)
		if (!f->order[i].failed && !upstream_is_held(f->order[i].to))
			return (int)i;
	return -1;
}

/* Until when it would be idle to ask this one again; 0: it may be asked. */
static uint64_t asked_until(const struct flight *f, const struct upstream *to)
{
	uint64_t until = 0;
	for (unsigned i = 0; to->secure && i < f->n_attempts; i++)
		if (f->attempts[i].waiting && f->attempts[i].to == to)
			until = f->attempts[i].sent_ms + STREAM_AGAIN_MS;
	return until;
}

/* The next upstream in turn that has not failed; in a race all of them, the first time round. */
bool attempt_send_next(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	int only = f->mode == RESOLVER_STRICT ? strict_turn(f) : -1;
	uint64_t later_ms = UINT64_MAX;
	bool sent = false;
	for (unsigned i = 0; i < f->n_order; i++) {
		unsigned round = f->turn / f->n_order, at = f->turn % f->n_order;
		if (f->in_doubt &&
			round >= (f->n_order == 1 ? 2 : 1)) /* few packets to those that say nothing */
			return sent;
		f->turn++;
		if (f->order[at].failed || (only >= 0 && at != (unsigned)only))
			continue;
		struct upstream *to = f->order[at].to;
		uint64_t until = asked_until(f, to);
		if (now_ms < until) {
			later_ms = until < later_ms ? until : later_ms;
			continue;
		}
		if (to->validates && f->n_attempts) /* it asks again by itself */
			return sent;
		uint64_t wait = upstream_patience_ms(to);
		if (!round && f->race && f->n_order > 1 && f->mode != RESOLVER_RACE)
			wait = HELD_RACE_MS;
		f->next_ms = now_ms + (wait << (round < 3 ? round : 3));
		sent = attempt_send(r, now_ms, f, to, (struct attempt_how) { 0 }) || sent;
		if (f->mode != RESOLVER_RACE || f->turn >= f->n_order)
			return sent;
	}
	if (sent || later_ms == UINT64_MAX)
		return sent;
	f->next_ms = later_ms;
	return true;
}

bool flight_is_waiting(const struct flight *f)
{
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].waiting)
			return true;
	return false;
}

bool flight_waits_for(const struct flight *f, const struct upstream *u)
{
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].waiting && f->attempts[i].to == u)
			return true;
	return false;
}

unsigned flight_rank(const struct flight *f, const struct upstream *u)
{
	unsigned i = 0;
	while (i < f->n_order && f->order[i].to != u)
		i++;
	return i;
}

static uint64_t expected_until(const struct attempt *a)
{
	uint64_t trips = (uint64_t)a->to->rtt_ms * 3;
	return a->sent_ms + (trips < EXPECTED_MS ? EXPECTED_MS : trips < DEADLINE_MS ? trips : DEADLINE_MS);
}

/* Until when may an upstream before `rank` answer? 0: none will. */
uint64_t flight_preferred_until(const struct flight *f, unsigned rank, uint64_t now_ms)
{
	uint64_t until = 0;
	for (unsigned i = 0; !f->race && i < f->n_attempts; i++) {
		const struct attempt *a = &f->attempts[i];
		if (!a->waiting || upstream_is_held(a->to) || flight_rank(f, a->to) >= rank)
			continue;
		uint64_t at = expected_until(a);
		if (at > now_ms && at > until)
			until = at;
	}
	return until;
}

/* When is an attempt slower than it should be? */
uint64_t attempt_notice_at(const struct attempt *a)
{
	return a->sent_ms + upstream_patience_ms(a->to);
}

void flight_due_set(struct resolver *r, struct flight *f)
{
	uint64_t due = f->deadline_ms < f->next_ms ? f->deadline_ms : f->next_ms;
	if (f->stale_ms < due)
		due = f->stale_ms;
	if (f->kept && f->kept_until_ms < due)
		due = f->kept_until_ms;
	for (unsigned i = 0; !f->lingering && !f->checks && i < f->n_attempts; i++) {
		const struct attempt *a = &f->attempts[i];
		if (!a->waiting || a->noticed)
			continue;
		uint64_t at = a->tcp && !a->settles ? a->sent_ms + TCP_MS : attempt_notice_at(a);
		if (at < due)
			due = at;
	}
	heap_set(&r->heap, &f->timer, due);
}
