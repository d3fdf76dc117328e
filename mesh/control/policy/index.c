#include "mesh/control/policy/index.h"

#include "mesh/base/table.h"
#include "mesh/control/policy/match.h"
#include <stdlib.h>
#include <string.h>

enum { SIDES = 2, FROM = 0, TO = 1 };

struct rule_list {
	uint32_t *v;
	size_t n, size;
};
/* A user's name, a group or a tag, as rules write it. */
struct word {
	struct word *next; /* with the same hash */
	enum selector_kind kind;
	const char *text;
	struct rule_list side[SIDES];
};
struct net {
	struct prefix net;
	struct rule_list side[SIDES];
};
struct policy_index {
	struct table words;  /* hash -> struct word */
	struct table by_net; /* struct net_key -> struct net */
	struct net *nets;
	size_t n_nets, nets_size;
	bool lengths[129], lengths4[33]; /* that some net has */
	struct rule_list everybody[SIDES], members[SIDES], tagged[SIDES], roles[USER_ROLES][SIDES];
	struct rule_list internet; /* as a destination */
	struct word *domains;
	bool failed;
};
struct net_key {
	uint8_t ip[16], bits;
};

/* --- making --- */

static void add_rule(struct policy_index *x, struct rule_list *l, size_t rule)
{
	if (l->n && l->v[l->n - 1] == rule)
		return;
	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 4;
		uint32_t *v = realloc(l->v, size * sizeof(*v));
		if (!v) {
			x->failed = true;
			return;
		}
		l->v = v;
		l->size = size;
	}
	l->v[l->n++] = (uint32_t)rule;
}

static uint64_t word_hash(enum selector_kind kind, const char *text)
{
	return hash_bytes(text, strlen(text), 0x9e3779b97f4a7c15 + kind, 0xd1b54a32d192ed03);
}

static struct word *find_word(const struct policy_index *x, enum selector_kind kind, const char *text)
{
	uint64_t hash = word_hash(kind, text);
	struct word *w = table_get(&x->words, &hash);
	while (w && (w->kind != kind || strcmp(w->text, text) != 0))
		w = w->next;
	return w;
}

/* NULL: memory is short, and x has failed. */
static struct word *make_word(struct policy_index *x, const struct selector *s)
{
	uint64_t hash = word_hash(s->kind, s->text);
	struct word *w = find_word(x, s->kind, s->text);
	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w) {
		x->failed = true;
		return NULL;
	}
	*w = (struct word) { .kind = s->kind, .text = s->text, .next = table_get(&x->words, &hash) };
	if (table_put(&x->words, &hash, w))
		return w;
	free(w);
	x->failed = true;
	return NULL;
}

/* The few domains are looked at one by one. */
static struct word *make_domain(struct policy_index *x, const struct selector *s)
{
	struct word *w = x->domains;
	while (w && strcmp(w->text, s->text) != 0)
		w = w->next;
	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w) {
		x->failed = true;
		return NULL;
	}
	*w = (struct word) { .kind = s->kind, .text = s->text, .next = x->domains };
	x->domains = w;
	return w;
}

static struct net_key key_of(const struct prefix *net)
{
	struct net_key k = { .bits = (uint8_t)(net->bits + (addr_is_v4(&net->ip) ? 96U : 0U)) };
	memcpy(k.ip, net->ip.b, sizeof(k.ip));
	return k;
}

/* by_net has places, since the array grows: from 1. */
static struct net *make_net(struct policy_index *x, const struct prefix *net)
{
	struct net_key key = key_of(net);
	size_t at = (size_t)table_get(&x->by_net, &key);
	if (at)
		return &x->nets[at - 1];
	if (x->n_nets == x->nets_size) {
		size_t size = x->nets_size ? x->nets_size * 2 : 16;
		struct net *v = realloc(x->nets, size * sizeof(*v));
		if (!v) {
			x->failed = true;
			return NULL;
		}
		x->nets = v;
		x->nets_size = size;
	}
	if (!table_put(&x->by_net, &key, (void *)(x->n_nets + 1))) {
		x->failed = true;
		return NULL;
	}
	*(addr_is_v4(&net->ip) ? &x->lengths4[net->bits] : &x->lengths[net->bits]) = true;
	x->nets[x->n_nets] = (struct net) { .net = *net };
	return &x->nets[x->n_nets++];
}

