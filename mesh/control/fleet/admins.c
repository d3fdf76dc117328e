#include "mesh/control/fleet/admins.h"

#include <string.h>

bool admins_put(struct admins *a, const struct admin *who)
{
	size_t i = 0;
	while (i < a->n && a->v[i].id != who->id)
		i++;
	if (i == ADMINS_MAX)
		return false;
	a->v[i] = *who;
	a->n += i == a->n;
	return true;
}

void admins_remove(struct admins *a, int64_t id)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].id == id) {
			a->n--;
			memmove(&a->v[i], &a->v[i + 1], (a->n - i) * sizeof(a->v[i]));
			return;
		}
}

const struct admin *admins_named(const struct admins *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->v[i].name, name))
			return &a->v[i];
	return NULL;
}

const struct admin *admins_by_id(const struct admins *a, int64_t id)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].id == id)
			return &a->v[i];
	return NULL;
}
