/* Questions to upstreams in flight: whom to ask, when to ask the next, what counts as an answer. The first
 * upstream of the route is asked at once, the next when it is slower than it should be, and so on round until
 * somebody answers or the deadline comes. Errors of one are only believed when all agree. */
#include "resolver/core.h"

#include <errno.h>
#include <stdlib.h>

enum {
	DEADLINE_MS = 3500,	 /* under the 5 s after which clients ask again */
	HELD_DEADLINE_MS = 1000, /* when every upstream is in doubt */
	RACE_MS = 30,
	HELD_RACE_MS = 100,
	TCP_MS = 2000,
	YIELD_MS =
		200, /* out for longer than this, a flight gives its place to a new one when all are taken */
	BAD_PACKETS_MAX = 10, /* then TCP, where strangers cannot answer */
	FAILURE_TTL_S = 1,    /* RFC 9520 */
};

/* ---- deadlines: a binary heap ---- */

static void heap_set(struct resolver *r, size_t at, struct flight *f)
{
	r->heap[at] = f;
	f->heap_at = (uint16_t)at;
}

static void heap_fix(struct resolver *r, struct flight *f)
{
	size_t at = f->heap_at, child;
	for (; at && r->heap[(at - 1) / 2]->due_ms > f->due_ms; at = (at - 1) / 2)
		heap_set(r, at, r->heap[(at - 1) / 2]);
	for (; (child = at * 2 + 1) < r->n_heap; at = child) {
		if (child + 1 < r->n_heap && r->heap[child + 1]->due_ms < r->heap[child]->due_ms)
			child++;
		if (r->heap[child]->due_ms >= f->due_ms)
			break;
		heap_set(r, at, r->heap[child]);
	}
	heap_set(r, at, f);
}

static void heap_remove(struct resolver *r, struct flight *f)
{
	struct flight *last = r->heap[--r->n_heap];
	if (last == f)
		return;
	heap_set(r, f->heap_at, last);
	heap_fix(r, last);
}

uint64_t resolver_deadline(const struct resolver *r)
{
	return r->n_heap ? r->heap[0]->due_ms : UINT64_MAX;
}

/* ---- sending ---- */

static uint16_t random16(struct resolver *r)
{
	if (r->n_pool < 2) {
		r->rnd->fill(r->rnd->arg, r->pool, sizeof(r->pool));
		r->n_pool = sizeof(r->pool);
	}
	r->n_pool -= 2;
	return (uint16_t)be_get(r->pool + r->n_pool, 2);
}

static uint64_t attempt_handle(const struct flight *f, const struct attempt *a)
{
	return (uint64_t)f->generation << 32 | (uint64_t)f->slot << 8 | (uint64_t)(a - f->attempts);
}

static void asked_of(const struct flight *f, const struct attempt *a, struct dns_ask *out)
{
	*out = (struct dns_ask) { .id = a->id, .type = f->key.type, .name = &f->key.name, .edns = a->edns };
	out->cd = f->key.checking_disabled;
	out->dnssec_ok = f->key.dnssec_ok;
}

struct how {
	bool tcp, plain;
};

static bool attempt_send(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct upstream *to, struct how how)
{
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN];
	struct dns_ask ask;
	if (f->n_attempts == ATTEMPTS_MAX)
		return false;
	struct attempt *a = &f->attempts[f->n_attempts++];
	*a = (struct attempt) {
		.to = to, .sent_ms = now_ms, .id = random16(r), .waiting = true, .tcp = how.tcp
	};
	a->edns = !how.plain && now_ms >= to->plain_until_ms;
	asked_of(f, a, &ask);
	size_t len = dns_ask_write(msg, &ask);
	if (how.tcp)
		r->stats.upstream_tcp++;
	r->ops.upstream_send(r->ops.arg, attempt_handle(f, a), &to->at, how.tcp, msg, len);
	return true;
}

static void attempt_stop(struct resolver *r, struct flight *f, struct attempt *a)
{
	if (!a->waiting)
		return;
	a->waiting = false;
	r->ops.upstream_done(r->ops.arg, attempt_handle(f, a));
}

