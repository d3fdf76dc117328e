/* Questions to upstreams in flight: whom to ask, when to ask the next, what counts as an answer.
 *
 * A flight is one question (name, type, DO, CD) to the upstreams of one route; equal questions join it. It is
 *
 *   asked      its askers wait. Upstreams are asked in the order of the route, those that are held last: the
 *              next beside one that is slower than it should be, and so on round until somebody answers, all
 *              fail, or the deadline comes. In a strict route the next is asked when the one before failed the
 *              question or is held; in a race all are asked at once.
 *   stale      asked, and nobody said anything for 1.8 s: those of its askers who can get what the cache has
 *              past its time, and what still comes is for the next.
 *   kept       asked, and a backup said that there is nothing (NXDOMAIN, no such record). That is not believed
 *              while a preferred upstream may still say something else.
 *   lingering  its askers have their reply, the right one or SERVFAIL. An upstream that has said nothing yet
 *              may still do so: its socket stays open, since a late answer shows that it is there, and a
 *              preferred one's goes into the cache. Bounded in number, first to give way when places are short.
 *
 * It ends in flight_end, which frees it. flight_land() alone replies. Errors of one upstream are believed when
 * all agree. A backup's answer serves the question it was asked for and is not cached while a preferred one is
 * expected.
 *
 * A check (check.c) is a flight without askers to one upstream, whose answer is not used.
 *
 * A packet that is no answer to what was asked never ends the wait (it may be forged), but it shows that the
 * upstream is there: it came from its address to a socket of the kernel's choice. */
#include "resolver/flight.h"

#include "mesh/base/buf.h"
#include <stdlib.h>

enum {
	LINGER_MS = 5000, /* from the beginning of the flight */
	LINGERING_MAX = 64,
	YIELD_MS =
		200, /* out for longer than this, a flight gives its place to a new one when all are taken */
	FAILURE_TTL_S = 1,		 /* RFC 9520 */
	STALE_MS = 1800,		 /* RFC 8767 5 */
	REFRESHES_MAX = FLIGHTS_MAX / 4, /* no refreshing while more are out */
};

/* ---- beginning ---- */

static struct flight **bucket_of(struct resolver *r, uint64_t hash)
{
	return &r->buckets[hash % BUCKETS];
}

struct cache_key flight_cache_key(const struct flight_key *k)
{
	return (struct cache_key) { .split = k->route->split,
		.name = &k->name,
		.type = k->type,
		.dnssec_ok = k->dnssec_ok,
		.checking_disabled = k->checking_disabled,
		.hash = k->hash };
}

void flight_key_hash(const struct resolver *r, struct flight_key *k)
{
	k->hash = 0;
	struct cache_key c = flight_cache_key(k);
	k->hash = cache_key_hash(&c, r->seed);
}

/* One that has room for another asker. */
static struct flight *flight_find(struct resolver *r, const struct flight_key *k)
{
	for (struct flight *f = *bucket_of(r, k->hash); f; f = f->chain) {
		if (f->key.hash != k->hash || f->key.type != k->type ||
			!dns_name_equal(&f->key.name, &k->name))
			continue;
		if (f->key.route->split == k->route->split && f->key.dnssec_ok == k->dnssec_ok &&
			f->key.checking_disabled == k->checking_disabled && f->n_waiters < FLIGHT_WAITERS_MAX)
			return f;
	}
	return NULL;
}

static void waiter_add(struct flight *f, struct waiter *w)
{
	w->next = f->waiters;
	f->waiters = w;
	f->n_waiters++;
	if (w->stale && f->stale_ms == UINT64_MAX)
		f->stale_ms = f->began_ms + STALE_MS;
}

bool flight_join(struct resolver *r, const struct flight_key *k, struct waiter *w)
{
	struct flight *f = flight_find(r, k);
	if (!f)
		return false;
	waiter_add(f, w);
	flight_due_set(r, f);
	return true;
}

bool route_is_in_doubt(const struct route *route)
{
	for (unsigned i = 0; i < route->n; i++)
		if (route->upstreams[i]->state < UPSTREAM_HELD)
			return false;
	return true;
}

static uint64_t held_deadline_ms(const struct route *route)
{
	uint64_t ms = HELD_DEADLINE_MS;
	for (unsigned i = 0; i < route->n; i++) {
		uint64_t wait = upstream_check_wait_ms(route->upstreams[i]);
		ms = wait > ms ? wait : ms;
	}
	return ms;
}