static void add_selector(struct policy_index *x, const struct selector *s, size_t side, size_t rule)
{
	struct word *w = NULL;
	struct net *net = NULL;
	switch (s->kind) {
	case SELECT_ANY:
	case SELECT_WORLD: add_rule(x, &x->everybody[side], rule); break;
	case SELECT_USER:
	case SELECT_GROUP:
	case SELECT_TAG: w = make_word(x, s); break;
	case SELECT_DOMAIN: w = make_domain(x, s); break;
	case SELECT_PREFIX: net = make_net(x, &s->net); break;
	case SELECT_MEMBER: add_rule(x, &x->members[side], rule); break;
	case SELECT_TAGGED: add_rule(x, &x->tagged[side], rule); break;
	case SELECT_ROLE: add_rule(x, &x->roles[s->role][side], rule); break;
	case SELECT_INTERNET:
		if (side == TO)
			add_rule(x, &x->internet, rule);
		break;
	case SELECT_SELF: break;
	}
	if (w)
		add_rule(x, &w->side[side], rule);
	if (net)
		add_rule(x, &net->side[side], rule);
}

struct policy_index *policy_index_new(const struct policy *p)
{
	struct policy_index *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	table_init(&x->words, sizeof(uint64_t), 0);
	table_init(&x->by_net, sizeof(struct net_key), 0);
	for (size_t i = 0; i < p->n_rules && !x->failed; i++) {
		const struct access_rule *r = &p->rules[i];
		for (size_t k = 0; k < r->src.n; k++)
			add_selector(x, &r->src.v[k], FROM, i);
		for (size_t k = 0; k < r->n_dst; k++)
			for (size_t s = 0; s < r->dst[k].who.n; s++)
				add_selector(x, &r->dst[k].who.v[s], TO, i);
	}
	if (!x->failed)
		return x;
	policy_index_free(x);
	return NULL;
}

static void free_sides(struct rule_list *side)
{
	free(side[FROM].v);
	free(side[TO].v);
}

static void free_words(struct word *w)
{
	for (struct word *next; w; w = next) {
		next = w->next;
		free_sides(w->side);
		free(w);
	}
}

void policy_index_free(struct policy_index *x)
{
	size_t at = 0;
	if (!x)
		return;
	for (struct word *w; (w = table_next(&x->words, &at));)
		free_words(w);
	free_words(x->domains);
	for (size_t i = 0; i < x->n_nets; i++)
		free_sides(x->nets[i].side);
	free_sides(x->everybody);
	free_sides(x->members);
	free_sides(x->tagged);
	for (size_t i = 0; i < USER_ROLES; i++)
		free_sides(x->roles[i]);
	free(x->internet.v);
	free(x->nets);
	table_fini(&x->words);
	table_fini(&x->by_net);
	free(x);
}

/* --- asking --- */

static void set_bit(uint64_t *bits, size_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static void set_all(const struct rule_list *l, uint64_t *bits)
{
	for (size_t i = 0; i < l->n; i++)
		set_bit(bits, l->v[i]);
}

/* What a rule that goes by others says of a node's own addresses is nothing. */
static void set_own(const struct policy *p, const struct rule_list *l, uint64_t *to)
{
	for (size_t i = 0; i < l->n; i++)
		if (!p->rules[l->v[i]].via.n)
			set_bit(to, l->v[i]);
}

static void set_carried(
	const struct policy *p, const struct rule_list *l, const struct member *m, uint64_t *to)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct access_rule *r = &p->rules[l->v[i]];
		if (!r->via.n || match_via(r, m))
			set_bit(to, l->v[i]);
	}
}

