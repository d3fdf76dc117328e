#include "mesh/control/policy/policy_parse.h"

#include <stdlib.h>
#include <string.h>

static bool is_user(const struct fleet *f, const struct member *m, const char *name)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(f, m->user);
	return u && !strcmp(name, u->name);
}

static bool in_net(const struct prefix *net, const struct member *m)
{
	return (m->has_v4 && prefix_contains(net, &m->v4)) || (m->has_v6 && prefix_contains(net, &m->v6));
}

/* A destination behind it: a subnet it carries, or by its exit. */
static bool carries(const struct prefix *net, const struct member *m)
{
	for (size_t i = 0; i < m->served.n; i++)
		if (m->served.v[i].bits && prefix_overlaps(net, &m->served.v[i]))
			return true;
	return false;
}

static bool is_exit(const struct member *m)
{
	for (size_t i = 0; i < m->served.n; i++)
		if (!m->served.v[i].bits)
			return true;
	return false;
}

/* m as a source, or as a destination for packets from `from` (NULL: any source; used when filters are made).
 */
static bool selects(
	const struct selector *s, const struct fleet *f, const struct member *m, const struct member *from)
{
	switch (s->kind) {
	case SELECT_ANY: return true;
	case SELECT_USER: return is_user(f, m, s->text);
	case SELECT_TAG: return member_has_tag(m, s->text);
	case SELECT_PREFIX: return in_net(&s->net, m);
	case SELECT_MEMBER: return !member_is_tagged(m);
	case SELECT_TAGGED: return member_is_tagged(m);
	case SELECT_SELF:
		return !member_is_tagged(m) && (!from || (!member_is_tagged(from) && from->user == m->user));
	case SELECT_INTERNET: return false;
	}
	return false;
}

static bool any_selects(
	const struct selectors *set, const struct fleet *f, const struct member *m, const struct member *from)
{
	for (size_t i = 0; i < set->n; i++)
		if (selects(&set->v[i], f, m, from))
			return true;
	return false;
}

static bool is_behind(const struct selector *s, const struct member *m)
{
	return s->kind == SELECT_PREFIX ? carries(&s->net, m) : s->kind == SELECT_INTERNET && is_exit(m);
}

static bool any_behind(const struct selectors *set, const struct member *m)
{
	for (size_t i = 0; i < set->n; i++)
		if (is_behind(&set->v[i], m))
			return true;
	return false;
}

bool policy_allows(
	const struct policy *p, const struct fleet *f, const struct member *a, const struct member *b)
{
	if (!p || p->allow_all)
		return true;
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct access_rule *r = &p->rules[i];
		if (!any_selects(&r->src, f, a, NULL) && !any_behind(&r->src, a))
			continue;
		for (size_t k = 0; k < r->n_dst; k++)
			if (any_selects(&r->dst[k].who, f, b, a) || any_behind(&r->dst[k].who, b))
				return true;
	}
	return false;
}

/* --- the packet filter of one node --- */

static bool has_any(const struct selectors *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->v[i].kind == SELECT_ANY)
			return true;
	return false;
}

/* Last address of a prefix. */
static struct addr net_end(const struct prefix *net)
{
	struct addr a = net->ip;
	unsigned bits = net->bits + (addr_is_v4(&net->ip) ? 96U : 0U);
	for (unsigned i = bits; i < 128; i++)
		a.b[i / 8] = (uint8_t)(a.b[i / 8] | 0x80U >> i % 8);
	return a;
}

static int by_first(const void *a, const void *b)
{
	const struct ctl_ip_range *x = a, *y = b;
	return memcmp(x->first.b, y->first.b, sizeof(x->first.b));
}

/* The address behind a; all zero behind the last. */
static struct addr next_address(const struct addr *a)
{
	struct addr next = *a;
	for (size_t i = sizeof(next.b); i-- > 0 && !++next.b[i];)
		;
	return next;
}

