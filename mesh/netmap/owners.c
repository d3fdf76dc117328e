#include "mesh/netmap/owners.h"
#include "mesh/base/sorted.h"
#include "mesh/netmap/chunks.h"
#include "mesh/proto/control_equal.h"
#include <stdlib.h>
#include <string.h>

/* An address that is looked for, and who was told to have it last on the way through the peers. */
struct sought {
	const struct addr *ip;
	uint32_t end;
	const struct netmap_peer *by; /* as it is told, which outlives what stands in its place */
};

struct settling {
	struct netmap_chunks *chunks;
	struct sought *v; /* by end, then by address */
	size_t n;
	uint64_t bits;		/* end_bit of each: where few are looked for, most others end otherwise */
	struct peer_ids judged; /* who is, or was, without an address */
	struct arena arena;	/* of what is less than told, until it is copied */
	struct owners_losses *out;
	bool changed;
};

/* --- what is looked for --- */

static uint64_t end_bit(uint32_t end)
{
	return UINT64_C(1) << end % 64;
}

static size_t count_addresses(const struct netmap_chunks *c, const int64_t *ids, size_t n)
{
	size_t all = 0;
	for (size_t i = 0; i < n; i++) {
		const struct netmap_peer *p = chunks_find(c, ids[i]);
		all += p ? peer_told(p)->node.addresses.n : 0;
	}
	return all;
}

