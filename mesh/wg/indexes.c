#include "mesh/wg/indexes.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 16 };

void indexes_fini(struct indexes *t)
{
	free(t->slots);
	memset(t, 0, sizeof(*t));
}

/* The index itself is the hash: strangers can ask for any, but only we choose what is in the table. */
static size_t indexes_place(const struct indexes *t, uint32_t index)
{
	size_t i = index & (t->size - 1);
	while (t->slots[i].index && t->slots[i].index != index)
		i = (i + 1) & (t->size - 1);
	return i;
}

static bool indexes_grow(struct indexes *t)
{
	struct indexes bigger = { .n = t->n, .size = t->size ? t->size * 2 : FIRST_SIZE };
	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].index)
			bigger.slots[indexes_place(&bigger, t->slots[i].index)] = t->slots[i];
	free(t->slots);
	*t = bigger;
	return true;
}

bool indexes_put(struct indexes *t, const struct index_slot *slot)
{
	if (t->n * 2 >= t->size && !indexes_grow(t))
		return false;
	t->slots[indexes_place(t, slot->index)] = *slot;
	t->n++;
	return true;
}

struct index_slot *indexes_get(const struct indexes *t, uint32_t index)
{
	if (!t->size || !index)
		return NULL;
	struct index_slot *s = &t->slots[indexes_place(t, index)];
	return s->index ? s : NULL;
}

void indexes_remove(struct indexes *t, uint32_t index)
{
	struct index_slot *s = indexes_get(t, index);
	if (!s)
		return;
	/* Close the gap: move back whatever could no longer be found across it. */
	size_t hole = (size_t)(s - t->slots), mask = t->size - 1;
	for (size_t i = (hole + 1) & mask; t->slots[i].index; i = (i + 1) & mask) {
		size_t home = t->slots[i].index & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole] = (struct index_slot) { 0 };
	t->n--;
}