/* Healthy ones in the order of the configuration, then those that are held; a ring is left out. */
static void order_set(struct flight *f)
{
	const struct route *route = f->key.route;
	if (route->validator && !f->key.checking_disabled) {
		f->order[f->n_order++].to = route->validator;
		return;
	}
	for (int held = 0; held < 2; held++)
		for (unsigned i = 0; i < route->n; i++) {
			struct upstream *u = route->upstreams[i];
			if (u->state == UPSTREAM_RING)
				f->ring = true;
			else if (upstream_is_held(u) == held)
				f->order[f->n_order++].to = u;
		}
}

static void flight_key_copy(struct flight_key *to, const struct flight_key *from)
{
	to->route = from->route;
	to->hash = from->hash;
	to->type = from->type;
	to->dnssec_ok = from->dnssec_ok;
	to->checking_disabled = from->checking_disabled;
	dns_name_copy(&to->name, &from->name);
}

static struct flight *flight_new(
	struct resolver *r, uint64_t now_ms, const struct flight_key *k, struct routes *routes)
{
	struct flight *f = r->n_free ? spare_get(&r->spare_flights, sizeof(*f)) : NULL;
	if (!f)
		return NULL;
	memset(f, 0, offsetof(struct flight, key));
	f->slot = r->free_slots[--r->n_free];
	f->generation = ++r->generations[f->slot];
	flight_key_copy(&f->key, k);
	f->routes = routes;
	f->routes->refs++;
	f->ede = EDE_NONE;
	f->next_ms = f->stale_ms = UINT64_MAX;
	r->slots[f->slot] = f;
	f->began_ms = now_ms;
	f->older = r->youngest;
	*(f->older ? &f->older->younger : &r->oldest) = f;
	r->youngest = f;
	heap_set(&r->heap, &f->timer, UINT64_MAX);
	return f;
}

bool flight_check(struct resolver *r, uint64_t now_ms, struct routes *routes, struct upstream *u,
	const struct upstream_question *what, bool canary)
{
	struct flight_key key = { .name = what->name, .type = what->type };
	struct flight *f = flight_new(r, now_ms, &key, routes);
	if (!f)
		return false;
	r->stats.probes++;
	u->checks++;
	f->checks = u;
	f->canary = canary;
	f->order[f->n_order++].to = u;
	f->deadline_ms = now_ms + upstream_check_wait_ms(u);
	attempt_send(r, now_ms, f, u, (struct attempt_how) { 0 });
	flight_due_set(r, f);
	return true;
}

/* ---- end ---- */

static void unbucket(struct resolver *r, struct flight *f)
{
	struct flight **at = bucket_of(r, f->key.hash);
	while (*at && *at != f)
		at = &(*at)->chain;
	if (*at)
		*at = f->chain;
	f->chain = NULL;
}

static void flight_unlink(struct resolver *r, struct flight *f)
{
	heap_remove(&r->heap, &f->timer);
	*(f->younger ? &f->younger->older : &r->youngest) = f->older;
	*(f->older ? &f->older->younger : &r->oldest) = f->younger;
	r->slots[f->slot] = NULL;
	r->free_slots[r->n_free++] = f->slot;
	r->n_lingering -= f->lingering;
	unbucket(r, f);
}

static void flight_free(struct resolver *r, struct flight *f)
{
	routes_put(f->routes);
	free(f->partial);
	free(f->kept);
	spare_put(&r->spare_flights, f, sizeof(*f));
}

void flight_end(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct upstream *u = f->checks;
	flight_unlink(r, f);
	for (unsigned i = 0; i < f->n_attempts; i++)
		attempt_stop(r, f, &f->attempts[i]);
	if (u && !--u->checks) {
		bool held = upstream_is_held(u);
		upstream_check_ended(u, now_ms);
		if (!held && upstream_is_held(u))
			flights_hurry(r, now_ms, u);
	}
	flight_free(r, f);
}

/* Keeps the sockets on which somebody may still speak whose word is worth something. false: there are none.
 */
static bool linger(struct resolver *r, uint64_t now_ms, struct flight *f, unsigned rank)
{
	uint64_t until = f->began_ms + LINGER_MS;
	bool any = false;
	if (f->checks || r->n_lingering == LINGERING_MAX || until <= now_ms)
		return false;
	for (unsigned i = 0; i < f->n_attempts; i++) {
		struct attempt *a = &f->attempts[i];
		bool spoke = a->to->heard_ms >= a->sent_ms;
		bool worth = !a->tcp && (!spoke || (!f->race && flight_rank(f, a->to) < rank));
		any = any || (a->waiting && worth);
		if (!worth)
			attempt_stop(r, f, a);
	}
	if (!any)
		return false;
	unbucket(r, f);
	f->lingering = true;
	r->n_lingering++;
	f->next_ms = f->stale_ms = UINT64_MAX;
	f->deadline_ms = until;
	flight_due_set(r, f);
	return true;
}