/* Sorted, and neighbours as one: addresses are given in sequence. */
static void merge_ranges(struct ctl_rule *rule)
{
	size_t n = 0;
	qsort(rule->src, rule->n_src, sizeof(*rule->src), by_first);
	for (size_t i = 0; i < rule->n_src; i++) {
		const struct ctl_ip_range r = rule->src[i];
		struct ctl_ip_range *last = n ? &rule->src[n - 1] : NULL;
		struct addr next = last ? next_address(&last->last) : r.first;
		if (!last || memcmp(r.first.b, next.b, sizeof(next.b)) > 0 ||
			addr_is_v4(&r.first) != addr_is_v4(&last->first))
			rule->src[n++] = r;
		else if (memcmp(r.last.b, last->last.b, sizeof(next.b)) > 0)
			last->last = r.last;
	}
	rule->n_src = n;
}

static void add_member(struct ctl_rule *rule, const struct member *m)
{
	if (m->has_v4)
		rule->src[rule->n_src++] = (struct ctl_ip_range) { .first = m->v4, .last = m->v4 };
	if (m->has_v6)
		rule->src[rule->n_src++] = (struct ctl_ip_range) { .first = m->v6, .last = m->v6 };
}

/* Sources of a rule as ranges. self_of: only untagged nodes of that member's user count (autogroup:self). */
static bool make_sources(const struct selectors *set, const struct fleet *f, const struct member *self_of,
	struct arena *a, struct ctl_rule *rule)
{
	if (has_any(set) && !self_of) {
		rule->src = arena_array(a, 1, sizeof(*rule->src));
		if (rule->src)
			rule->src[rule->n_src++].any = true;
		return rule->src;
	}
	rule->src = arena_array(a, f->n * 2 + set->n, sizeof(*rule->src));
	if (!rule->src)
		return false;
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		if ((!self_of || (!member_is_tagged(m) && m->user == self_of->user)) &&
			any_selects(set, f, m, NULL))
			add_member(rule, m);
	}
	for (size_t i = 0; i < set->n && !self_of; i++)
		if (set->v[i].kind == SELECT_PREFIX)
			rule->src[rule->n_src++] = (struct ctl_ip_range) { .first = set->v[i].net.ip,
				.last = net_end(&set->v[i].net) };
	merge_ranges(rule);
	return true;
}

void policy_sources_reset(struct policy_sources *s)
{
	arena_free(&s->mem);
	*s = (struct policy_sources) { 0 };
}

/* self: of that user only, for autogroup:self. */
struct found_sources {
	struct found_sources *next;
	bool self;
	int64_t user;
	struct ctl_rule rule; /* src and n_src alone */
};

/* Those of rule `at`, from s when it has them. */
static bool find_sources(const struct policy *p, size_t at, const struct fleet *f,
	const struct member *self_of, struct policy_sources *s, struct arena *a, struct ctl_rule *rule)
{
	if (!s)
		return make_sources(&p->rules[at].src, f, self_of, a, rule);
	if (!s->v && !(s->v = arena_array(&s->mem, p->n_rules, sizeof(struct found_sources *))))
		return false;
	struct found_sources *found = s->v[at];
	while (found && (found->self != (self_of != NULL) || (self_of && found->user != self_of->user)))
		found = found->next;
	if (!found) {
		found = arena_alloc(&s->mem, sizeof(*found));
		if (!found)
			return false;
		*found = (struct found_sources) {
			.next = s->v[at], .self = self_of != NULL, .user = self_of ? self_of->user : 0
		};
		if (!make_sources(&p->rules[at].src, f, self_of, &s->mem, &found->rule))
			return false;
		s->v[at] = found;
	}
	rule->src = found->rule.src;
	rule->n_src = found->rule.n_src;
	return true;
}

static void add_ports(const struct target *t, const struct prefix *net, bool any, struct ctl_rule *rule)
{
	for (size_t i = 0; i < t->n_ports; i++)
		rule->dst[rule->n_dst++] = (struct ctl_ports) {
			.net = *net, .any_ip = any, .first = t->ports[i].first, .last = t->ports[i].last
		};
}

static void add_address(
	const struct target *t, const struct selector *s, const struct addr *a, struct ctl_rule *rule)
{
	struct prefix one = prefix_of(a);
	if (s->kind != SELECT_PREFIX || prefix_contains(&s->net, a))
		add_ports(t, &one, false, rule);
}

