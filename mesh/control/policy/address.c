/* Addresses as names: a rule that has one in it is about whoever has that address. */
#include "mesh/control/policy/rules.h"

struct move {
	const struct addr *from, *to;
};

static bool gains(const struct selectors *set, const struct move *m)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct selector *s = &set->v[i];
		if (s->kind == SELECT_PREFIX && prefix_contains(&s->net, m->to) &&
			!prefix_contains(&s->net, m->from))
			return true;
	}
	return false;
}

bool policy_names_address(const struct policy *p, const struct addr *from, const struct addr *to)
{
	const struct move m = { from, to };
	for (size_t i = 0; p && i < p->n_rules; i++) {
		const struct access_rule *r = &p->rules[i];
		if (gains(&r->src, &m))
			return true;
		for (size_t k = 0; k < r->n_dst; k++)
			if (gains(&r->dst[k].who, &m))
				return true;
	}
	for (size_t i = 0; p && i < p->n_ssh; i++)
		if (gains(&p->ssh[i].src, &m))
			return true;
	for (size_t i = 0; p && i < p->n_attrs; i++)
		if (gains(&p->attrs[i].target, &m))
			return true;
	return false;
}
