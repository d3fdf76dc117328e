/* Which of the rules that are written are about somebody: of a user's machines as sources, or of an address and port. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/policy.h"
#include <string.h>

/* A grant of several protocols is several rules, one behind the other. */
static bool is_same_place(const struct access_rule *a, const struct access_rule *b)
{
	return a->place.section && b->place.section && !strcmp(a->place.section, b->place.section) &&
	       a->place.index == b->place.index;
}

static bool covers(
	const struct selector *s, const struct fleet *f, const struct member *m, const struct addr *at)
{
	bool found = s->kind == SELECT_ANY || s->kind == SELECT_WORLD ||
		     (s->kind == SELECT_PREFIX && prefix_contains(&s->net, at)) ||
		     (m && match_target(s, f, m)) || (m && s->kind == SELECT_SELF && !member_is_tagged(m));
	for (size_t i = 0; s->kind == SELECT_INTERNET && i < s->n_nets && !found; i++)
		found = prefix_contains(&s->nets[i], at);
	return found;
}

static bool has_port(const struct target *t, uint16_t port)
{
	for (size_t i = 0; i < t->n_ports; i++)
		if (port >= t->ports[i].first && port <= t->ports[i].last)
			return true;
	return false;
}

static bool leads_to(
	const struct access_rule *r, const struct fleet *f, const struct member *m, const struct endpoint *to)
{
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct target *t = &r->dst[i];
		for (size_t k = 0; has_port(t, to->port) && k < t->who.n; k++)
			if (covers(&t->who.v[k], f, m, &to->ip))
				return true;
	}
	return false;
}

void policy_preview(const struct policy *p, const struct fleet *f, const struct policy_about *about,
	void (*each)(void *arg, const char *section, unsigned index, unsigned line), void *arg)
{
	const struct access_rule *told = NULL;
	/* A machine as a new one of theirs would be. */
	const struct member new = { .user = about->user ? about->user->id : 0,
		.role = about->user ? about->user->role : USER_MEMBER,
		.groups = about->user ? about->user->groups : NULL };
	const struct member *m = about->user ? NULL : fleet_by_address(f, &about->to.ip);
	for (size_t i = 0; p && i < p->n_rules; i++) {
		const struct access_rule *r = &p->rules[i];
		bool meant = about->user ? match_any(&r->src, f, &new) : leads_to(r, f, m, &about->to);
		if (!meant || !r->place.section || (told && is_same_place(told, r)))
			continue;
		each(arg, r->place.section, r->place.index, r->place.line);
		told = r;
	}
}