/* Replies to all who asked. rank: of the upstream that answered. The flight lingers or is gone. */
void flight_land(
	struct resolver *r, uint64_t now_ms, struct flight *f, const struct landing *l, unsigned rank)
{
	struct waiter *waiters = f->waiters;
	struct dns_name name BUF_UNSET; /* l->stale may stand on the flight's */
	struct cache_key stale = l->stale ? *l->stale : (struct cache_key) { 0 };
	struct landing with = *l;
	uint8_t *partial = f->partial, *kept = f->kept; /* l may stand on them */
	dns_name_copy(&name, &f->key.name);
	f->waiters = NULL;
	f->n_waiters = 0;
	f->partial = f->kept = NULL;
	stale.name = &name;
	with.stale = l->stale ? &stale : NULL;
	with.name = &name;
	if (!linger(r, now_ms, f, rank))
		flight_end(r, now_ms, f);
	for (struct waiter *w = waiters, *next; w; w = next) {
		next = w->next;
		query_done(r, now_ms, w, &with);
	}
	free(partial);
	free(kept);
}

/* What the upstreams said is kept for a moment, so that a client that asks again at once does not send us out
 * again. Silence and sockets that fail are not: they end without a word, and each question finds out anew. An
 * answer past its time is worth more than a failure and stays (RFC 8767 5). */
static void failure_keep(struct resolver *r, uint64_t now_ms, const struct flight *f, const struct landing *l)
{
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX];
	struct dns_ask asked = { .type = f->key.type, .name = &f->key.name };
	struct cache_item known;
	cache_tried(r->cache, l->stale, now_ms);
	if (!f->rcode || cache_find_stale(r->cache, l->stale, now_ms, &known))
		return;
	size_t len =
		answer_error_write(msg, &asked, l->rcode, l->ede == EDE_NONE ? EDE_CACHED_ERROR : l->ede);
	cache_put(r->cache, l->stale, now_ms, (struct cache_life) { .ttl_s = FAILURE_TTL_S }, msg, len);
}

static const char *silence_text(const struct flight *f)
{
	return f->own_trouble	       ? "this machine is out of sockets or memory"
	       : f->ring	       ? "the nameserver asks this resolver: a ring"
	       : f->untrusted	       ? "the nameserver shows the wrong certificate or key"
	       : f->ede == EDE_NETWORK ? "no upstream can be reached"
				       : "no upstream answered";
}

static void land_kept(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	flight_land(r, now_ms, f,
		&(struct landing) { .msg = f->kept,
			.len = f->kept_len,
			.rcode = f->kept[3] & 15,
			.ede = (uint16_t)be_get(f->kept, 2) },
		f->n_order);
}

static void flight_fail(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct landing l = { .rcode = f->rcode ? f->rcode : DNS_SERVFAIL, .ede = f->ede };
	struct cache_key ck;
	if (f->kept) {
		land_kept(r, now_ms, f);
		return;
	}
	if (!f->rcode && !f->checks) {
		r->stats.upstream_timeout++;
		l.ede = f->ede == EDE_NONE ? EDE_NO_AUTHORITY : f->ede;
		l.ede_text = silence_text(f);
	}
	if (!f->checks) {
		ck = flight_cache_key(&f->key);
		l.stale = &ck;
	}
	if (f->partial) {
		l.msg = f->partial;
		l.len = f->partial_len;
		l.truncated = true;
	} else if (!f->checks) {
		failure_keep(r, now_ms, f, &l);
	}
	flight_land(r, now_ms, f, &l, 0);
}

bool flight_start(struct resolver *r, uint64_t now_ms, const struct flight_key *k, struct waiter *w)
{
	struct flight *f = k->route->n ? flight_new(r, now_ms, k, r->routes) : NULL;
	if (!f)
		return false;
	order_set(f);
	f->in_doubt = route_is_in_doubt(k->route);
	f->mode = k->route->order;
	f->race = f->mode == RESOLVER_RACE || f->in_doubt;
	f->deadline_ms = now_ms + (f->in_doubt ? held_deadline_ms(k->route) : DEADLINE_MS);
	if (w && f->deadline_ms > w->began_ms + ASKER_WAITS_MS)
		f->deadline_ms = w->began_ms + ASKER_WAITS_MS;
	if (w)
		waiter_add(f, w);
	f->chain = *bucket_of(r, k->hash);
	*bucket_of(r, k->hash) = f;
	if (attempt_send_next(r, now_ms, f))
		flight_due_set(r, f);
	else
		flight_fail(r, now_ms, f);
	return true;
}

