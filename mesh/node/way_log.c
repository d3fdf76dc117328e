#include "mesh/node/way_log.h"

#include <stdlib.h>

static size_t kept(const struct way_log *l)
{
	return l->n < WAY_LOG_MAX ? l->n : WAY_LOG_MAX;
}

static const struct way_change *last_of(const struct way_log *l, uint64_t peer)
{
	for (size_t i = 0; i < kept(l); i++) {
		const struct way_change *c = &l->v[(l->n - 1 - i) % WAY_LOG_MAX];
		if (c->peer == peer)
			return c;
	}
	return NULL;
}

static bool same_place(const struct way_place *a, const struct way_place *b)
{
	return a->region == b->region && endpoint_equal(&a->at, &b->at);
}

void way_log_add(struct way_log *l, int64_t unix_ms, uint64_t peer, const struct way_place *to)
{
	const struct way_change *last = last_of(l, peer);
	struct way_change next = { .unix_ms = unix_ms, .peer = peer, .to = *to };
	if (last)
		next.from = last->to;
	if (same_place(&next.from, to))
		return;
	if (!l->v)
		l->v = calloc(WAY_LOG_MAX, sizeof(*l->v));
	if (l->v)
		l->v[l->n++ % WAY_LOG_MAX] = next;
}

const struct way_change *way_log_next(const struct way_log *l, uint64_t peer, size_t *at)
{
	while (*at < kept(l)) {
		const struct way_change *c = &l->v[(l->n - kept(l) + (*at)++) % WAY_LOG_MAX];
		if (c->peer == peer)
			return c;
	}
	return NULL;
}

void way_log_fini(struct way_log *l)
{
	free(l->v);
	*l = (struct way_log) { NULL, 0 };
}