static void seek(struct settling *s, const int64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct netmap_peer *p = chunks_find(s->chunks, ids[i]);
		for (size_t k = 0; p && k < peer_told(p)->node.addresses.n; k++) {
			const struct addr *ip = &peer_told(p)->node.addresses.v[k].ip;
			s->v[s->n++] = (struct sought) { .ip = ip, .end = address_end(ip) };
			s->bits |= end_bit(address_end(ip));
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct sought *x = a, *y = b;
	int by_end = (x->end > y->end) - (x->end < y->end);
	return by_end ? by_end : memcmp(x->ip->b, y->ip->b, sizeof(x->ip->b));
}

static bool sought_before(const void *v, size_t i, const void *key)
{
	return compare(&((const struct sought *)v)[i], key) < 0;
}

static bool end_before(const void *v, size_t i, const void *end)
{
	return ((const struct sought *)v)[i].end < *(const uint32_t *)end;
}

/* One of them ends so. */
static bool may_be_sought(const struct settling *s, uint32_t end)
{
	if (!(s->bits & end_bit(end)))
		return false;
	size_t i = sorted_before(s->v, s->n, &end, end_before);
	return i < s->n && s->v[i].end == end;
}

static struct sought *sought_find(const struct settling *s, const struct addr *ip)
{
	const struct sought key = { .ip = ip, .end = address_end(ip) };
	size_t i = sorted_before(s->v, s->n, &key, sought_before);
	return i < s->n && addr_equal(s->v[i].ip, ip) ? &s->v[i] : NULL;
}

/* On the way through the peers. */
static bool met(struct settling *s, const struct netmap_peer *told)
{
	bool ok = true;
	for (size_t i = 0; i < told->node.addresses.n; i++) {
		struct sought *k = sought_find(s, &told->node.addresses.v[i].ip);
		if (!k)
			continue;
		if (k->by)
			ok = peer_ids_add(&s->judged, k->by->node.id) && ok;
		k->by = told;
	}
	return ok;
}

static bool look_through(struct settling *s)
{
	bool ok = true;
	for (size_t i = 0; i < s->chunks->n; i++) {
		const struct netmap_chunk *k = s->chunks->v[i];
		for (unsigned at = 0; at < k->n; at++) {
			const uint32_t *ends = k->ends[at];
			if (ends[0] == ENDS_MANY || may_be_sought(s, ends[0]) || may_be_sought(s, ends[1]))
				ok = met(s, peer_told(k->peers[at])) && ok;
		}
	}
	return ok;
}

/* --- who has what --- */

/* Who has it of those that are told to, where that is not this one; NULL: this one does. */
static const struct netmap_peer *other_owner(
	const struct settling *s, const struct netmap_peer *told, const struct addr *ip)
{
	const struct sought *k = sought_find(s, ip);
	return k && k->by != told ? k->by : NULL;
}

static bool has_lost(const struct settling *s, const struct netmap_peer *told)
{
	for (size_t i = 0; i < told->node.addresses.n; i++)
		if (other_owner(s, told, &told->node.addresses.v[i].ip))
			return true;
	return false;
}

static bool note_loss(struct settling *s, const struct netmap_peer *told, const struct prefix *address)
{
	const struct netmap_peer *owner = other_owner(s, told, &address->ip);
	struct owners_losses *l = s->out;
	if (!owner)
		return true;
	if (l->n == l->cap) {
		size_t cap = l->cap * 2 + 4;
		struct owners_loss *v = realloc(l->v, cap * sizeof(*v));
		if (!v)
			return false;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct owners_loss) { &told->node, &owner->node, address };
	return true;
}

static struct ctl_prefixes keep_own(
	struct settling *s, const struct netmap_peer *told, const struct ctl_prefixes *all)
{
	struct ctl_prefixes kept = { .v = arena_array(&s->arena, all->n, sizeof(*kept.v)) };
	for (size_t i = 0; kept.v && i < all->n; i++) {
		const struct prefix *p = &all->v[i];
		bool single = p->bits == (addr_is_v4(&p->ip) ? 32 : 128);
		if (!single || !other_owner(s, told, &p->ip))
			kept.v[kept.n++] = *p;
	}
	return kept;
}

/* Takes the reference of p, NULL where memory was short. */
static bool replace(struct settling *s, const struct netmap_peer *p)
{
	s->changed = true;
	if (p && chunks_put(s->chunks, p))
		return true;
	peer_put(p);
	return false;
}

static bool shear(struct settling *s, const struct netmap_peer *p)
{
	const struct netmap_peer *told = peer_told(p);
	struct ctl_node node = told->node; /* borrows; peer_new copies */
	for (size_t i = 0; i < node.addresses.n; i++)
		if (!note_loss(s, told, &told->node.addresses.v[i]))
			return false;
	node.addresses = keep_own(s, told, &told->node.addresses);
	node.allowed_ips = keep_own(s, told, &told->node.allowed_ips);
	if (s->arena.failed)
		return false;
	if (p != told && ctl_prefixes_equal(&p->node.addresses, &node.addresses))
		return true;
	struct netmap_peer *less = peer_new(&node);
	if (less)
		less->told = peer_get(told);
	return replace(s, less);
}

static bool judge(struct settling *s, int64_t id)
{
	const struct netmap_peer *p = chunks_find(s->chunks, id);
	if (!p)
		return true;
	if (has_lost(s, peer_told(p)))
		return shear(s, p);
	return p == peer_told(p) || replace(s, peer_get(peer_told(p)));
}

static bool judge_all(struct settling *s)
{
	bool ok = true;
	peer_ids_sort(&s->judged);
	for (size_t i = 0; i < s->judged.n; i++)
		if (!i || s->judged.v[i] != s->judged.v[i - 1])
			ok = judge(s, s->judged.v[i]) && ok;
	return ok;
}

bool owners_settle(struct netmap_chunks *c, const struct peer_ids *moved, const int64_t *shorn,
	size_t n_shorn, struct owners_losses *out, bool *changed)
{
	struct settling s = { .chunks = c, .out = out };
	const size_t n = count_addresses(c, moved->v, moved->n) + count_addresses(c, shorn, n_shorn);
	if (!n)
		return true;
	s.v = calloc(n, sizeof(*s.v));
	bool ok = s.v != NULL;
	if (ok) {
		seek(&s, moved->v, moved->n);
		seek(&s, shorn, n_shorn);
		qsort(s.v, s.n, sizeof(*s.v), compare);
		ok = look_through(&s);
	}
	for (size_t i = 0; i < n_shorn; i++)
		ok = ok && peer_ids_add(&s.judged, shorn[i]);
	ok = ok && judge_all(&s);
	*changed = s.changed;
	arena_free(&s.arena);
	free(s.judged.v);
	free(s.v);
	return ok;
}
