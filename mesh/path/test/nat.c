#include "mesh/path/test/nat.h"
#include <string.h>

/* nf_conntrack's, of UDP. */
enum { ALONE_MS = 30000, ANSWERED_MS = 120000 };

/* Of boxes without a filter, where it matters who is forgotten first. */
static void forget_old(const struct world *w, struct router *r)
{
	size_t kept = 0;
	for (size_t i = 0; r->open && i < r->n_sessions; i++) {
		const struct nat_session *s = &r->sessions[i];
		if (w->now_ms - s->used_ms < (s->answered ? ANSWERED_MS : ALONE_MS))
			r->sessions[kept++] = *s;
	}
	if (r->open)
		r->n_sessions = kept;
}

static bool maps_alike(const struct router *r, const struct nat_session *s, const struct endpoint *dst)
{
	if (r->map == MAP_EIM)
		return true;
	if (!addr_equal(&s->remote.ip, &dst->ip))
		return false;
	return r->map == MAP_ADM || s->remote.port == dst->port;
}

static bool port_taken(const struct router *r, uint16_t port)
{
	for (size_t i = 0; i < r->n_sessions; i++) {
		if (r->sessions[i].port == port && !r->sessions[i].own)
			return true;
	}
	return false;
}

static struct nat_session *add_session(const struct world *w, struct router *r, struct nat_session s)
{
	if (r->n_sessions == SESSIONS_MAX) { /* the oldest flow is forgotten */
		r->n_sessions--;
		memmove(&r->sessions[0], &r->sessions[1], r->n_sessions * sizeof(s));
	}
	s.used = true;
	s.used_ms = w->now_ms;
	r->sessions[r->n_sessions] = s;
	return &r->sessions[r->n_sessions++];
}

/* The box itself has heard from there on this port. */
static struct nat_session *own_flow(struct router *r, uint16_t port, const struct endpoint *remote)
{
	for (size_t i = 0; i < r->n_sessions; i++) {
		struct nat_session *s = &r->sessions[i];
		if (s->own && s->port == port && endpoint_equal(&s->remote, remote))
			return s;
	}
	return NULL;
}

/* As conntrack: a flow known in either direction keeps its mapping; a new one follows the class. *dst becomes
 * the real remote when the inside knows it by an alias. */
uint16_t nat_map_out(struct world *w, struct router *r, const struct endpoint *in, struct endpoint *dst)
{
	const struct nat_session *like = NULL;
	forget_old(w, r);
	for (size_t i = 0; i < r->n_sessions; i++) {
		struct nat_session *s = &r->sessions[i];
		if (!endpoint_equal(&s->in, in))
			continue;
		if (endpoint_equal(&s->alias, dst)) {
			s->answered |= !s->out;
			s->out = true;
			s->used_ms = w->now_ms;
			*dst = s->remote;
			return s->port;
		}
		if (s->out && maps_alike(r, s, dst))
			like = s;
	}
	uint16_t port = like ? like->port : in->port;
	bool spoilt = r->open && own_flow(r, port, dst);
	if ((!like && (r->map != MAP_EIM || port_taken(r, port))) || spoilt) {
		do
			port = (uint16_t)(20000 + world_random(w, 40000));
		while (port_taken(r, port));
	}
	struct nat_session s = { .in = *in, .remote = *dst, .alias = *dst, .port = port, .out = true };
	return add_session(w, r, s)->port;
}

void nat_touch(struct world *w, struct router *r, const struct endpoint *in, const struct endpoint *dst)
{
	forget_old(w, r);
	for (size_t i = 0; i < r->n_sessions; i++) {
		struct nat_session *s = &r->sessions[i];
		if (endpoint_equal(&s->in, in) && endpoint_equal(&s->alias, dst))
			s->used_ms = w->now_ms;
	}
}

static bool passes(const struct router *r, const struct nat_session *s, const struct endpoint *src)
{
	if (s->given)
		return true;
	switch (r->filter) {
	case FILTER_EIF: return true;
	case FILTER_ADF: return s->out && addr_equal(&s->remote.ip, &src->ip);
	default: return s->out && endpoint_equal(&s->remote, src);
	}
}

static bool flow_taken(const struct router *r, const struct endpoint *in, const struct endpoint *alias)
{
	for (size_t i = 0; i < r->n_sessions; i++) {
		if (endpoint_equal(&r->sessions[i].in, in) && endpoint_equal(&r->sessions[i].alias, alias))
			return true;
	}
	return false;
}

/* *src becomes an alias when the inside already talks to the same remote by another mapping: answers must
 * leave by the mapping that the question came in on. */
bool nat_map_in(struct world *w, struct router *r, struct endpoint *src, uint16_t port, struct endpoint *in)
{
	bool ok = false;
	forget_old(w, r);
	for (size_t i = 0; i < r->n_sessions; i++) {
		const struct nat_session *s = &r->sessions[i];
		if (s->port != port || s->own)
			continue;
		ok = ok || passes(r, s, src);
		*in = s->in;
	}
	for (size_t i = 0; ok && i < r->n_sessions; i++) {
		struct nat_session *s = &r->sessions[i];
		if (s->port == port && endpoint_equal(&s->remote, src)) {
			s->answered |= s->out;
			s->used_ms = w->now_ms;
			*src = s->alias;
			return true;
		}
	}
	if (ok) {
		struct nat_session s = { .in = *in, .remote = *src, .alias = *src, .port = port };
		while (flow_taken(r, in, &s.alias))
			s.alias.port = (uint16_t)(1024 + world_random(w, 60000));
		*src = s.alias;
		add_session(w, r, s);
	} else if (r->open) {
		struct nat_session *own = own_flow(r, port, src);
		if (own)
			own->used_ms = w->now_ms;
		else
			add_session(w, r, (struct nat_session) { .remote = *src, .port = port, .own = true });
	}
	return ok;
}
