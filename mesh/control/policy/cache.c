/* Two things are kept. Of each member which rules it is a source or a destination of: true as long as the
 * member is the one in the fleet, for it is never edited once published; entries of members that are gone are
 * dropped when they outnumber the fleet. Of each rule who its sources are: a list of members, which each change
 * of one mends, and their addresses, found again when a member has changed that is or was one of them, and
 * numbered anew when they are others than before. From the numbers of the rules that end at a node follows,
 * without its filter being made, whether that is what it was. */
#include "mesh/control/policy/cache.h"
#include "mesh/control/policy/index.h"
#include "mesh/control/policy/match.h"

#include "mesh/base/table.h"
#include "mesh/control/fleet/id_list.h"
#include <stdlib.h>
#include <string.h>

enum { SPARE_ENTRIES = 64 };

enum { BITS = 3 }; /* from, to, named: as in index.h */

struct entry {
	const struct member *m;
	uint64_t bits[]; /* BITS of them, and room for as many */
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
		struct entry *
			*v; /* who is a source by what it is, by number; none for rules of the whole mesh */
		size_t n, size;
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

static void fill_bits(const struct policy *p, const struct fleet *f, const struct member *m, uint64_t *bits)
{
	size_t n = words_of(p);
	policy_index_find(p, f, m, &(struct index_bits) { bits, bits + n, bits + 2 * n });
}

/* Where the member with this number is among the sources of a rule, or would be. */
static size_t source_at(const struct cached_rule *r, int64_t id)
{
	size_t low = 0, high = r->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->v[mid]->m->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* false: memory is short. */
static bool source_add(struct cached_rule *r, struct entry *e)
{
	size_t at = source_at(r, e->m->id);
	if (r->n == r->size) {
		size_t size = r->size ? r->size * 2 : 8;
		struct entry **v = realloc(r->v, size * sizeof(struct entry *));
		if (!v)
			return false;
		r->v = v;
		r->size = size;
	}
	memmove(r->v + at + 1, r->v + at, (r->n - at) * sizeof(struct entry *));
	r->v[at] = e;
	r->n++;
	return true;
}

static void source_remove(struct cached_rule *r, const struct entry *e)
{
	size_t at = source_at(r, e->m->id);
	if (at < r->n && r->v[at] == e)
		memmove(r->v + at, r->v + at + 1, (--r->n - at) * sizeof(struct entry *));
}

static bool is_of_mesh(const struct policy *p, size_t rule)
{
	return selectors_have(&p->rules[rule].src, SELECT_ANY) ||
	       selectors_have(&p->rules[rule].src, SELECT_WORLD);
}

/* The lists as they are after e's named bits were `old` (NULL: none) and are `now` (NULL: none). e->m: the member as
 * it is in the lists or will be. false: memory is short. */
static bool mend_lists(struct policy_cache *c, const struct policy *p, struct entry *e, const uint64_t *old,
	const uint64_t *now)
{
	bool ok = true;
	for (size_t w = 0; w < (c->rules ? words_of(p) : 0); w++) {
		uint64_t was = old ? old[w] : 0, is = now ? now[w] : 0;
		for (uint64_t left = was ^ is; left; left &= left - 1) {
			size_t i = w * 64 + (size_t)__builtin_ctzll(left);
			if (is_of_mesh(p, i))
				continue;
			if (was >> i % 64 & 1)
				source_remove(&c->rules[i], e);
			else
				ok = source_add(&c->rules[i], e) && ok;
		}
	}
	return ok;
}

static void entry_free(struct entry *e)
{
	if (e)
		member_put(e->m);
	free(e);
}

static void sweep(struct policy_cache *c, const struct policy *p, const struct fleet *f)
{
	size_t at = 0;
	for (struct entry *e; (e = table_next(&c->members, &at));) {
		int64_t id = e->m->id;
		if (fleet_by_id(f, id))
			continue;
		table_remove(&c->members, &id);
		(void)mend_lists(c, p, e, e->bits + 2 * words_of(p), NULL);
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
	uint64_t *fresh = e->bits + BITS * n;
	fill_bits(p, f, m, fresh);
	if (old && (memcmp(e->bits, fresh, n * sizeof(*fresh)) != 0 || !same_addresses(old, m))) {
		c->epoch++;
		mark_changed(c, e->bits);
		mark_changed(c, fresh);
	}
	e->m = member_get(m); /* with the same number: its place in the lists is the same */
	if (!mend_lists(c, p, e, old ? e->bits + 2 * n : NULL, fresh + 2 * n))
		c->all_changed = true; /* begins anew */
	memcpy(e->bits, fresh, BITS * n * sizeof(*fresh));
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
			sweep(c, p, f);
		e = calloc(1, sizeof(*e) + 2 * BITS * words_of(p) * sizeof(e->bits[0]));
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
	uint64_t *bits = e ? e->bits : arena_array(a, BITS * words_of(p), sizeof(*bits));
	if (!bits)
		return false;
	*out = (struct cache_member) { .m = m, .from = bits, .to = bits + words_of(p) };
	if (!e)
		fill_bits(p, f, m, bits);
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
		struct entry *gone = table_remove(&c->members, &id);
		if (gone)
			(void)mend_lists(c, p, gone, gone->bits + 2 * words_of(p), NULL);
		entry_free(gone);
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
	for (size_t i = 0; i < f->n && ok;
		i++) /* while there are no lists: each is put into them once, below */
		ok = entry_of(c, p, f, f->v[i]);
	c->rules = ok ? calloc(p->n_rules + 1, sizeof(*c->rules)) : NULL;
	c->n_rules = c->rules ? p->n_rules : 0;
	for (size_t i = 0; i < f->n && c->rules && ok; i++) {
		struct entry *e = entry_of(c, p, f, f->v[i]);
		ok = e && mend_lists(c, p, e, NULL, e->bits + 2 * words_of(p));
	}
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

/* As filter_find_sources, of those that are listed. */
static bool find_listed(
	const struct cached_rule *r, const struct selectors *set, struct arena *a, struct ctl_rule *out)
{
	const struct member **v = malloc((r->n + 1) * sizeof(struct member *));
	if (!v)
		return false;
	for (size_t i = 0; i < r->n; i++)
		v[i] = r->v[i]->m;
	bool ok = filter_list_sources(set, v, r->n, a, out);
	free(v);
	return ok;
}

/* Found again; false: memory is short, and what was is not to be used. */
static bool find_again(struct policy_cache *c, const struct policy *p, size_t at, struct found_sources *s,
	const struct fleet *f, const struct member *self_of)
{
	struct arena fresh = { 0 };
	struct ctl_rule rule;
	bool listed = !self_of && !is_of_mesh(p, at);
	if (!(listed ? find_listed(&c->rules[at], &p->rules[at].src, &fresh, &rule)
		     : filter_find_sources(&p->rules[at].src, f, self_of, &fresh, &rule))) {
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
	if (!s || ((!s->version || s->epoch < changed) && !find_again(c, p, at, s, f, self_of)))
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
	for (size_t i = 0; i < c->n_rules; i++) {
		found_free(c->rules[i].found);
		free(c->rules[i].v);
	}
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
