/* The packet filter of one node. For each rule that ends at it: the sources as ranges of addresses (the same
 * for all nodes, and dear in a large fleet: found once), and those targets of the rule that overlap with the
 * node's addresses or the subnets it carries, as they are written. What autogroup:self admits depends on the
 * node's owner and is a rule of its own. */
#include "mesh/control/policy/cache.h"
#include "mesh/control/policy/match.h"

#include <stdlib.h>
#include <string.h>

enum { MESH_RANGES = 3, CAP_TEXT = 64 };

/* Every client's addresses but 100.115.92.0/23, which a machine's own virtual machines have. */
static const char *const mesh_ranges[MESH_RANGES][2] = {
	{ "100.64.0.0", "100.115.91.255" },
	{ "100.115.94.0", "100.127.255.255" },
	{ "fd7a:115c:a1e0::", "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff" },
};

/* --- ranges --- */

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

static bool is_sorted(const struct ctl_rule *rule)
{
	for (size_t i = 1; i < rule->n_src; i++)
		if (by_first(&rule->src[i - 1], &rule->src[i]) > 0)
			return false;
	return true;
}

/* Sorted, and neighbours as one: addresses are given in sequence, so that most are in order. */
static void merge_ranges(struct ctl_rule *rule)
{
	size_t n = 0;
	if (!is_sorted(rule))
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

/* --- sources --- */

static void add_range(struct ctl_rule *rule, const struct addr *first, const struct addr *last)
{
	rule->src[rule->n_src++] = (struct ctl_ip_range) { .first = *first, .last = *last };
}

static void add_net(struct ctl_rule *rule, const struct prefix *net)
{
	struct addr end = net_end(net);
	add_range(rule, &net->ip, &end);
}

static void add_member(struct ctl_rule *rule, const struct member *m)
{
	if (m->has_v4)
		add_range(rule, &m->v4, &m->v4);
	if (m->has_v6)
		add_range(rule, &m->v6, &m->v6);
}

/* The usual ranges of the mesh into out. */
static void usual_ranges(struct ctl_ip_range out[static MESH_RANGES])
{
	for (size_t i = 0; i < MESH_RANGES; i++) {
		out[i] = (struct ctl_ip_range) { 0 };
		(void)(addr_parse(mesh_ranges[i][0], &out[i].first) &&
			addr_parse(mesh_ranges[i][1], &out[i].last));
	}
}

static bool is_usual(const struct ctl_ip_range *usual, const struct addr *a)
{
	for (size_t i = 0; i < MESH_RANGES; i++)
		if (memcmp(a->b, usual[i].first.b, sizeof(a->b)) >= 0 &&
			memcmp(a->b, usual[i].last.b, sizeof(a->b)) <= 0)
			return true;
	return false;
}

/* "*": the mesh, whose members may have addresses beside the usual ones, and the subnets it carries. */
static bool find_mesh(const struct fleet *f, struct arena *a, struct ctl_rule *rule)
{
	struct ctl_ip_range usual[MESH_RANGES];
	size_t most = MESH_RANGES;
	usual_ranges(usual);
	for (size_t i = 0; i < f->n; i++)
		most += f->v[i]->carries.n + !is_usual(usual, &f->v[i]->v4) + !is_usual(usual, &f->v[i]->v6);
	rule->src = arena_array(a, most, sizeof(*rule->src));
	if (!rule->src)
		return false;
	for (size_t i = 0; i < MESH_RANGES; i++)
		add_range(rule, &usual[i].first, &usual[i].last);
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		if (m->has_v4 && !is_usual(usual, &m->v4))
			add_range(rule, &m->v4, &m->v4);
		if (m->has_v6 && !is_usual(usual, &m->v6))
			add_range(rule, &m->v6, &m->v6);
		for (size_t k = 0; k < m->carries.n; k++)
			if (m->carries.v[k].bits)
				add_net(rule, &m->carries.v[k]);
	}
	merge_ranges(rule);
	return true;
}

/* An address is that address: not what else the node that has it is. */
static void add_named_nets(struct ctl_rule *rule, const struct selectors *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->v[i].kind == SELECT_PREFIX)
			add_net(rule, &set->v[i].net);
}

