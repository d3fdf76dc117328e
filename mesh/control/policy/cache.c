/* A member is never edited once published, so that its bits are true as long as the pointer is the one in the
 * fleet. Entries of members that are gone are dropped when they outnumber the fleet. */
#include "mesh/control/policy/cache.h"
#include "mesh/control/policy/match.h"

#include "mesh/base/table.h"
#include <stdlib.h>
#include <string.h>

enum { SPARE_ENTRIES = 64 };

struct entry {
	const struct member *m;
	uint64_t bits[]; /* from, to */
};

struct found_sources {
	struct found_sources *next;
	bool self; /* of that user only, for autogroup:self */
	int64_t user;
	struct ctl_rule rule;
};

struct policy_cache {
	struct table members;		/* id -> struct entry */
	struct arena mem;		/* sources */
	struct found_sources **sources; /* per rule */
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
		if (fleet_by_id(f, id) == e->m)
			continue;
		table_remove(&c->members, &id);
		entry_free(e);
	}
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
		e = calloc(1, sizeof(*e) + 2 * words_of(p) * sizeof(e->bits[0]));
		if (!e || !table_put(&c->members, &m->id, e)) {
			free(e);
			return NULL;
		}
	}
	const struct member *old = e->m;
	e->m = member_get(m);
	member_put(old);
	fill_bits(p, f, m, e->bits, e->bits + words_of(p));
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
	for (size_t i = 0; i < p->n_rules; i++)
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

bool cache_sources(struct policy_cache *c, const struct policy *p, size_t at, const struct fleet *f,
	const struct member *self_of, struct arena *a, struct ctl_rule *out)
{
	const struct selectors *set = &p->rules[at].src;
	if (!c)
		return filter_find_sources(set, f, self_of, a, out);
	if (!c->sources && !(c->sources = arena_array(&c->mem, p->n_rules, sizeof(struct found_sources *))))
		return false;
	struct found_sources *found = c->sources[at];
	while (found && (found->self != (self_of != NULL) || (self_of && found->user != self_of->user)))
		found = found->next;
	if (!found) {
		found = arena_alloc(&c->mem, sizeof(*found));
		if (!found)
			return false;
		*found = (struct found_sources) {
			.next = c->sources[at], .self = self_of != NULL, .user = self_of ? self_of->user : 0
		};
		if (!filter_find_sources(set, f, self_of, &c->mem, &found->rule))
			return false;
		c->sources[at] = found;
	}
	*out = found->rule;
	return true;
}

/* --- life --- */

struct policy_cache *policy_cache_new(void)
{
	struct policy_cache *c = calloc(1, sizeof(*c));
	if (c)
		table_init(&c->members, sizeof(int64_t), 0);
	return c;
}

void policy_cache_fleet_changed(struct policy_cache *c)
{
	if (!c)
		return;
	arena_free(&c->mem);
	c->sources = NULL;
}

void policy_cache_policy_changed(struct policy_cache *c)
{
	size_t at = 0;
	if (!c)
		return;
	policy_cache_fleet_changed(c);
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
