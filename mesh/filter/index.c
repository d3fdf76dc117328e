/* A rule lets in what comes from its sources, to one of its destinations and that one's ports, by its protocols. Asked is
 * only whether any rule does, so rules that differ in their sources alone become one (a group), and then:
 *
 *   ports         The ports at which something begins or ends cut all ports into intervals, the leaves of a binary tree. A
 *                 range of ports hangs at the few nodes that cover it together; a packet looks at the nodes between its
 *                 leaf and the root: the logarithm of the number of intervals, and most are empty. Two lists more, beside
 *                 the tree, are for packets without a port.
 *   destinations  What hangs at a node stands on shelves: networks of one length, by the same protocols, sorted. A shelf
 *                 is one search for the destination's address cut to that length.
 *   sources       A group's are merged ranges, one search. Those of a single rule are that rule's own; merged copies have
 *                 a bound (MERGED_TIMES), and beyond it a group's rules are asked one by one. */
#include "mesh/filter/index.h"
#include "mesh/base/sorted.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { MERGED_TIMES = 4, MERGED_MIN = 4096, ANY_FAMILY = FAMILIES };
enum { POINTER = sizeof(void *) };
enum { LIST_ADDRESS, LIST_ALL_PORTS, LISTS }; /* behind the nodes of the tree */

struct net { /* an address cut to the bits of its shelf */
	uint64_t hi, lo;
};
struct index_node {
	uint32_t shelf, n;
};
struct index_shelf {
	uint64_t protos[4];
	struct net mask;
	uint8_t family; /* or ANY_FAMILY: then mask is zero */
	uint32_t group, n;
};
struct index_group {
	struct net net;
	struct ranges src[FAMILIES];
	uint32_t rule, n; /* n 0: all of them are in src */
};

/* One destination of one rule, where it hangs. */
struct piece {
	uint32_t node;
	uint8_t family, bits; /* of 128 in both families */
	struct net net;
	const struct rule *rule;
};
struct pieces {
	struct piece *v;
	size_t n, cap;
	bool failed;
};

static uint64_t load(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static struct net mask_of(unsigned bits)
{
	return (struct net) { bits >= 64 ? ~UINT64_C(0) : ~(~UINT64_C(0) >> bits),
		bits <= 64    ? 0
		: bits == 128 ? ~UINT64_C(0)
			      : ~(~UINT64_C(0) >> (bits - 64)) };
}

static struct net cut(const struct addr *a, const struct net *mask)
{
	return (struct net) { load(a->b) & mask->hi, load(a->b + 8) & mask->lo };
}

static int compare_net(const struct net *a, const struct net *b)
{
	uint64_t x = a->hi == b->hi ? a->lo : a->hi, y = a->hi == b->hi ? b->lo : b->hi;
	return (x > y) - (x < y);
}

/* --- ports --- */

static int compare_port(const void *a, const void *b)
{
	return (int)*(const uint32_t *)a - (int)*(const uint32_t *)b;
}

static bool has_ports(const struct rule_dst *d)
{
	return d->first <= d->last;
}

static bool cut_ports(struct index *x, struct arena *a, const struct rule *rules, size_t n)
{
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < n; i++)
		count += rules[i].n_dst;
	x->begins = arena_array(a, 2 * count, sizeof(*x->begins));
	if (!x->begins)
		return false;
	count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < rules[i].n_dst; j++)
			if (has_ports(&rules[i].dst[j])) {
				x->begins[count++] = rules[i].dst[j].first;
				x->begins[count++] = rules[i].dst[j].last + 1u;
			}
	qsort(x->begins, count, sizeof(*x->begins), compare_port);
	for (size_t i = 0; i < count; i++)
		if (!kept || x->begins[kept - 1] != x->begins[i])
			x->begins[kept++] = x->begins[i];
	x->n_begins = kept;
	for (x->n_leaves = 1; x->n_leaves < kept; x->n_leaves *= 2)
		;
	return true;
}

/* The leaf of a port; 0: no rule knows it. The root is 1, and 2 n, 2 n + 1 are below n. The search has no branch that
 * depends on the port: what a processor would guess wrong half of the times costs more than all else here. */
static size_t leaf_of(const struct index *x, uint32_t port)
{
	const uint32_t *v = x->begins;
	size_t n = x->n_begins;
	if (!n || v[0] > port)
		return 0;
	while (n > 1) {
		size_t half = n / 2;
		v += v[half] <= port ? half : 0;
		n -= half;
	}
	return x->n_leaves + (size_t)(v - x->begins);
}

/* --- pieces --- */