/* Those that names stand for, of one person where self_of is not NULL. */
static bool find_named(const struct selectors *set, const struct fleet *f, const struct member *self_of,
	struct arena *a, struct ctl_rule *rule)
{
	rule->src = arena_array(a, f->n * 2 + set->n, sizeof(*rule->src));
	if (!rule->src)
		return false;
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		if (self_of && !match_same_person(m, self_of))
			continue;
		for (size_t k = 0; k < set->n; k++)
			if ((self_of || set->v[k].kind != SELECT_PREFIX) && match_target(&set->v[k], f, m)) {
				add_member(rule, m);
				break;
			}
	}
	if (!self_of)
		add_named_nets(rule, set);
	merge_ranges(rule);
	return true;
}

bool filter_list_sources(const struct selectors *set, const struct member *const *v, size_t n,
	struct arena *a, struct ctl_rule *rule)
{
	*rule = (struct ctl_rule) { .src = arena_array(a, n * 2 + set->n, sizeof(*rule->src)) };
	if (!rule->src)
		return false;
	for (size_t i = 0; i < n; i++)
		if (v[i]->has_v4)
			add_range(rule, &v[i]->v4, &v[i]->v4);
	for (size_t i = 0; i < n; i++)
		if (v[i]->has_v6)
			add_range(rule, &v[i]->v6, &v[i]->v6);
	add_named_nets(rule, set);
	merge_ranges(rule);
	return true;
}

bool filter_find_sources(const struct selectors *set, const struct fleet *f, const struct member *self_of,
	struct arena *a, struct ctl_rule *rule)
{
	*rule = (struct ctl_rule) { 0 };
	if (selectors_have(set, SELECT_WORLD) && !self_of) {
		rule->src = arena_array(a, 1, sizeof(*rule->src));
		if (rule->src)
			rule->src[rule->n_src++].any = true;
		return rule->src;
	}
	if (selectors_have(set, SELECT_ANY) && !self_of)
		return find_mesh(f, a, rule);
	return find_named(set, f, self_of, a, rule);
}

/* --- targets --- */

/* Grows by what is asked for; destinations of one node are few. */
struct targets {
	struct arena *a;
	struct ctl_ports *v;
	size_t n, size;
};

static void add_ports(struct targets *to, const struct target *t, const struct prefix *net, bool any)
{
	if (to->n + t->n_ports > to->size) {
		size_t size = (to->n + t->n_ports) * 2;
		struct ctl_ports *v = arena_array(to->a, size, sizeof(*v));
		if (!v)
			return; /* the arena has failed: asked at the end */
		if (to->n)
			memcpy(v, to->v, to->n * sizeof(*v));
		to->v = v;
		to->size = size;
	}
	for (size_t i = 0; i < t->n_ports; i++)
		to->v[to->n++] = (struct ctl_ports) {
			.net = *net, .any_ip = any, .first = t->ports[i].first, .last = t->ports[i].last
		};
}

static void add_own(struct targets *to, const struct target *t, const struct member *node)
{
	struct prefix v4 = prefix_of(&node->v4), v6 = prefix_of(&node->v6);
	if (node->has_v4)
		add_ports(to, t, &v4, false);
	if (node->has_v6)
		add_ports(to, t, &v6, false);
}

static void add_internet(struct targets *to, const struct target *t, const struct selector *s)
{
	for (size_t i = 0; i < s->n_nets; i++)
		add_ports(to, t, &s->nets[i], false);
}

static bool carries_part_of(const struct member *m, const struct prefix *net)
{
	for (size_t i = 0; i < m->carries.n; i++)
		if (m->carries.v[i].bits ? prefix_overlaps(&m->carries.v[i], net)
					 : prefix_equal(&m->carries.v[i], net))
			return true;
	return false;
}

