#include "mesh/base/heap.h"

static void heap_place(struct heap *h, size_t i, struct heap_item *e)
{
	h->v[i] = e;
	e->at = (uint32_t)i + 1;
}

static void heap_settle(struct heap *h, size_t i, struct heap_item *e)
{
	size_t child;
	for (; i && h->v[(i - 1) / 2]->due_ms > e->due_ms; i = (i - 1) / 2)
		heap_place(h, i, h->v[(i - 1) / 2]);
	for (; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && h->v[child + 1]->due_ms < h->v[child]->due_ms)
			child++;
		if (h->v[child]->due_ms >= e->due_ms)
			break;
		heap_place(h, i, h->v[child]);
	}
	heap_place(h, i, e);
}

void heap_set(struct heap *h, struct heap_item *e, uint64_t due_ms)
{
	e->due_ms = due_ms;
	heap_settle(h, e->at ? e->at - 1 : h->n++, e);
}

void heap_remove(struct heap *h, struct heap_item *e)
{
	if (!e->at)
		return;
	size_t i = e->at - 1;
	struct heap_item *last = h->v[--h->n];
	e->at = 0;
	if (last != e)
		heap_settle(h, i, last);
}