static void take_named(const struct policy *p, const struct rule_list *side, const struct index_bits *out)
{
	set_all(&side[FROM], out->named);
	set_own(p, &side[TO], out->to);
}

static void take_person(
	const struct policy *p, const struct fleet *f, const struct member *m, const struct index_bits *out)
{
	const struct policy_index *x = p->index;
	const struct user *u = fleet_user(f, m->user);
	const struct word *w = u ? find_word(x, SELECT_USER, u->name) : NULL;
	take_named(p, x->members, out);
	if (w)
		take_named(p, w->side, out);
	for (size_t i = 0; m->groups && p->groups && i < m->groups->n; i++)
		if ((w = find_word(x, SELECT_GROUP, m->groups->v[i])))
			take_named(p, w->side, out);
	for (size_t role = 0; role < USER_ROLES; role++)
		if (match_role(&(struct selector) { .role = (enum user_role)role }, m->role))
			take_named(p, x->roles[role], out);
	for (w = u ? x->domains : NULL; w; w = w->next)
		if (match_target(&(struct selector) { .kind = SELECT_DOMAIN, .text = w->text }, f, m))
			take_named(p, w->side, out);
}

/* The nets that rules name and the address is in. */
static void take_address(const struct policy *p, const struct addr *a, const struct index_bits *out)
{
	const struct policy_index *x = p->index;
	bool v4 = addr_is_v4(a);
	const bool *lengths = v4 ? x->lengths4 : x->lengths;
	for (unsigned bits = 0; bits <= (v4 ? 32U : 128U); bits++) {
		struct prefix net = { .ip = *a, .bits = (uint8_t)bits };
		if (!lengths[bits])
			continue;
		prefix_mask(&net);
		struct net_key key = key_of(&net);
		size_t at = (size_t)table_get(&x->by_net, &key);
		if (at) {
			set_all(&x->nets[at - 1].side[FROM], out->from);
			set_own(p, &x->nets[at - 1].side[TO], out->to);
		}
	}
}

static void take_route(const struct policy *p, const struct member *m, const struct prefix *route,
	const struct index_bits *out)
{
	const struct policy_index *x = p->index;
	set_carried(p, &x->everybody[TO], m, out->to);
	if (!route->bits)
		set_carried(p, &x->internet, m, out->to);
	for (size_t i = 0; i < x->n_nets; i++) {
		const struct net *n = &x->nets[i];
		if (route->bits && prefix_overlaps(&n->net, route))
			set_all(&n->side[FROM], out->from);
		if (route->bits ? prefix_overlaps(&n->net, route) : prefix_equal(&n->net, route))
			set_carried(p, &n->side[TO], m, out->to);
	}
}

void policy_index_find(
	const struct policy *p, const struct fleet *f, const struct member *m, const struct index_bits *out)
{
	const struct policy_index *x = p->index;
	size_t words = (p->n_rules + 63) / 64;
	memset(out->from, 0, words * sizeof(*out->from));
	memset(out->to, 0, words * sizeof(*out->to));
	memset(out->named, 0, words * sizeof(*out->named));
	take_named(p, x->everybody, out);
	if (member_is_tagged(m))
		take_named(p, x->tagged, out);
	else
		take_person(p, f, m, out);
	for (size_t i = 0; i < m->tags.n; i++) {
		const struct word *w = find_word(x, SELECT_TAG, m->tags.v[i]);
		if (w)
			take_named(p, w->side, out);
	}
	if (m->has_v4)
		take_address(p, &m->v4, out);
	if (m->has_v6)
		take_address(p, &m->v6, out);
	for (size_t i = 0; i < m->carries.n; i++)
		take_route(p, m, &m->carries.v[i], out);
	for (size_t i = 0; i < words; i++)
		out->from[i] |= out->named[i];
}
