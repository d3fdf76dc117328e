/* Two things are kept. Of each member which rules it is a source or a destination of: true as long as the
 * member is the one in the fleet, for it is never edited once published; entries of members that are gone are
 * dropped when they outnumber the fleet. Of each rule who its sources are: found again when a member has
 * changed that is or was one of them, and numbered anew when they are others than before. From the numbers of
 * the rules that end at a node follows, without its filter being made, whether that is what it was. */
#include "mesh/control/policy/cache.h"
#include "mesh/control/policy/match.h"

#include "mesh/base/table.h"
#include "mesh/control/fleet/id_list.h"
#include <stdlib.h>
#include <string.h>

enum { SPARE_ENTRIES = 64 };

struct entry {
	const struct member *m;
	uint64_t bits[]; /* from, to, and room for both */
};

struct found_sources {
	struct found_sources *next;
	bool self; /* of that user only, for autogroup:self */
	int64_t user;
	uint64_t epoch;	  /* when they were found */
	uint64_t version; /* another when they are others */
	struct arena mem;
	struct ctl_rule rule; /* src and n_src alone */
};

struct policy_cache {
	struct table members; /* id -> struct entry */
	struct cached_rule {
		struct found_sources *found;
		uint64_t changed; /* epoch in which some source of it became another */
	} * rules;
	size_t n_rules;
	struct found_sources *mesh; /* of "*", the same for all rules */
	struct id_list changed;	    /* members, and whether they are sources now has not been looked at */
	bool all_changed;
	uint64_t epoch, version;
};

static size_t words_of(const struct policy *p)
{
	return (p->n_rules + 63) / 64;
}

/* --- members --- */

static void fill_bits(
	const struct policy *p, const struct fleet *f, const struct member *m, uint64_t *from, uint64_t *to)
{
	memset(from, 0, words_of(p) * sizeof(*from));
	memset(to, 0, words_of(p) * sizeof(*to));
	for (size_t i = 0; i < p->n_rules; i++) {
		from[i / 64] |= (uint64_t)match_from(&p->rules[i], f, m) << i % 64;
		to[i / 64] |= (uint64_t)match_to(&p->rules[i], f, m) << i % 64;
	}
}

static void entry_free(struct entry *e)
{
	if (e)
		member_put(e->m);
	free(e);
}

static void sweep(struct policy_cache *c, const struct fleet *f)
{
	size_t at = 0;
	for (struct entry *e; (e = table_next(&c->members, &at));) {
		int64_t id = e->m->id;
		if (fleet_by_id(f, id))
			continue;
		table_remove(&c->members, &id);
		entry_free(e);
	}
}

static void mark_changed(struct policy_cache *c, const uint64_t *from)
{
	for (size_t i = 0; i < c->n_rules; i++)
		if (cache_bit(from, i))
			c->rules[i].changed = c->epoch;
}

static bool same_addresses(const struct member *a, const struct member *b)
{
	for (size_t i = 0; i < a->carries.n && a->carries.n == b->carries.n; i++)
		if (!prefix_equal(&a->carries.v[i], &b->carries.v[i]))
			return false;
	return a->carries.n == b->carries.n && a->has_v4 == b->has_v4 && a->has_v6 == b->has_v6 &&
	       addr_equal(&a->v4, &b->v4) && addr_equal(&a->v6, &b->v6);
}

/* A member that is another object is mostly the same to the rules. Where not, its change counts from now on,
 * whether it was said or not. */
static void refill(struct policy_cache *c, const struct policy *p, const struct fleet *f, struct entry *e,
	const struct member *m)
{
	const struct member *old = e->m;
	size_t n = words_of(p);
	fill_bits(p, f, m, e->bits + 2 * n, e->bits + 3 * n);
	if (old &&
		(memcmp(e->bits, e->bits + 2 * n, n * sizeof(e->bits[0])) != 0 || !same_addresses(old, m))) {
		c->epoch++;
		mark_changed(c, e->bits);
		mark_changed(c, e->bits + 2 * n);
	}
	memcpy(e->bits, e->bits + 2 * n, 2 * n * sizeof(e->bits[0]));
	e->m = member_get(m);
	member_put(old);
}

static struct entry *entry_of(
	struct policy_cache *c, const struct policy *p, const struct fleet *f, const struct member *m)
{
	struct entry *e = table_get(&c->members, &m->id);
	if (e && e->m == m)
		return e;
	if (!e) {
		if (c->members.n > f->n * 2 + SPARE_ENTRIES)
			sweep(c, f);
		e = calloc(1, sizeof(*e) + 4 * words_of(p) * sizeof(e->bits[0]));
		if (!e || !table_put(&c->members, &m->id, e)) {
			free(e);
			return NULL;
		}
	}
	refill(c, p, f, e, m);
	return e;
}