bool flight_refresh(struct resolver *r, uint64_t now_ms, const struct flight_key *k)
{
	return r->n_free > FLIGHTS_MAX - REFRESHES_MAX && !flight_find(r, k) &&
	       flight_start(r, now_ms, k, NULL);
}

/* Checks are few, and their end is a verdict: they do not give way. */
static struct flight *oldest_to_yield(struct resolver *r)
{
	struct flight *oldest = NULL;
	for (struct flight *f = r->oldest; f; f = f->younger) {
		if (f->lingering)
			return f;
		if (!oldest && !f->checks)
			oldest = f;
		if (!r->n_lingering && oldest)
			break;
	}
	return oldest;
}

bool flights_yield(struct resolver *r, uint64_t now_ms)
{
	struct flight *f = oldest_to_yield(r);
	if (f && f->lingering) {
		flight_end(r, now_ms, f);
		return true;
	}
	if (!f || now_ms < f->began_ms + YIELD_MS)
		return false;
	r->stats.yielded++;
	struct cache_key ck = flight_cache_key(&f->key);
	for (unsigned i = 0; i < f->n_attempts; i++)
		attempt_stop(r, f, &f->attempts[i]);
	flight_land(r, now_ms, f,
		&(struct landing) { .rcode = DNS_SERVFAIL,
			.ede = EDE_OTHER,
			.ede_text = "too many questions at once",
			.stale = &ck },
		0);
	return true;
}

/* What was kept is believed when nobody preferred is expected any more. true: the flight landed. */
static bool kept_lands(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	if (!f->kept || (now_ms < f->kept_until_ms && flight_preferred_until(f, f->kept_rank, now_ms)))
		return false;
	land_kept(r, now_ms, f);
	return true;
}

/* An upstream is out of the running for this flight. The flight may be gone afterwards. */
void flight_drop_upstream(struct resolver *r, uint64_t now_ms, struct flight *f, const struct upstream *u)
{
	for (unsigned i = 0; i < f->n_order; i++)
		if (f->order[i].to == u)
			f->order[i].failed = true;
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].to == u)
			attempt_stop(r, f, &f->attempts[i]);
	if (f->lingering) {
		if (!flight_is_waiting(f))
			flight_end(r, now_ms, f);
		return;
	}
	if (kept_lands(r, now_ms, f))
		return;
	bool unasked = f->turn < f->n_order;
	if ((unasked || !flight_is_waiting(f)) && !attempt_send_next(r, now_ms, f) && !flight_is_waiting(f))
		flight_fail(r, now_ms, f);
	else
		flight_due_set(r, f);
}

void resolver_upstream_doubted(struct resolver *r, uint64_t now_ms, const struct addr *ip)
{
	bool any = false;
	for (struct upstream *u = r->upstreams; u; u = u->next)
		if (addr_equal(&u->at.ip, ip)) {
			upstream_doubted(u, now_ms);
			flights_hurry(r, now_ms, u);
			any = true;
		}
	for (unsigned i = 0; any && i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f || f->checks || f->lingering || !route_is_in_doubt(f->key.route))
			continue;
		uint64_t deadline = now_ms + held_deadline_ms(f->key.route);
		if (f->deadline_ms > deadline) {
			f->deadline_ms = deadline;
			flight_due_set(r, f);
		}
	}
}

void flights_hurry(struct resolver *r, uint64_t now_ms, const struct upstream *u)
{
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f || f->checks || f->lingering || !flight_waits_for(f, u))
			continue;
		if (f->turn < f->n_order || f->mode == RESOLVER_STRICT)
			f->next_ms = now_ms;
		if (f->kept && !flight_preferred_until(f, f->kept_rank, now_ms))
			f->kept_until_ms = now_ms;
		flight_due_set(r, f);
	}
}

void flights_leave(struct resolver *r, uint64_t now_ms, const struct upstream *u)
{
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f || f->checks || flight_rank(f, u) == f->n_order)
			continue;
		f->ring = true;
		if (f->lingering) {
			flight_drop_upstream(r, now_ms, f, u);
			continue;
		}
		f->next_ms = now_ms;
		flight_due_set(r, f);
	}
}