static void add_piece(struct pieces *p, size_t node, const struct rule_dst *d, const struct rule *r)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		struct piece *v = realloc(p->v, cap * sizeof(*v));
		if (!v) {
			p->failed = true;
			return;
		}
		p->v = v;
		p->cap = cap;
	}
	struct piece *piece = &p->v[p->n++];
	*piece = (struct piece) { .node = (uint32_t)node, .family = ANY_FAMILY, .rule = r };
	if (d->any)
		return;
	piece->family = (uint8_t)family_of(&d->net.ip);
	piece->bits = (uint8_t)(piece->family == V4 ? d->net.bits + 96u : d->net.bits);
	struct net mask = mask_of(piece->bits);
	piece->net = cut(&d->net.ip, &mask);
}

/* All nodes that cover the ports together, and none twice. */
static void hang_ports(
	const struct index *x, struct pieces *p, const struct rule_dst *d, const struct rule *r)
{
	size_t from = leaf_of(x, d->first), to = leaf_of(x, d->last) + 1;
	for (; from < to; from /= 2, to /= 2) {
		if (from & 1)
			add_piece(p, from++, d, r);
		if (to & 1)
			add_piece(p, --to, d, r);
	}
}

static void hang(const struct index *x, struct pieces *p, const struct rule *r)
{
	for (size_t j = 0; j < r->n_dst && !p->failed; j++) {
		const struct rule_dst *d = &r->dst[j];
		add_piece(p, 2 * x->n_leaves + LIST_ADDRESS, d, r);
		if (has_ports(d))
			hang_ports(x, p, d, r);
		if (d->first == 0 && d->last == UINT16_MAX)
			add_piece(p, 2 * x->n_leaves + LIST_ALL_PORTS, d, r);
	}
}

static int compare_shelf(const struct piece *x, const struct piece *y)
{
	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->bits != y->bits)
		return x->bits < y->bits ? -1 : 1;
	return memcmp(x->rule->protos, y->rule->protos, sizeof(x->rule->protos));
}

static int compare_piece(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int by = compare_shelf(x, y);
	by = by ? by : compare_net(&x->net, &y->net);
	return by ? by : (x->rule > y->rule) - (x->rule < y->rule);
}

/* --- groups --- */

/* What is left to merge copies into. */
struct filling {
	struct index *x;
	struct arena *arena;
	size_t room, n_shelves, n_groups, n_rules;
};

static bool merge_sources(struct filling *f, struct index_group *g, enum family fam)
{
	size_t n = 0, at = 0;
	const struct rule **rules = f->x->rules + g->rule;
	for (uint32_t i = 0; i < g->n; i++)
		n += rules[i]->src[fam].n;
	struct range *v = arena_array(f->arena, n, sizeof(*v));
	if (!v)
		return false;
	for (uint32_t i = 0; i < g->n; i++) {
		if (rules[i]->src[fam].n)
			memcpy(v + at, rules[i]->src[fam].v, rules[i]->src[fam].n * sizeof(*v));
		at += rules[i]->src[fam].n;
	}
	g->src[fam] = (struct ranges) { v, ranges_merge(v, n) };
	f->room -= n;
	return true;
}

/* One rule lends its sources; of several they are merged, while there is room. */
static bool settle_group(struct filling *f, struct index_group *g)
{
	const struct rule **rules = f->x->rules + g->rule;
	size_t n = 0;
	for (uint32_t i = 0; i < g->n; i++)
		n += rules[i]->src[V4].n + rules[i]->src[V6].n;
	if (g->n == 1)
		memcpy(g->src, rules[0]->src, sizeof(g->src));
	else if (n > f->room)
		return true;
	else if (!merge_sources(f, g, V4) || !merge_sources(f, g, V6))
		return false;
	g->n = 0;
	f->n_rules = g->rule; /* its place in the list is free again */
	return true;
}

static bool fill_group(struct filling *f, const struct piece *v, size_t n)
{
	struct index_group *g = &f->x->groups[f->n_groups++];
	*g = (struct index_group) { .net = v->net, .rule = (uint32_t)f->n_rules };
	for (size_t i = 0; i < n; i++)
		if (!i || v[i].rule != v[i - 1].rule)
			f->x->rules[f->n_rules++] = v[i].rule;
	g->n = (uint32_t)f->n_rules - g->rule;
	return settle_group(f, g);
}

static bool fill_shelf(struct filling *f, const struct piece *v, size_t n)
{
	struct index_shelf *s = &f->x->shelves[f->n_shelves++];
	f->x->nodes[v->node].n++;
	*s = (struct index_shelf) {
		.mask = mask_of(v->bits), .family = v->family, .group = (uint32_t)f->n_groups
	};
	memcpy(s->protos, v->rule->protos, sizeof(s->protos));
	for (size_t i = 0, next; i < n; i = next) {
		for (next = i + 1; next < n && compare_net(&v[i].net, &v[next].net) == 0;)
			next++;
		if (!fill_group(f, v + i, next - i))
			return false;
		s->n++;
	}
	return true;
}

