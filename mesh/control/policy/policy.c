#include "mesh/control/policy/match.h"

#include <string.h>

static bool rule_allows(
	const struct access_rule *r, const struct fleet *f, const struct member *a, const struct member *b)
{
	return match_from(r, f, a) && (match_to(r, f, b) || (r->self && match_same_person(a, b)));
}

bool policy_allows(
	const struct policy *p, const struct fleet *f, const struct member *a, const struct member *b)
{
	if (!p)
		return true;
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_allows(&p->rules[i], f, a, b))
			return true;
	return false;
}

static bool carries(const struct member *m, const struct prefix *route)
{
	for (size_t i = 0; i < m->carries.n; i++)
		if (prefix_equal(&m->carries.v[i], route))
			return true;
	return false;
}

bool policy_has_via(const struct policy *p)
{
	return p && p->via;
}

/* A grant lets a to the route by b alone, or by others like it. */
static bool steers(const struct policy *p, const struct fleet *f, const struct member *a,
	const struct member *b, const struct prefix *route)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].via.n && match_via(&p->rules[i], b) && match_net_to(&p->rules[i], route) &&
			match_from(&p->rules[i], f, a))
			return true;
	return false;
}

static bool reaches(
	const struct policy *p, const struct fleet *f, const struct member *a, const struct prefix *route)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (!p->rules[i].via.n && match_net_to(&p->rules[i], route) && match_from(&p->rules[i], f, a))
			return true;
	return false;
}

static bool serves(const struct member *m, const struct prefix *route)
{
	for (size_t i = 0; i < m->served.n; i++)
		if (prefix_equal(&m->served.v[i], route))
			return true;
	return false;
}

/* Of those that a is steered by b comes first: who serves the route for all, who is online, the oldest. */
static bool is_first_way(const struct policy *p, const struct fleet *f, const struct member *a,
	const struct member *b, const struct prefix *route)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		bool before = serves(m, route) || (m->online == b->online ? m->id < b->id : m->online);
		if (m->id != b->id && before && carries(m, route) && steers(p, f, a, m, route))
			return false;
	}
	return true;
}

bool policy_shows_route(const struct policy *p, const struct fleet *f, const struct member *a,
	const struct member *b, const struct prefix *route)
{
	if (!serves(b, route))
		return policy_has_via(p) && steers(p, f, a, b, route) && !reaches(p, f, a, route) &&
		       is_first_way(p, f, a, b, route);
	if (!p || (route->bits && carries(a, route)))
		return true;
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct access_rule *r = &p->rules[i];
		if (match_net_to(r, route) && (!r->via.n || match_via(r, b)) && match_from(r, f, a))
			return true;
		if (match_net_from(r, route) && (match_to(r, f, a) || (r->self && match_same_person(a, b))))
			return true;
	}
	return false;
}

/* --- who may do what --- */

static const struct tag_owner *tag_owner(const struct policy *p, const char *tag)
{
	for (size_t i = 0; i < p->n_owners; i++)
		if (!strcmp(p->owners[i].tag, tag))
			return &p->owners[i];
	return NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), d = strlen(end);
	return n > d && !strcmp(text + n - d, end);
}

static bool user_is_in(const struct selectors *set, const struct user *user)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct selector *s = &set->v[i];
		if (s->kind == SELECT_MEMBER || s->kind == SELECT_ANY ||
			(s->kind == SELECT_USER && !strcmp(s->text, user->name)) ||
			(s->kind == SELECT_DOMAIN && ends_with(user->name, s->text)) ||
			(s->kind == SELECT_GROUP && user_groups_have(user->groups, s->text)) ||
			(s->kind == SELECT_ROLE && match_role(s, user->role)))
			return true;
	}
	return false;
}

bool policy_owns_tag(const struct policy *p, const char *tag, const struct user *user)
{
	const struct tag_owner *o = p ? tag_owner(p, tag) : NULL;
	return o && user_is_in(&o->owners, user);
}

bool policy_knows_tag(const struct policy *p, const char *tag)
{
	return !p || tag_owner(p, tag);
}

static bool approver_fits(const struct approver *a, const struct prefix *route)
{
	return route->bits ? a->net.bits && a->net.bits <= route->bits && prefix_contains(&a->net, &route->ip)
			   : prefix_equal(&a->net, route);
}

bool policy_approves(
	const struct policy *p, const struct fleet *f, const struct member *m, const struct prefix *route)
{
	for (size_t i = 0; p && i < p->n_approvers; i++)
		if (approver_fits(&p->approvers[i], route) && match_any(&p->approvers[i].who, f, m))
			return true;
	return false;
}