/* One that it was to ask, or asked, and that has been found to ask us; NULL: none. */
static const struct upstream *ring_of(const struct flight *f)
{
	for (unsigned i = 0; f->ring && i < f->n_order; i++)
		if (!f->order[i].failed && upstream_is_ring(f->order[i].to))
			return f->order[i].to;
	return NULL;
}

/* Attempts that are slower than they should be put their upstream in question, once each. Returns an upstream
 * whose TCP connection is too slow, or NULL. */
static struct upstream *slow_notice(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct upstream *slow = NULL;
	for (unsigned i = 0; i < f->n_attempts; i++) {
		struct attempt *a = &f->attempts[i];
		if (!a->waiting)
			continue;
		if (a->tcp && !a->settles) {
			slow = now_ms >= a->sent_ms + TCP_MS ? a->to : slow;
		} else if (!a->noticed && now_ms >= attempt_notice_at(a)) {
			a->noticed = true;
			if (a->tcp)
				mixed_case_slow(r, now_ms, f, a);
			else if (upstream_is_in_question(a->to, now_ms, a->sent_ms))
				check_start(r, now_ms, f->routes, a->to, &f->key.name);
		}
	}
	return slow;
}

/* Those who can fall back on what is past its time have waited enough. The flight goes on for the cache. */
static void stale_land(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	struct dns_name name = f->key.name; /* the flight may be gone before the last of them has his reply */
	struct cache_key ck = flight_cache_key(&f->key);
	struct cache_item item;
	struct waiter *waiters = NULL;
	f->stale_ms = UINT64_MAX;
	flight_due_set(r, f);
	ck.name = &name;
	if (!cache_find_stale(r->cache, &ck, now_ms, &item))
		return;
	cache_tried(r->cache, &ck, now_ms);
	for (struct waiter **at = &f->waiters, *w; (w = *at);) {
		if (!w->stale) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		f->n_waiters--;
		w->next = waiters;
		waiters = w;
	}
	for (struct waiter *w = waiters, *next; w; w = next) {
		next = w->next;
		query_done(r, now_ms, w,
			&(struct landing) { .rcode = DNS_SERVFAIL, .ede = EDE_NO_AUTHORITY, .stale = &ck });
	}
}

static void flight_tick(struct resolver *r, uint64_t now_ms, struct flight *f)
{
	if (f->lingering || (f->checks && now_ms >= f->deadline_ms)) {
		flight_end(r, now_ms, f);
		return;
	}
	struct upstream *slow = f->checks ? NULL : slow_notice(r, now_ms, f);
	if (now_ms >= f->deadline_ms) {
		flight_fail(r, now_ms, f);
		return;
	}
	if (kept_lands(r, now_ms, f))
		return;
	if (now_ms >= f->stale_ms) {
		stale_land(r, now_ms, f);
		return;
	}
	const struct upstream *out = slow ? slow : ring_of(f);
	if (out) {
		flight_drop_upstream(r, now_ms, f, out);
		return;
	}
	if (now_ms >= f->next_ms && !attempt_send_next(r, now_ms, f))
		f->next_ms = UINT64_MAX;
	flight_due_set(r, f);
}

void resolver_tick(struct resolver *r, uint64_t now_ms)
{
	hold_tick(r, now_ms);
	dns64_search_tick(r, now_ms);
	for (unsigned n = 0; n < DUE_AT_ONCE && r->heap.n && r->heap.v[0]->due_ms <= now_ms; n++)
		flight_tick(r, now_ms, heap_owner(r->heap.v[0], struct flight, timer));
}

uint64_t resolver_deadline(const struct resolver *r)
{
	uint64_t held = hold_deadline(r), first = r->heap.n ? r->heap.v[0]->due_ms : UINT64_MAX;
	uint64_t search = dns64_search_deadline(r);
	first = first < held ? first : held;
	return first < search ? first : search;
}

/* ---- housekeeping ---- */

void flights_forget(struct resolver *r, uint64_t client)
{
	for (size_t i = 0; i < r->heap.n; i++) {
		struct flight *f = heap_owner(r->heap.v[i], struct flight, timer);
		for (struct waiter **at = &f->waiters, *w; (w = *at);) {
			if (w->client != client) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			f->n_waiters--;
			r->n_waiters--;
			waiter_free(r, w);
		}
	}
}

void flights_drop(struct resolver *r)
{
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		struct flight *f = r->slots[i];
		if (!f)
			continue;
		flight_unlink(r, f);
		for (struct waiter *w = f->waiters, *next; w; w = next) {
			next = w->next;
			waiter_free(r, w);
		}
		flight_free(r, f);
	}
}
