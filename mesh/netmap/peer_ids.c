#include "mesh/netmap/peer_ids.h"
#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

void peer_ids_sort(struct peer_ids *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_id);
}

bool peer_ids_add(struct peer_ids *l, int64_t id)
{
	if (l->n == l->cap) {
		size_t cap = l->cap * 2 + 4;
		int64_t *v = realloc(l->v, cap * sizeof(*v));
		if (!v)
			return false;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return true;
}