/* The next upstream in turn that has not failed. */
static bool send_next(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	for (unsigned i = 0; i < f->n_order; i++) {
		unsigned round = f->turn / f->n_order, at = f->turn % f->n_order;
		f->turn++;
		if (f->order[at].failed)
			continue;
		struct upstream *to = f->order[at].to;
		uint64_t wait = upstream_patience_ms(to);
		if (!round && f->race)
			wait = f->key.route->race ? RACE_MS : HELD_RACE_MS;
		f->next_ms = now_ms + (wait << (round < 3 ? round : 3));
		return attempt_send(r, now_ms, f, to, (struct how) { 0 });
	}
	return false;
}

static bool is_waiting(const struct flight *f)
{
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].waiting)
			return true;
	return false;
}

static void due_set(struct resolver *r, struct flight *f)
{
	uint64_t due = f->deadline_ms < f->next_ms ? f->deadline_ms : f->next_ms;
	for (unsigned i = 0; i < f->n_attempts; i++) {
		const struct attempt *a = &f->attempts[i];
		if (!a->waiting)
			continue;
		uint64_t at = a->sent_ms + (a->tcp ? TCP_MS : SILENCE_MS);
		if ((a->tcp || !a->struck) && at < due)
			due = at;
	}
	f->due_ms = due;
	heap_fix(r, f);
}

/* ---- beginning and end ---- */

static struct flight **bucket_of(struct resolver *r, uint64_t hash)
{
	return &r->buckets[hash % BUCKETS];
}

static struct cache_key cache_key_of(const struct flight_key *k)
{
	return (struct cache_key) { .split = k->route->split,
		.name = &k->name,
		.type = k->type,
		.dnssec_ok = k->dnssec_ok,
		.checking_disabled = k->checking_disabled };
}

static uint64_t key_hash(const struct resolver *r, const struct flight_key *k)
{
	struct cache_key c = cache_key_of(k);
	return cache_key_hash(&c, r->seed);
}

bool flight_join(struct resolver *r, const struct flight_key *k, struct waiter *w)
{
	uint64_t hash = key_hash(r, k);
	for (struct flight *f = *bucket_of(r, hash); f; f = f->chain) {
		if (f->hash != hash || f->key.type != k->type || !dns_name_equal(&f->key.name, &k->name))
			continue;
		if (f->key.route->split != k->route->split || f->key.dnssec_ok != k->dnssec_ok ||
			f->key.checking_disabled != k->checking_disabled ||
			f->n_waiters == FLIGHT_WAITERS_MAX)
			continue;
		w->next = f->waiters;
		f->waiters = w;
		f->n_waiters++;
		return true;
	}
	return false;
}

bool route_is_dead(const struct route *route)
{
	for (unsigned i = 0; i < route->n; i++)
		if (!upstream_is_dead(route->upstreams[i]))
			return false;
	return true;
}

static bool route_is_in_doubt(const struct route *route)
{
	for (unsigned i = 0; i < route->n; i++)
		if (!upstream_is_held(route->upstreams[i]))
			return false;
	return true;
}

/* Healthy ones in the order of the configuration, then those in doubt. */
static void order_set(struct flight *f)
{
	const struct route *route = f->key.route;
	for (int held = 0; held < 2; held++)
		for (unsigned i = 0; i < route->n; i++)
			if (upstream_is_held(route->upstreams[i]) == held)
				f->order[f->n_order++].to = route->upstreams[i];
}

static struct flight *flight_new(struct resolver *r, uint64_t now_ms, const struct flight_key *k)
{
	struct flight *f = r->n_free ? calloc(1, sizeof(*f)) : NULL;
	if (!f)
		return NULL;
	f->slot = r->free_slots[--r->n_free];
	f->generation = ++r->generations[f->slot];
	f->key = *k;
	f->hash = key_hash(r, k);
	f->routes = r->routes;
	f->routes->refs++;
	f->ede = EDE_NONE;
	f->next_ms = UINT64_MAX;
	r->slots[f->slot] = f;
	f->began_ms = now_ms;
	f->older = r->youngest;
	*(f->older ? &f->older->younger : &r->oldest) = f;
	r->youngest = f;
	f->due_ms = UINT64_MAX;
	heap_set(r, r->n_heap++, f);
	return f;
}

