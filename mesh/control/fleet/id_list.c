#include "mesh/control/fleet/id_list.h"
#include "mesh/base/sorted.h"

#include <stdlib.h>
#include <string.h>

static bool id_before(const void *v, size_t i, const void *id)
{
	return ((const int64_t *)v)[i] < *(const int64_t *)id;
}

size_t id_list_at(const struct id_list *l, int64_t id)
{
	return sorted_before(l->v, l->n, &id, id_before);
}

bool id_list_has(const struct id_list *l, int64_t id)
{
	size_t i = id_list_at(l, id);
	return i < l->n && l->v[i] == id;
}

bool id_list_add(struct id_list *l, int64_t id)
{
	size_t i = id_list_at(l, id);
	if (i < l->n && l->v[i] == id)
		return true;
	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 2;
		int64_t *v = reallocarray(l->v, size, sizeof(*v));
		if (!v)
			return false;
		l->v = v;
		l->size = size;
	}
	memmove(l->v + i + 1, l->v + i, (l->n - i) * sizeof(*l->v));
	l->v[i] = id;
	l->n++;
	return true;
}

void id_list_remove(struct id_list *l, int64_t id)
{
	size_t i = id_list_at(l, id);
	if (i >= l->n || l->v[i] != id)
		return;
	l->n--;
	memmove(l->v + i, l->v + i + 1, (l->n - i) * sizeof(*l->v));
}

void id_list_clear(struct id_list *l)
{
	free(l->v);
	*l = (struct id_list) { 0 };
}

void id_list_free(struct id_list *l)
{
	if (l)
		free(l->v);
	free(l);
}
