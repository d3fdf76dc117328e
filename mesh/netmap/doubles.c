#include "mesh/netmap/doubles.h"
#include "mesh/base/sorted.h"
#include "mesh/netmap/chunks.h"
#include <stdlib.h>
#include <string.h>

const char doubles_member[] = "Peers.Key";

/* A key that is looked for, and who had it last on the way through the peers. */
struct sought {
	const uint8_t *key;
	uint64_t start;
	const struct netmap_peer *by;
};

struct sought_keys {
	struct sought *v;
	size_t n;
};

static void seek(struct sought_keys *s, const struct netmap *m, const int64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct netmap_peer *p = netmap_peer_by_id(m, ids[i]);
		if (p && !key_is_zero(p->node.key.b))
			s->v[s->n++] = (struct sought) { p->node.key.b, key_start(&p->node.key), NULL };
	}
}

static int by_key(const void *a, const void *b)
{
	const struct sought *x = a, *y = b;
	return memcmp(x->key, y->key, KEY_LEN);
}

static bool key_before(const void *v, size_t i, const void *key)
{
	return memcmp(((const struct sought *)v)[i].key, key, KEY_LEN) < 0;
}

static bool start_before(const void *v, size_t i, const void *start)
{
	return ((const struct sought *)v)[i].start < *(const uint64_t *)start;
}

/* One of them begins so. */
static bool may_be_sought(const struct sought_keys *s, uint64_t start)
{
	size_t i = sorted_before(s->v, s->n, &start, start_before);
	return i < s->n && s->v[i].start == start;
}

static struct sought *sought_find(const struct sought_keys *s, const struct netmap_peer *p)
{
	size_t i = sorted_before(s->v, s->n, p->node.key.b, key_before);
	return i < s->n && key_equal(s->v[i].key, p->node.key.b) ? &s->v[i] : NULL;
}

static void note_double(struct problem_list *l, const struct ctl_node *it, const struct ctl_node *other)
{
	struct ctl_problem x = { .member = doubles_member, .node = it->id };
	x.text = arena_printf(&l->arena, "Peers[%s].Key: it is also that of %s: %s cannot be reached",
		it->name, other->name, it->name);
	if (x.text)
		problem_note_found(l, &x);
}

/* On the way through the peers. false: memory is short. */
static bool met(struct sought_keys *s, const struct netmap_peer *p, struct problem_list *problems,
	struct peer_ids *out)
{
	struct sought *k = sought_find(s, p);
	const struct netmap_peer *before = k ? k->by : NULL;
	if (k)
		k->by = p;
	if (!before)
		return true;
	note_double(problems, &before->node, &p->node);
	return peer_ids_add(out, before->node.id);
}

bool doubles_find(const struct netmap *next, const struct netmap *old, const struct peer_ids *fresh,
	struct problem_list *problems, struct peer_ids *out)
{
	size_t n_old = old ? old->n_doubles : 0;
	struct sought_keys s = { .n = 0 };
	if (!fresh->n && !n_old)
		return true;
	s.v = calloc(fresh->n + n_old, sizeof(*s.v));
	if (!s.v)
		return false;
	seek(&s, next, fresh->v, fresh->n);
	if (n_old)
		seek(&s, next, old->doubles, n_old);
	qsort(s.v, s.n, sizeof(*s.v), by_key);
	bool all = true;
	for (size_t i = 0; i < next->chunks.n; i++) {
		const struct netmap_chunk *k = next->chunks.v[i];
		for (unsigned at = 0; at < k->n; at++)
			if (may_be_sought(&s, k->keys[at]))
				all = met(&s, k->peers[at], problems, out) && all;
	}
	peer_ids_sort(out);
	free(s.v);
	return all;
}