bool cache_member(struct policy_cache *c, const struct policy *p, const struct fleet *f,
	const struct member *m, struct arena *a, struct cache_member *out)
{
	struct entry *e = c ? entry_of(c, p, f, m) : NULL;
	if (c && !e)
		return false;
	uint64_t *bits = e ? e->bits : arena_array(a, 2 * words_of(p), sizeof(*bits));
	if (!bits)
		return false;
	*out = (struct cache_member) { .m = m, .from = bits, .to = bits + words_of(p) };
	if (!e)
		fill_bits(p, f, m, out->from, out->to);
	return true;
}

static bool bits_meet(const uint64_t *a, const uint64_t *b, size_t words)
{
	for (size_t i = 0; i < words; i++)
		if (a[i] & b[i])
			return true;
	return false;
}

static bool self_meets(const struct policy *p, const uint64_t *from_a, const uint64_t *from_b)
{
	for (size_t i = 0; i < p->n_rules && p->self; i++)
		if (p->rules[i].self && (cache_bit(from_a, i) || cache_bit(from_b, i)))
			return true;
	return false;
}

bool policy_sees(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *a, const struct member *b)
{
	if (!p)
		return true;
	struct entry *x = c ? entry_of(c, p, f, a) : NULL, *y = x ? entry_of(c, p, f, b) : NULL;
	if (!y)
		return policy_allows(p, f, a, b) || policy_allows(p, f, b, a);
	size_t n = words_of(p);
	return bits_meet(x->bits, y->bits + n, n) || bits_meet(y->bits, x->bits + n, n) ||
	       (match_same_person(a, b) && self_meets(p, x->bits, y->bits));
}

/* --- sources --- */

static void found_free(struct found_sources *list)
{
	for (struct found_sources *s = list, *next; s; s = next) {
		next = s->next;
		arena_free(&s->mem);
		free(s);
	}
}

void policy_cache_member_changed(struct policy_cache *c, int64_t id)
{
	struct entry *e;
	if (!c || !c->rules)
		return;
	c->epoch++;
	if ((e = table_get(&c->members, &id)))
		mark_changed(c, e->bits);
	c->all_changed = c->all_changed || !id_list_add(&c->changed, id);
}

/* One that changed, as it is now. false: memory is short. */
static bool settle_one(struct policy_cache *c, const struct policy *p, const struct fleet *f, int64_t id)
{
	const struct member *m = fleet_by_id(f, id);
	if (!m) {
		entry_free(table_remove(&c->members, &id));
		return true;
	}
	struct entry *e = entry_of(c, p, f, m);
	if (e)
		mark_changed(c, e->bits);
	return e;
}

/* All members have an entry from the first time on, so that one without is one that nobody has counted as a
 * source yet. */
static bool settle_first(struct policy_cache *c, const struct policy *p, const struct fleet *f)
{
	bool ok = true;
	c->rules = calloc(p->n_rules + 1, sizeof(*c->rules));
	c->n_rules = c->rules ? p->n_rules : 0;
	for (size_t i = 0; i < f->n && c->rules && ok; i++)
		ok = entry_of(c, p, f, f->v[i]);
	if (c->rules && !ok)
		policy_cache_policy_changed(c);
	return c->rules;
}

/* Which rules the changed members are sources of now. false: memory is short. */
static bool settle(struct policy_cache *c, const struct policy *p, const struct fleet *f)
{
	if (!c->rules)
		return settle_first(c, p, f);
	bool ok = !c->all_changed;
	for (size_t i = 0; i < c->changed.n && ok; i++)
		ok = settle_one(c, p, f, c->changed.v[i]);
	if (!ok) {
		policy_cache_policy_changed(c); /* begin anew */
		return settle_first(c, p, f);
	}
	id_list_clear(&c->changed);
	return true;
}

static bool same_sources(const struct ctl_rule *a, const struct ctl_rule *b)
{
	for (size_t i = 0; i < a->n_src && a->n_src == b->n_src; i++)
		if (a->src[i].any != b->src[i].any || !addr_equal(&a->src[i].first, &b->src[i].first) ||
			!addr_equal(&a->src[i].last, &b->src[i].last))
			return false;
	return a->n_src == b->n_src;
}

/* Found again; false: memory is short, and what was is not to be used. */
static bool find_again(struct policy_cache *c, struct found_sources *s, const struct selectors *set,
	const struct fleet *f, const struct member *self_of)
{
	struct arena fresh = { 0 };
	struct ctl_rule rule;
	if (!filter_find_sources(set, f, self_of, &fresh, &rule)) {
		arena_free(&fresh);
		s->epoch = 0;
		return false;
	}
	s->epoch = c->epoch;
	if (s->version && same_sources(&rule, &s->rule)) {
		arena_free(&fresh);
		return true;
	}
	arena_free(&s->mem);
	s->mem = fresh;
	s->rule = rule;
	s->version = ++c->version;
	return true;
}

