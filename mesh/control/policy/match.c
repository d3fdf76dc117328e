#include "mesh/control/policy/match.h"

#include <string.h>

bool selectors_have(const struct selectors *set, enum selector_kind kind)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->v[i].kind == kind)
			return true;
	return false;
}

static const struct user *person_of(const struct fleet *f, const struct member *m)
{
	return member_is_tagged(m) ? NULL : fleet_user(f, m->user);
}

static bool in_domain(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);
	return n > d && !strcmp(name + n - d, domain);
}

static bool has_address_in(const struct prefix *net, const struct member *m)
{
	return (m->has_v4 && prefix_contains(net, &m->v4)) || (m->has_v6 && prefix_contains(net, &m->v6));
}

bool match_role(const struct selector *s, enum user_role role)
{
	return role == s->role || (role == USER_OWNER && s->role == USER_ADMIN);
}

bool match_target(const struct selector *s, const struct fleet *f, const struct member *m)
{
	const struct user *u;
	switch (s->kind) {
	case SELECT_ANY:
	case SELECT_WORLD: return true;
	case SELECT_USER: return (u = person_of(f, m)) && !strcmp(s->text, u->name);
	case SELECT_DOMAIN: return (u = person_of(f, m)) && in_domain(u->name, s->text);
	case SELECT_GROUP: return !member_is_tagged(m) && user_groups_have(m->groups, s->text);
	case SELECT_TAG: return member_has_tag(m, s->text);
	case SELECT_PREFIX: return has_address_in(&s->net, m);
	case SELECT_MEMBER: return !member_is_tagged(m);
	case SELECT_ROLE: return !member_is_tagged(m) && match_role(s, m->role);
	case SELECT_TAGGED: return member_is_tagged(m);
	case SELECT_SELF:
	case SELECT_INTERNET: return false;
	}
	return false;
}

bool match_any(const struct selectors *set, const struct fleet *f, const struct member *m)
{
	for (size_t i = 0; i < set->n; i++)
		if (match_target(&set->v[i], f, m))
			return true;
	return false;
}

bool match_same_person(const struct member *a, const struct member *b)
{
	/* 0: nobody, as of a node that was taken over without its user. */
	return a->user && !member_is_tagged(a) && !member_is_tagged(b) && a->user == b->user;
}

bool match_via(const struct access_rule *r, const struct member *m)
{
	for (size_t i = 0; i < r->via.n; i++)
		if (member_has_tag(m, r->via.v[i].text))
			return true;
	return false;
}

bool match_is_exit(const struct member *m)
{
	for (size_t i = 0; i < m->carries.n; i++)
		if (!m->carries.v[i].bits)
			return true;
	return false;
}

/* An exit is for who may go everywhere or to the internet, not for who may reach one net out there. */
static bool covers(const struct selector *s, const struct prefix *net)
{
	if (s->kind == SELECT_ANY || s->kind == SELECT_WORLD)
		return true;
	if (s->kind == SELECT_INTERNET)
		return !net->bits;
	return s->kind == SELECT_PREFIX &&
	       (net->bits ? prefix_overlaps(&s->net, net) : prefix_equal(&s->net, net));
}

static bool any_covers(const struct selectors *set, const struct prefix *net)
{
	for (size_t i = 0; i < set->n; i++)
		if (covers(&set->v[i], net))
			return true;
	return false;
}

bool match_net_whole(const struct selectors *who, const struct prefix *net)
{
	for (size_t i = 0; i < who->n; i++)
		if (covers(&who->v[i], net) &&
			(who->v[i].kind != SELECT_PREFIX || who->v[i].net.bits <= net->bits))
			return true;
	return false;
}

bool match_net_from(const struct access_rule *r, const struct prefix *net)
{
	return net->bits && any_covers(&r->src, net);
}

bool match_net_to(const struct access_rule *r, const struct prefix *net)
{
	for (size_t i = 0; i < r->n_dst; i++)
		if (any_covers(&r->dst[i].who, net))
			return true;
	return false;
}

bool match_from(const struct access_rule *r, const struct fleet *f, const struct member *m)
{
	if (match_any(&r->src, f, m))
		return true;
	for (size_t i = 0; i < m->carries.n; i++)
		if (match_net_from(r, &m->carries.v[i]))
			return true;
	return false;
}

bool match_to(const struct access_rule *r, const struct fleet *f, const struct member *m)
{
	for (size_t i = 0; i < r->n_dst && !r->via.n; i++)
		if (match_any(&r->dst[i].who, f, m))
			return true;
	if (r->via.n && !match_via(r, m))
		return false;
	for (size_t i = 0; i < m->carries.n; i++)
		if (match_net_to(r, &m->carries.v[i]))
			return true;
	return false;
}