bool flight_start(struct resolver *r, uint64_t now_ms, const struct flight_key *k, struct waiter *w)
{
	struct flight *f = k->route->n ? flight_new(r, now_ms, k) : NULL;
	if (!f)
		return false;
	order_set(f);
	bool in_doubt = route_is_in_doubt(k->route);
	f->race = k->route->race || in_doubt;
	f->deadline_ms = now_ms + (in_doubt ? HELD_DEADLINE_MS : DEADLINE_MS);
	f->waiters = w;
	f->n_waiters = 1;
	f->chain = *bucket_of(r, f->hash);
	*bucket_of(r, f->hash) = f;
	send_next(r, now_ms, f);
	due_set(r, f);
	return true;
}

void flight_probe(struct resolver *r, uint64_t now_ms, const struct flight_key *k)
{
	for (unsigned i = 0; i < k->route->n; i++) {
		struct upstream *u = k->route->upstreams[i];
		struct flight *f = upstream_probe_is_due(u, now_ms) ? flight_new(r, now_ms, k) : NULL;
		if (!f)
			continue;
		r->stats.probes++;
		u->probing = true;
		f->probe = true;
		f->order[f->n_order++].to = u;
		f->deadline_ms = now_ms + SILENCE_MS;
		attempt_send(r, now_ms, f, u, (struct how) { 0 });
		due_set(r, f);
	}
}

static void unlink_flight(struct resolver *r, struct flight *f)
{
	heap_remove(r, f);
	*(f->younger ? &f->younger->older : &r->youngest) = f->older;
	*(f->older ? &f->older->younger : &r->oldest) = f->younger;
	r->slots[f->slot] = NULL;
	r->free_slots[r->n_free++] = f->slot;
	struct flight **at = bucket_of(r, f->hash);
	while (*at && *at != f)
		at = &(*at)->chain;
	if (*at)
		*at = f->chain;
}

static void flight_free(struct flight *f)
{
	if (f->probe)
		f->order[0].to->probing = false;
	routes_put(f->routes);
	free(f->partial);
	free(f);
}

static void land(struct resolver *r, uint64_t now_ms, struct flight *f, const struct landing *l)
{
	unlink_flight(r, f);
	for (unsigned i = 0; i < f->n_attempts; i++) {
		struct attempt *a = &f->attempts[i];
		/* somebody else was faster; was this one slower than it may be? */
		if (a->waiting && !a->tcp && !a->struck && now_ms - a->sent_ms >= upstream_patience_ms(a->to))
			upstream_missed(a->to, now_ms, a->sent_ms);
		attempt_stop(r, f, a);
	}
	for (struct waiter *w = f->waiters, *next; w; w = next) {
		next = w->next;
		query_done(r, now_ms, w, l);
	}
	flight_free(f);
}

/* What the upstreams said is kept for a moment, so that a client that asks again at once does not send us out
 * again. Silence and sockets that fail are not: they end without a word, and each question finds out anew. */
static void failure_keep(struct resolver *r, uint64_t now_ms, const struct flight *f, const struct landing *l)
{
	struct dns_ask asked = { .type = f->key.type, .name = &f->key.name };
	struct cache_key ck = cache_key_of(&f->key);
	struct cache_item known;
	if (!f->rcode || f->probe || cache_find(r->cache, &ck, now_ms, &known))
		return;
	size_t len = answer_error_write(r->clean, &asked, l->rcode, l->ede);
	cache_put(r->cache, &ck, now_ms, FAILURE_TTL_S, r->clean, len);
}

static void fail(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct landing l = { .rcode = f->rcode ? f->rcode : DNS_SERVFAIL, .ede = f->ede };
	if (!f->rcode) {
		r->stats.upstream_timeout++;
		l.ede = f->ede == EDE_NONE ? EDE_NO_AUTHORITY : f->ede;
		l.ede_text = f->own_trouble	    ? "this machine is out of sockets or memory"
			     : l.ede == EDE_NETWORK ? "no upstream can be reached"
						    : "no upstream answered";
	}
	if (f->partial) {
		l.msg = f->partial;
		l.len = f->partial_len;
		l.truncated = true;
	} else {
		failure_keep(r, now_ms, f, &l);
	}
	land(r, now_ms, f, &l);
}

