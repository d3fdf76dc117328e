/* Which prefixes make IPv6 of IPv4 here (RFC 7050): whoever is asked for ipv4only.arpa, which has IPv4 addresses alone,
 * makes IPv6 addresses of them if he knows a translator. He is asked at once, again ten seconds before what he said is
 * over (3), and soon after he said nothing. What was found holds until he says otherwise: while he is away nothing new
 * is resolved, and what is in the cache leads where it led. */
#include "resolver/core.h"
#include "resolver/dns64.h"

#include <stdlib.h>

enum {
	EARLY_MS = 10000,
	SHORTEST_MS = 10000,
	LACK_SHORTEST_MS = 60000,
	FIRST_AGAIN_MS = 1000,
	LAST_AGAIN_MS = 300000,
};

void dns64_search_set(struct resolver *r, bool on, const struct nat64 *given)
{
	struct dns64_search *s = &r->dns64_search;
	if (!on || !s->on)
		r->dns64.n = 0;
	if (!on)
		nat64_set_add(&r->dns64, given);
	s->on = on;
	dns64_search_again(r);
}

void dns64_search_again(struct resolver *r)
{
	r->dns64_search.due_ms = 0;
	r->dns64_search.again_ms = FIRST_AGAIN_MS;
	r->dns64_search.over = r->dns64_search.out;
}

uint64_t dns64_search_deadline(const struct resolver *r)
{
	const struct dns64_search *s = &r->dns64_search;
	return s->on && !s->out ? s->due_ms : UINT64_MAX;
}

/* By whatever route the name has: who translates may be another than who resolves the rest. Not out of the cache, and not
 * what is made here. false: nobody can be asked just now. */
static bool ask(struct resolver *r, uint64_t now_ms)
{
	struct flight_key key = { .type = DNS_AAAA };
	(void)dns_name_parse(NAT64_NAME, &key.name);
	key.route = query_route(r, &key.name, DNS_AAAA);
	struct waiter *w = key.route && key.route->n && r->n_waiters < WAITERS_MAX
				   ? spare_get(&r->spare_waiters, sizeof(*w))
				   : NULL;
	if (!w)
		return false;
	flight_key_hash(r, &key);
	*w = (struct waiter) { .client = UINT64_MAX, .began_ms = now_ms, .search = true, .q.tcp = true };
	r->n_waiters++;
	r->dns64_search.out = true; /* it may end at once */
	if (flight_join(r, &key, w) || flight_start(r, now_ms, &key, w))
		return true;
	r->dns64_search.out = false;
	r->n_waiters--;
	waiter_free(r, w);
	return false;
}

static void fail(struct dns64_search *s, uint64_t now_ms)
{
	s->due_ms = now_ms + s->again_ms;
	s->again_ms = s->again_ms * 2 < LAST_AGAIN_MS ? s->again_ms * 2 : LAST_AGAIN_MS;
}

void dns64_search_tick(struct resolver *r, uint64_t now_ms)
{
	struct dns64_search *s = &r->dns64_search;
	if (now_ms >= dns64_search_deadline(r) && !ask(r, now_ms))
		fail(s, now_ms);
}

void dns64_search_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l)
{
	struct dns64_search *s = &r->dns64_search;
	struct cache_item item = { .msg = l->msg, .len = l->len };
	unsigned rcode = l->msg ? l->msg[3] & 15 : DNS_SERVFAIL;
	r->n_waiters--;
	waiter_free(r, w);
	bool over = s->over;
	s->out = s->over = false;
	if (!s->on || over) /* that was due already */
		return;
	if (l->truncated || (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN)) {
		fail(s, now_ms);
		return;
	}
	uint32_t ttl_s;
	dns64_prefixes(&item, &r->dns64, &ttl_s);
	ready_forget(r->ready);
	uint64_t for_ms = (uint64_t)ttl_s * 1000, least_ms = r->dns64.n ? SHORTEST_MS : LACK_SHORTEST_MS;
	if (r->dns64.n)
		for_ms = for_ms > EARLY_MS ? for_ms - EARLY_MS : 0;
	s->due_ms = now_ms + (for_ms > least_ms ? for_ms : least_ms);
	s->again_ms = FIRST_AGAIN_MS;
}
