/* Is an upstream there, and is it somebody else than us?
 *
 * A check is two questions to one upstream: one that it answered before (so it is not the name that is lame),
 * and a canary, a name of two random labels that nobody has. Any word for either ends the doubt (upstream.h).
 * flight.c begins a check when an upstream is silent, query.c lets it be begun again while one is held.
 *
 * A canary that comes to our own listeners was sent on to us: that upstream forwards to this resolver,
 * directly or by others (systemd-resolved, a dnsmasq, a pi-hole that use the machine's resolv.conf). It is a
 * ring then: it is not asked any more, and a canary now and then finds out whether it still is one. */
#include "resolver/core.h"

enum { CANARY_LABEL = 16, CANARY_NAME = 2 * (CANARY_LABEL + 1) + 1 };

static void canary_make(struct resolver *r, struct dns_name *out)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t random[CANARY_LABEL];
	r->rnd->fill(r->rnd->arg, random, sizeof(random));
	out->len = CANARY_NAME;
	out->b[0] = out->b[CANARY_LABEL + 1] = CANARY_LABEL;
	out->b[CANARY_NAME - 1] = 0;
	for (unsigned i = 0; i < CANARY_LABEL; i++) {
		out->b[1 + i] = (uint8_t)hex[random[i] & 15];
		out->b[CANARY_LABEL + 2 + i] = (uint8_t)hex[random[i] >> 4];
	}
}

static bool is_asked(const struct route *route, const struct upstream *u)
{
	bool found = route && route->validator == u;
	for (unsigned i = 0; route && i < route->n; i++)
		found = found || route->upstreams[i] == u;
	return found;
}

void check_start(struct resolver *r, uint64_t now_ms, struct routes *routes, struct upstream *u,
	const struct dns_name * not )
{
	struct upstream_question canary = { .type = DNS_NS };
	canary_make(r, &canary.name);
	upstream_check_began(u, now_ms);
	u->canary = canary.name;
	u->canary_came = false;
	(void)flight_check(r, now_ms, routes, u, &canary, true);
	for (unsigned i = 0; u->state != UPSTREAM_RING && i < KNOWN_MAX; i++) {
		struct upstream_question known = u->known[i];
		if (!known.name.len || (not &&dns_name_equal(&known.name, not )))
			continue;
		if (!is_asked(query_route(r, &known.name, known.type), u)) /* by now it has another route */
			continue;
		(void)flight_check(r, now_ms, routes, u, &known, false);
		break;
	}
	if (!u->checks)
		upstream_check_dropped(u);
}

void check_route(struct resolver *r, uint64_t now_ms, const struct route *route)
{
	bool all_held = true;
	for (unsigned i = 0; i < route->n; i++)
		all_held = all_held && upstream_is_held(route->upstreams[i]);
	for (unsigned i = 0; i < route->n; i++) {
		struct upstream *u = route->upstreams[i];
		/* where all are held, the question itself goes to each of them */
		if (upstream_check_is_due(u, now_ms) && (!all_held || u->state == UPSTREAM_RING))
			check_start(r, now_ms, r->routes, u, NULL);
	}
}

bool check_is_like_canary(const struct dns_name *name)
{
	return name->len == CANARY_NAME && name->b[0] == CANARY_LABEL;
}

bool check_canary_came(struct resolver *r, uint64_t now_ms, const struct dns_name *name)
{
	if (!check_is_like_canary(name))
		return false;
	for (struct upstream *u = r->upstreams; u; u = u->next)
		if (u->canary.len && dns_name_equal(&u->canary, name)) {
			if (u->state != UPSTREAM_RING)
				r->stats.loop++;
			upstream_ringed(u, now_ms);
			flights_leave(r, now_ms, u);
			return true;
		}
	return false;
}

size_t resolver_rings(const struct resolver *r, struct endpoint *out, size_t cap)
{
	size_t n = 0;
	for (const struct upstream *u = r->upstreams; u; u = u->next)
		if (u->state == UPSTREAM_RING && n++ < cap)
			out[n - 1] = u->at;
	return n;
}
