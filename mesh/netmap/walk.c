#include "mesh/netmap/walk.h"
#include "mesh/netmap/chunks.h"

static const struct netmap_chunk *next_chunk(const struct netmap_side *s)
{
	return s->map && !s->left && s->chunk < s->map->chunks.n ? s->map->chunks.v[s->chunk] : NULL;
}

static const struct netmap_peer *next_peer(const struct netmap_side *s)
{
	return s->map && s->at < s->map->n_peers ? s->map->peers[s->at] : NULL;
}

static void step(struct netmap_side *s)
{
	const struct netmap_chunk *k = next_chunk(s);
	if (k) {
		s->left = k->n;
		s->chunk++;
	}
	s->left -= s->left > 0;
	s->at++;
}

static void skip_chunk(struct netmap_side *s, const struct netmap_chunk *k)
{
	s->at += k->n;
	s->chunk++;
}

static void skip_same(struct netmap_walk *w)
{
	const struct netmap_chunk *k;
	while ((k = next_chunk(&w->from)) && k == next_chunk(&w->to)) {
		skip_chunk(&w->from, k);
		skip_chunk(&w->to, k);
	}
}

bool netmap_walk_next(struct netmap_walk *w)
{
	for (;;) {
		skip_same(w);
		const struct netmap_peer *x = next_peer(&w->from), *y = next_peer(&w->to);
		bool same = x == y;
		w->goes = !same && x && (!y || x->node.id <= y->node.id) ? x : NULL;
		w->comes = !same && y && (!x || y->node.id <= x->node.id) ? y : NULL;
		if (same && !x)
			return false;
		if (same || w->goes)
			step(&w->from);
		if (same || w->comes)
			step(&w->to);
		if (!same)
			return true;
	}
}