bool flights_yield(struct resolver *r, uint64_t now_ms)
{
	struct flight *f = r->oldest;
	if (!f || now_ms < f->began_ms + YIELD_MS)
		return false;
	r->stats.yielded++;
	land(r, now_ms, f,
		&(struct landing) {
			.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "too many questions at once" });
	return true;
}

/* An upstream is out of the running for this flight. The flight may be gone afterwards. */
static void drop_upstream(struct resolver *r, uint64_t now_ms, struct flight *f, const struct upstream *u)
{
	for (unsigned i = 0; i < f->n_order; i++)
		if (f->order[i].to == u)
			f->order[i].failed = true;
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].to == u)
			attempt_stop(r, f, &f->attempts[i]);
	bool unasked = f->turn < f->n_order;
	if ((unasked || !is_waiting(f)) && !send_next(r, now_ms, f) && !is_waiting(f))
		fail(r, now_ms, f);
	else
		due_set(r, f);
}

/* ---- events ---- */

static struct attempt *attempt_find(struct resolver *r, uint64_t handle, struct flight **out)
{
	unsigned slot = handle >> 8 & 0xffff, number = handle & 0xff;
	struct flight *f = slot < FLIGHTS_MAX ? r->slots[slot] : NULL;
	if (!f || f->generation != handle >> 32 || number >= f->n_attempts || !f->attempts[number].waiting)
		return NULL;
	*out = f;
	return &f->attempts[number];
}

/* The same question by TCP (or without EDNS) to the same server, in place of attempt a. */
static void ask_again(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, struct how how)
{
	struct upstream *to = a->to;
	attempt_stop(r, f, a);
	if (attempt_send(r, now_ms, f, to, how))
		due_set(r, f);
	else
		drop_upstream(r, now_ms, f, to);
}

static void partial_keep(struct flight *f, const uint8_t *msg, size_t len)
{
	if (f->partial || !len || !(f->partial = malloc(len + DNS_OPT_LEN)))
		return;
	memcpy(f->partial, msg, len);
	f->partial[2] |= DNS_TC >> 8;
	f->partial_len = len;
}

static void error_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if ((got->rcode == DNS_FORMERR || got->rcode == DNS_NOTIMP) && a->edns) {
		ask_again(r, now_ms, f, a, (struct how) { .tcp = a->tcp, .plain = true });
		return;
	}
	/* extended ones are about our EDNS with the upstream, and no client without EDNS can be told */
	uint16_t rcode = got->rcode > 15 ? DNS_SERVFAIL : got->rcode;
	f->rcode = !f->rcode || f->rcode == rcode ? rcode : DNS_SERVFAIL;
	if (got->ede != EDE_NONE)
		f->ede = got->ede;
	drop_upstream(r, now_ms, f, a->to);
}

static void answer_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if (got->truncated) {
		partial_keep(f, r->clean, got->len);
		ask_again(r, now_ms, f, a, (struct how) { .tcp = true });
		return;
	}
	bool plain = !a->edns && now_ms >= a->to->plain_until_ms;
	if (got->no_question || (got->rcode != DNS_NOERROR && got->rcode != DNS_NXDOMAIN)) {
		error_received(r, now_ms, f, a, got);
		return;
	}
	if (plain) /* it answers without EDNS what it would not with */
		a->to->plain_until_ms = now_ms + PLAIN_MS;
	struct cache_key ck = cache_key_of(&f->key);
	cache_put(r->cache, &ck, now_ms, got->ttl_s, r->clean, got->len);
	land(r, now_ms, f,
		&(struct landing) { .msg = r->clean, .len = got->len, .rcode = got->rcode, .ede = got->ede });
}