static bool fill(struct filling *f, const struct piece *v, size_t n)
{
	for (size_t i = 0, next; i < n; i = next) {
		if (!i || v[i - 1].node != v[i].node)
			f->x->nodes[v[i].node].shelf = (uint32_t)f->n_shelves;
		for (next = i + 1; next < n && compare_shelf(&v[i], &v[next]) == 0;)
			next++;
		if (!fill_shelf(f, v + i, next - i))
			return false;
	}
	return true;
}

static bool make_room(struct index *x, struct arena *a, const struct piece *v, size_t n)
{
	size_t n_shelves = 0, n_groups = 0;
	for (size_t i = 0; i < n; i++) {
		bool shelf = !i || compare_shelf(&v[i - 1], &v[i]) != 0;
		n_shelves += shelf;
		n_groups += shelf || compare_net(&v[i - 1].net, &v[i].net) != 0;
	}
	x->nodes = arena_array(a, 2 * x->n_leaves + LISTS, sizeof(*x->nodes));
	x->shelves = arena_array(a, n_shelves, sizeof(*x->shelves));
	x->groups = arena_array(a, n_groups, sizeof(*x->groups));
	x->rules = arena_array(a, n, POINTER);
	return !a->failed;
}

bool index_build(struct index *x, struct arena *a, const struct rule *rules, size_t n)
{
	struct pieces p = { 0 };
	struct filling f = { .x = x, .arena = a, .room = MERGED_MIN };
	*x = (struct index) { 0 };
	if (!cut_ports(x, a, rules, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		f.room += MERGED_TIMES * (rules[i].src[V4].n + rules[i].src[V6].n);
		hang(x, &p, &rules[i]);
	}
	if (p.n)
		qsort(p.v, p.n, sizeof(*p.v), compare_piece);
	bool ok = !p.failed && make_room(x, a, p.v, p.n) && fill(&f, p.v, p.n);
	free(p.v);
	return ok;
}

/* --- a packet --- */

static bool has_proto(const uint64_t protos[static 4], uint8_t proto)
{
	return protos[proto / 64] >> proto % 64 & 1;
}

static bool admits_proto(const uint64_t protos[static 4], const struct ip_view *v, enum scope scope)
{
	if (scope == SCOPE_ADDRESS)
		return has_proto(protos, IP_TCP) || has_proto(protos, IP_UDP) || has_proto(protos, v->proto);
	return has_proto(protos, v->proto);
}

static bool admits_source(const struct index *x, const struct index_group *g, const struct addr *src)
{
	enum family fam = family_of(src);
	bool found = !g->n && ranges_have(&g->src[fam], src);
	for (uint32_t i = 0; !found && i < g->n; i++)
		found = ranges_have(&x->rules[g->rule + i]->src[fam], src);
	return found;
}

static bool net_before(const void *v, size_t i, const void *net)
{
	return compare_net(&((const struct index_group *)v)[i].net, net) < 0;
}

static bool shelf_admits(const struct index *x, const struct index_shelf *s, const struct ip_view *v)
{
	struct net to = cut(&v->dst, &s->mask);
	if (s->family != ANY_FAMILY && s->family != family_of(&v->dst))
		return false;
	const struct index_group *g = x->groups + s->group;
	size_t at = sorted_before(g, s->n, &to, net_before);
	return at < s->n && compare_net(&g[at].net, &to) == 0 && admits_source(x, &g[at], &v->src);
}

static bool node_admits(const struct index *x, size_t node, const struct ip_view *v, enum scope scope)
{
	const struct index_node *n = &x->nodes[node];
	for (uint32_t i = 0; i < n->n; i++) {
		const struct index_shelf *s = &x->shelves[n->shelf + i];
		if (admits_proto(s->protos, v, scope) && shelf_admits(x, s, v))
			return true;
	}
	return false;
}

bool index_admits(const struct index *x, const struct ip_view *v, enum scope scope)
{
	if (scope == SCOPE_ADDRESS)
		return node_admits(x, 2 * x->n_leaves + LIST_ADDRESS, v, scope);
	if (scope == SCOPE_ALL_PORTS)
		return node_admits(x, 2 * x->n_leaves + LIST_ALL_PORTS, v, scope);
	for (size_t node = leaf_of(x, v->dport); node; node /= 2)
		if (node_admits(x, node, v, scope))
			return true;
	return false;
}