static void make_target(
	const struct target *t, const struct selector *s, const struct member *node, struct ctl_rule *rule)
{
	if (s->kind == SELECT_ANY) {
		add_ports(t, &s->net, true, rule);
		return;
	}
	if (node->has_v4)
		add_address(t, s, &node->v4, rule);
	if (node->has_v6)
		add_address(t, s, &node->v6, rule);
}

/* Of a rule's net the part that it carries; of the internet all. */
static void make_target_behind(
	const struct target *t, const struct selector *s, const struct member *node, struct ctl_rule *rule)
{
	for (size_t i = 0; i < node->served.n; i++) {
		const struct prefix *p = &node->served.v[i];
		if (s->kind == SELECT_INTERNET && !p->bits)
			add_ports(t, p, false, rule);
		else if (s->kind == SELECT_PREFIX && p->bits && prefix_overlaps(&s->net, p))
			add_ports(t, s->net.bits > p->bits ? &s->net : p, false, rule);
	}
}

/* The part of one access rule that ends at the node; self: only its autogroup:self destinations, or only the
 * others. */
static bool make_targets(const struct access_rule *r, const struct fleet *f, const struct member *node,
	bool self, struct arena *a, struct ctl_rule *out)
{
	size_t most = 0;
	*out = (struct ctl_rule) { .protos = r->protos, .n_protos = r->n_protos };
	for (size_t i = 0; i < r->n_dst; i++)
		most += r->dst[i].who.n * r->dst[i].n_ports * (2 + node->served.n);
	out->dst = arena_array(a, most, sizeof(*out->dst));
	if (!out->dst)
		return false;
	for (size_t i = 0; i < r->n_dst; i++)
		for (size_t k = 0; k < r->dst[i].who.n; k++) {
			const struct selector *s = &r->dst[i].who.v[k];
			if ((s->kind == SELECT_SELF) == self && selects(s, f, node, NULL))
				make_target(&r->dst[i], s, node, out);
			if (!self && is_behind(s, node))
				make_target_behind(&r->dst[i], s, node, out);
		}
	return true;
}

static bool allow_everything(struct arena *a, struct ctl_rule **rules, size_t *n)
{
	struct ctl_rule *r = arena_array(a, 1, sizeof(*r));
	if (!r || !(r->src = arena_array(a, 1, sizeof(*r->src))) ||
		!(r->dst = arena_array(a, 1, sizeof(*r->dst))))
		return false;
	r->src[r->n_src++].any = true;
	r->dst[r->n_dst++] = (struct ctl_ports) { .any_ip = true, .last = UINT16_MAX };
	*rules = r;
	*n = 1;
	return true;
}

bool policy_filter(const struct policy *p, const struct fleet *f, struct policy_sources *s,
	const struct member *node, struct arena *a, struct ctl_rule **rules, size_t *n)
{
	if (!p || p->allow_all)
		return allow_everything(a, rules, n);
	*n = 0;
	*rules = arena_array(a, p->n_rules * 2, sizeof(**rules));
	if (!*rules)
		return false;
	for (size_t i = 0; i < p->n_rules * 2; i++) {
		struct ctl_rule *out = &(*rules)[*n];
		const struct access_rule *r = &p->rules[i / 2];
		if (!make_targets(r, f, node, i % 2, a, out))
			return false;
		if (out->n_dst && !find_sources(p, i / 2, f, i % 2 ? node : NULL, s, a, out))
			return false;
		*n += out->n_dst && out->n_src;
	}
	return true;
}

/* --- tags --- */

static const struct tag_owner *tag_owner(const struct policy *p, const char *tag)
{
	for (size_t i = 0; i < p->n_owners; i++)
		if (!strcmp(p->owners[i].tag, tag))
			return &p->owners[i];
	return NULL;
}

bool policy_owns_tag(const struct policy *p, const char *tag, const char *user)
{
	const struct tag_owner *o = p ? tag_owner(p, tag) : NULL;
	for (size_t i = 0; o && i < o->owners.n; i++) {
		const struct selector *s = &o->owners.v[i];
		if (s->kind == SELECT_MEMBER || s->kind == SELECT_ANY ||
			(s->kind == SELECT_USER && !strcmp(s->text, user)))
			return true;
	}
	return false;
}

bool policy_knows_tag(const struct policy *p, const char *tag)
{
	return !p || tag_owner(p, tag);
}
