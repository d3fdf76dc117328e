#include "mesh/path/candidates.h"
#include "mesh/path/state.h"
#include <stdlib.h>
#include <string.h>

struct candidate *candidates_find(struct peer *e, const struct endpoint *at)
{
	for (size_t i = 0; i < e->n_cands; i++) {
		if (endpoint_equal(&e->cands[i].at, at))
			return &e->cands[i];
	}
	return NULL;
}

/* Addresses a stranger may name but nothing must ever be sent to. */
bool candidates_sendable(const struct endpoint *at)
{
	const struct addr *a = &at->ip;
	if (at->port == 0 || addr_is_unspecified(a) || addr_is_multicast(a) || addr_is_loopback(a))
		return false;
	if (addr_is_v4(a))
		return addr_v4_get(a) != 0xffffffff && addr_v4_get(a) >> 24 != 0;
	return !addr_is_link_local(a);
}

static void unindex(struct path *p, struct peer *e, struct candidate *c)
{
	if (c->indexed && table_get(&p->by_endpoint, &c->at) == e)
		table_remove(&p->by_endpoint, &c->at);
	c->indexed = false;
}

static uint64_t worth(const struct candidate *c)
{
	return c->ponged_ms > c->heard_ms ? c->ponged_ms : c->heard_ms;
}

static bool is_best(const struct peer *e, const struct candidate *c)
{
	return e->way_state != WAY_NONE && endpoint_equal(&e->best, &c->at);
}

/* Full: what was learnt by packets gives way, least recently heard first. The map's word is kept. */
static struct candidate *evict(struct path *p, struct peer *e)
{
	struct candidate *victim = NULL;
	if (!e->cands)
		return NULL;
	for (size_t i = 0; i < e->n_cands; i++) {
		struct candidate *c = &e->cands[i];
		if (!(c->from & FROM_NETMAP) && !is_best(e, c) && (!victim || worth(c) < worth(victim)))
			victim = c;
	}
	if (victim)
		unindex(p, e, victim);
	return victim;
}

bool candidates_reserve(struct peer *e, size_t n)
{
	size_t size = e->cands_size ? e->cands_size : 4u;
	if (n <= e->cands_size)
		return true;
	while (size < n)
		size *= 2;
	struct candidate *more = realloc(e->cands, size * sizeof(*more));
	if (!more)
		return false;
	e->cands = more;
	e->cands_size = (uint8_t)size;
	return true;
}

static struct candidate *candidates_grow(struct path *p, struct peer *e)
{
	if (e->n_cands == CANDIDATES_MAX)
		return evict(p, e);
	return candidates_reserve(e, e->n_cands + 1u) ? &e->cands[e->n_cands++] : NULL;
}

struct candidate *candidates_add(struct path *p, struct peer *e, const struct endpoint *at, uint8_t from)
{
	if (!candidates_sendable(at))
		return NULL;
	struct candidate *c = candidates_find(e, at);
	if (!c) {
		c = candidates_grow(p, e);
		if (!c)
			return NULL;
		*c = (struct candidate) { .at = *at };
	}
	c->from |= from;
	return c;
}

void candidates_forget(struct path *p, struct peer *e, uint8_t from)
{
	(void)p;
	for (size_t i = 0; i < e->n_cands; i++)
		e->cands[i].from &= (uint8_t)~from;
}

void candidates_sweep(struct path *p, struct peer *e)
{
	size_t kept = 0;
	for (size_t i = 0; i < e->n_cands; i++) {
		struct candidate *c = &e->cands[i];
		bool proven = c->ponged_ms && p->now_ms - c->ponged_ms < SESSION_MS;
		if (!c->from && !proven && !is_best(e, c)) {
			unindex(p, e, c);
			continue;
		}
		e->cands[kept++] = *c;
	}
	e->n_cands = (uint8_t)kept;
}

void candidates_prove(struct path *p, struct peer *e, struct candidate *c)
{
	if (table_put(&p->by_endpoint, &c->at, e))
		c->indexed = true;
}

bool candidates_usable(const struct path *p, const struct candidate *c)
{
	bool family = addr_is_v4(&c->at.ip) ? p->have4 || p->nat64 || !p->have6 : p->have6;
	return family && c->bad_until_ms <= p->now_ms && !candidates_is_self(p, &c->at);
}

bool candidates_on_our_link(const struct path *p, const struct addr *a)
{
	for (size_t i = 0; i < p->n_local; i++) {
		/* Masks are not known here: /24 and /64 are what home and office links have. */
		size_t same = addr_is_v4(a) ? 15 : 8;
		if (addr_is_v4(&p->local[i]) == addr_is_v4(a) && memcmp(p->local[i].b, a->b, same) == 0)
			return true;
	}
	return false;
}

bool candidates_is_neighbour(const struct path *p, const struct addr *a)
{
	enum { NET = 15 }; /* bytes of an address: /24, for masks are not known */
	return addr_is_v4(a) && !addr_is_inside(a) && !addr_equal(a, &p->global4.ip) &&
	       memcmp(a->b, p->global4.ip.b, NET) == 0;
}

/* Lower is better. Near ways get a bonus in percent (tailscale-protocol.md 3.3); a way through our own
 * router's public address is a hairpin and pays. The constant keeps a millisecond of jitter from deciding. */
double candidates_cost(const struct path *p, const struct endpoint *at, double latency_ms)
{
	int bonus = 0;
	if (addr_is_loopback(&at->ip))
		bonus = 50;
	else if (addr_is_link_local(&at->ip))
		bonus = 30;
	else if (addr_is_private(&at->ip) || candidates_on_our_link(p, &at->ip))
		bonus = 20;
	if (!addr_is_v4(&at->ip))
		bonus += 10;
	if (bonus < 20 && endpoint_is_set(&p->global4) && addr_equal(&at->ip, &p->global4.ip))
		bonus -= 20;
	return (latency_ms + 5) * (100 - bonus);
}

bool candidates_is_self(const struct path *p, const struct endpoint *at)
{
	if (at->port != p->port)
		return false;
	for (size_t i = 0; i < p->n_local; i++) {
		if (addr_equal(&p->local[i], &at->ip))
			return true;
	}
	return false;
}
