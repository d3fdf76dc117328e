#include "mesh/path/self.h"
#include "mesh/path/candidates.h"
#include "mesh/path/events.h"
#include "mesh/path/state.h"
#include <string.h>

enum { KEEP_VARYING_MS = 310000 };

static void add(struct path *p, const struct endpoint *at, enum endpoint_type type)
{
	if (!at->port || p->n_own == OWN_MAX)
		return;
	for (size_t i = 0; i < p->n_own; i++) {
		if (endpoint_equal(&p->own[i], at))
			return;
	}
	p->own[p->n_own] = *at;
	p->own_types[p->n_own++] = (uint8_t)type;
}

static void add_local(struct path *p, bool private)
{
	for (size_t i = 0; i < p->n_local; i++) {
		const struct addr *a = &p->local[i];
		bool odd = addr_is_loopback(a) || addr_is_link_local(a) || addr_is_multicast(a) ||
			   addr_is_unspecified(a);
		struct endpoint at = { .ip = *a, .port = p->port };
		if (!odd && addr_is_private(a) == private)
			add(p, &at, ENDPOINT_LOCAL);
	}
}

/* Best first: what the router maps, what STUN saw, then a guess for hard NATs with a fixed forwarded port, then local addresses. */
void self_rebuild(struct path *p)
{
	struct endpoint old[OWN_MAX];
	size_t n_old = p->n_own;
	memcpy(old, p->own, sizeof(old));
	p->n_own = 0;
	add(p, &p->mapped, ENDPOINT_PORTMAPPED);
	add(p, &p->mapped6, ENDPOINT_PORTMAPPED);
	for (size_t i = 0; i < p->n_seen; i++)
		add(p, &p->seen[i].at,
			candidates_is_self(p, &p->seen[i].at) ? ENDPOINT_LOCAL : ENDPOINT_STUN);
	if (p->varies == OPT_TRUE && endpoint_is_set(&p->global4)) {
		struct endpoint guess = { .ip = p->global4.ip, .port = p->port };
		add(p, &guess, ENDPOINT_STUN4_LOCAL);
	}
	add_local(p, false);
	add_local(p, true);
	bool same = n_old == p->n_own && memcmp(old, p->own, n_old * sizeof(old[0])) == 0;
	if (!same) {
		p->own_version++;
		events_self_changed(p);
	}
	p->own_fresh = true; /* told by session_settle */
	p->own_moved |= !same;
}

void self_seen(struct path *p, const struct endpoint *at)
{
	struct seen_self *s = NULL;
	for (size_t i = 0; i < p->n_seen && !s; i++) {
		if (endpoint_equal(&p->seen[i].at, at))
			s = &p->seen[i];
	}
	if (!s && p->n_seen < SELF_MAX)
		s = &p->seen[p->n_seen++];
	if (!s) { /* full: the oldest gives way */
		s = &p->seen[0];
		for (size_t i = 1; i < p->n_seen; i++) {
			if (p->seen[i].seen_ms < s->seen_ms)
				s = &p->seen[i];
		}
	}
	s->at = *at;
	s->seen_ms = p->now_ms;
	self_rebuild(p);
}

/* A NAT that maps each destination differently shows others to each set of servers asked: those live on a
 * while, or the list would change with every report. */
void self_forget_before(struct path *p, uint64_t ms)
{
	size_t kept = 0;
	if (p->varies == OPT_TRUE)
		ms = p->now_ms > KEEP_VARYING_MS ? p->now_ms - KEEP_VARYING_MS : 0;
	for (size_t i = 0; i < p->n_seen; i++) {
		if (p->seen[i].seen_ms >= ms)
			p->seen[kept++] = p->seen[i];
	}
	p->n_seen = kept;
	self_rebuild(p);
}