static void add_target(struct targets *to, const struct access_rule *r, const struct target *t,
	const struct selector *s, const struct fleet *f, const struct member *node)
{
	if (s->kind == SELECT_INTERNET) {
		if (match_is_exit(node))
			add_internet(to, t, s);
	} else if (s->kind == SELECT_PREFIX) {
		if ((!r->via.n && match_target(s, f, node)) || carries_part_of(node, &s->net))
			add_ports(to, t, &s->net, false);
	} else if (s->kind == SELECT_ANY) {
		if (!r->via.n || node->carries.n)
			add_ports(to, t, &s->net, true);
	} else if (!r->via.n && match_target(s, f, node)) {
		add_own(to, t, node);
	}
}

/* The part of a rule that ends at the node; self: only its autogroup:self targets, or only the others. */
static bool find_targets(const struct access_rule *r, const struct fleet *f, const struct member *node,
	bool self, struct arena *a, struct ctl_rule *out)
{
	struct targets to = { .a = a };
	*out = (struct ctl_rule) { .protos = r->protos, .n_protos = r->n_protos };
	for (size_t i = 0; i < r->n_dst; i++)
		for (size_t k = 0; k < r->dst[i].who.n; k++) {
			const struct selector *s = &r->dst[i].who.v[k];
			if (self && s->kind == SELECT_SELF && !member_is_tagged(node))
				add_own(&to, &r->dst[i], node);
			else if (!self && s->kind != SELECT_SELF)
				add_target(&to, r, &r->dst[i], s, f, node);
		}
	out->dst = to.v;
	out->n_dst = to.n;
	return !a->failed;
}

/* A capability is for the node's own addresses. */
static bool find_caps(const struct access_rule *r, const struct fleet *f, const struct member *node,
	bool self, struct arena *a, struct ctl_rule *out)
{
	char v4[PREFIX_TEXT] = "", v6[PREFIX_TEXT] = "";
	const struct selectors *who = &r->dst[0].who;
	bool is =
		self ? selectors_have(who, SELECT_SELF) && !member_is_tagged(node) : match_any(who, f, node);
	*out = (struct ctl_rule) { 0 };
	if (!is || r->via.n)
		return true;
	struct prefix p4 = prefix_of(&node->v4), p6 = prefix_of(&node->v6);
	if (node->has_v4)
		prefix_format(&p4, v4);
	if (node->has_v6)
		prefix_format(&p6, v6);
	out->caps_json = arena_printf(a, "[{\"Dsts\":[%s%s%s%s%s%s%s],\"CapMap\":%s}]", *v4 ? "\"" : "", v4,
		*v4 ? "\"" : "", *v4 && *v6 ? "," : "", *v6 ? "\"" : "", v6, *v6 ? "\"" : "", r->caps);
	return out->caps_json;
}

/* --- the whole --- */

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

/* One rule at the node, if it ends there. */
static bool filter_rule(const struct policy *p, size_t at, bool self, const struct fleet *f,
	struct policy_cache *c, const struct member *node, struct arena *a, struct ctl_rule *out)
{
	const struct access_rule *r = &p->rules[at];
	struct ctl_rule src;
	if (!(r->caps ? find_caps(r, f, node, self, a, out) : find_targets(r, f, node, self, a, out)))
		return false;
	if (!out->n_dst && !out->caps_json)
		return true;
	if (!cache_sources(c, p, at, f, self ? node : NULL, a, &src))
		return false;
	out->src = src.src;
	out->n_src = src.n_src;
	return true;
}

bool policy_filter(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *node, struct arena *a, struct ctl_rule **rules, size_t *n)
{
	if (!p)
		return allow_everything(a, rules, n);
	struct cache_member seen;
	if (!cache_member(c, p, f, node, a, &seen))
		return false;
	*n = 0;
	size_t most = 0;
	for (size_t i = 0; i < p->n_rules; i++)
		most += cache_bit(seen.to, i) + p->rules[i].self;
	*rules = arena_array(a, most, sizeof(**rules));
	for (size_t i = 0; i < p->n_rules && *rules; i++)
		for (int self = 0; self < 2; self++) {
			if (self ? !p->rules[i].self : !cache_bit(seen.to, i))
				continue;
			struct ctl_rule *out = &(*rules)[*n];
			if (!filter_rule(p, i, self, f, c, node, a, out))
				return false;
			*n += out->n_src > 0;
		}
	return *rules;
}