void resolver_upstream_received(
	struct resolver *r, uint64_t now_ms, uint64_t id, const uint8_t *msg, size_t len)
{
	struct flight *f;
	struct attempt *a = attempt_find(r, id, &f);
	struct dns_ask ask;
	struct answer got;
	if (!a)
		return;
	asked_of(f, a, &ask);
	enum answer_read verdict = answer_read(&r->work, msg, len, &ask, a->to->trusted, &got, r->clean);
	if (verdict == ANSWER_OK && got.truncated && a->tcp) /* nothing could be cut there */
		verdict = ANSWER_MALFORMED;
	if (verdict != ANSWER_OK) { /* keep waiting: a forged packet must not end the wait for the real one */
		++*(verdict == ANSWER_MISMATCH ? &r->stats.upstream_mismatch : &r->stats.upstream_malformed);
		if (a->tcp)
			drop_upstream(r, now_ms, f, a->to);
		else if (++a->bad == BAD_PACKETS_MAX)
			ask_again(r, now_ms, f, a, (struct how) { .tcp = true });
		return;
	}
	upstream_answered(a->to, now_ms, a->sent_ms);
	answer_received(r, now_ms, f, a, &got);
}

void resolver_upstream_failed(struct resolver *r, uint64_t now_ms, uint64_t id, int code)
{
	struct flight *f;
	struct attempt *a = attempt_find(r, id, &f);
	if (!a)
		return;
	r->stats.upstream_failed++;
	bool ours = code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS;
	if (!a->tcp && !ours) /* many servers are closed to TCP and well otherwise */
		upstream_rejected(a->to, now_ms);
	f->own_trouble |= ours;
	if (f->ede == EDE_NONE)
		f->ede = ours ? EDE_OTHER : EDE_NETWORK;
	drop_upstream(r, now_ms, f, a->to);
}

void resolver_upstream_doubted(struct resolver *r, uint64_t now_ms, const struct addr *ip)
{
	bool any = false;
	for (struct upstream *u = r->upstreams; u; u = u->next)
		if (addr_equal(&u->at.ip, ip)) {
			upstream_doubted(u, now_ms);
			any = true;
		}
	for (unsigned i = 0; any && i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f || !route_is_in_doubt(f->key.route) || f->deadline_ms <= now_ms + HELD_DEADLINE_MS)
			continue;
		f->deadline_ms = now_ms + HELD_DEADLINE_MS;
		due_set(r, f);
	}
}

static void flight_tick(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct upstream *slow = NULL;
	for (unsigned i = 0; i < f->n_attempts; i++) {
		struct attempt *a = &f->attempts[i];
		if (a->waiting && !a->tcp && !a->struck && now_ms >= a->sent_ms + SILENCE_MS) {
			a->struck = true;
			upstream_missed(a->to, now_ms, a->sent_ms);
		}
		if (a->waiting && a->tcp && now_ms >= a->sent_ms + TCP_MS)
			slow = a->to;
	}
	if (now_ms >= f->deadline_ms) {
		fail(r, now_ms, f);
		return;
	}
	if (slow) {
		drop_upstream(r, now_ms, f, slow);
		return;
	}
	if (now_ms >= f->next_ms && !send_next(r, now_ms, f))
		f->next_ms = UINT64_MAX;
	due_set(r, f);
}

void resolver_tick(struct resolver *r, uint64_t now_ms)
{
	while (r->n_heap && r->heap[0]->due_ms <= now_ms)
		flight_tick(r, now_ms, r->heap[0]);
}

/* ---- housekeeping ---- */

void flights_forget(struct resolver *r, uint64_t client)
{
	for (unsigned i = 0; i < r->n_heap; i++) {
		struct flight *f = r->heap[i];
		for (struct waiter **at = &f->waiters, *w; (w = *at);) {
			if (w->client != client) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			f->n_waiters--;
			r->n_waiters--;
			free(w);
		}
	}
}

void flights_drop(struct resolver *r)
{
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f)
			continue;
		unlink_flight(r, f);
		for (struct waiter *w = f->waiters, *next; w; w = next) {
			next = w->next;
			free(w);
		}
		flight_free(f);
	}
}