/* NULL: memory is short. */
static const struct found_sources *sources_of(struct policy_cache *c, const struct policy *p, size_t at,
	const struct fleet *f, const struct member *self_of)
{
	const struct selectors *set = &p->rules[at].src;
	bool mesh = !self_of && selectors_have(set, SELECT_ANY) && !selectors_have(set, SELECT_WORLD);
	struct found_sources **list = mesh ? &c->mesh : &c->rules[at].found, *s = *list;
	uint64_t changed = mesh ? c->epoch : c->rules[at].changed;
	while (s && (s->self != (self_of != NULL) || (self_of && s->user != self_of->user)))
		s = s->next;
	if (!s && (s = calloc(1, sizeof(*s)))) {
		s->next = *list;
		s->self = self_of;
		s->user = self_of ? self_of->user : 0;
		*list = s;
	}
	if (!s || ((!s->version || s->epoch < changed) && !find_again(c, s, set, f, self_of)))
		return NULL;
	return s;
}

bool cache_sources(struct policy_cache *c, const struct policy *p, size_t at, const struct fleet *f,
	const struct member *self_of, struct arena *a, struct ctl_rule *out)
{
	if (!c)
		return filter_find_sources(&p->rules[at].src, f, self_of, a, out);
	const struct found_sources *s = settle(c, p, f) ? sources_of(c, p, at, f, self_of) : NULL;
	if (s)
		*out = s->rule;
	return s;
}

/* --- whether a filter is what it was --- */

static uint64_t mix(uint64_t mark, uint64_t a, uint64_t b)
{
	const uint64_t v[] = { mark, a, b };
	return hash_bytes(v, sizeof(v), 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03);
}

static uint64_t mark_of(const struct member *m)
{
	uint64_t mark = mix(1, m->has_v4 ? addr_hash(&m->v4, 1) : 0, m->has_v6 ? addr_hash(&m->v6, 1) : 0);
	for (size_t i = 0; i < m->carries.n; i++)
		mark = mix(mark, addr_hash(&m->carries.v[i].ip, 1), m->carries.v[i].bits);
	return mark;
}

/* Rule `at`, or its autogroup:self part, ends at node. */
static bool mark_rule(struct policy_cache *c, const struct policy *p, size_t at, const struct fleet *f,
	const struct member *self_of, uint64_t *mark)
{
	const struct found_sources *s = sources_of(c, p, at, f, self_of);
	if (s)
		*mark = mix(*mark, at * 2 + (self_of != NULL), s->version);
	return s;
}

bool policy_filter_mark(const struct policy *p, const struct fleet *f, struct policy_cache *c,
	const struct member *node, uint64_t *mark)
{
	*mark = 1;
	if (!p)
		return true;
	struct entry *e = settle(c, p, f) ? entry_of(c, p, f, node) : NULL;
	if (!e)
		return false;
	const uint64_t *to = e->bits + words_of(p);
	bool ok = true;
	*mark = mark_of(node);
	for (size_t w = 0; w < words_of(p); w++)
		for (uint64_t left = to[w]; left && ok; left &= left - 1)
			ok = mark_rule(c, p, w * 64 + (size_t)__builtin_ctzll(left), f, NULL, mark);
	for (size_t i = 0; i < p->n_rules && p->self && !member_is_tagged(node) && ok; i++)
		ok = !p->rules[i].self || mark_rule(c, p, i, f, node, mark);
	return ok;
}

/* --- life --- */

struct policy_cache *policy_cache_new(void)
{
	struct policy_cache *c = calloc(1, sizeof(*c));
	if (c) {
		table_init(&c->members, sizeof(int64_t), 0);
		c->epoch = 1;
	}
	return c;
}

void policy_cache_policy_changed(struct policy_cache *c)
{
	size_t at = 0;
	if (!c)
		return;
	for (size_t i = 0; i < c->n_rules; i++)
		found_free(c->rules[i].found);
	found_free(c->mesh);
	free(c->rules);
	c->rules = NULL;
	c->mesh = NULL;
	c->n_rules = 0;
	c->all_changed = false;
	id_list_clear(&c->changed);
	for (struct entry *e; (e = table_next(&c->members, &at));)
		entry_free(e);
	table_fini(&c->members);
	table_init(&c->members, sizeof(int64_t), 0);
}

void policy_cache_free(struct policy_cache *c)
{
	if (!c)
		return;
	policy_cache_policy_changed(c);
	table_fini(&c->members);
	free(c);
}
