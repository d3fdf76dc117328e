/* What flight is due next: a binary heap by due_ms. */
#include "resolver/flight.h"

static void schedule_place(struct resolver *r, size_t at, struct flight *f)
{
	r->heap[at] = f;
	f->heap_at = (uint16_t)at;
}

void schedule_fix(struct resolver *r, struct flight *f)
{
	size_t at = f->heap_at, child;
	for (; at && r->heap[(at - 1) / 2]->due_ms > f->due_ms; at = (at - 1) / 2)
		schedule_place(r, at, r->heap[(at - 1) / 2]);
	for (; (child = at * 2 + 1) < r->n_heap; at = child) {
		if (child + 1 < r->n_heap && r->heap[child + 1]->due_ms < r->heap[child]->due_ms)
			child++;
		if (r->heap[child]->due_ms >= f->due_ms)
			break;
		schedule_place(r, at, r->heap[child]);
	}
	schedule_place(r, at, f);
}

void schedule_remove(struct resolver *r, struct flight *f)
{
	struct flight *last = r->heap[--r->n_heap];
	if (last == f)
		return;
	schedule_place(r, f->heap_at, last);
	schedule_fix(r, last);
}

void schedule_add(struct resolver *r, struct flight *f)
{
	schedule_place(r, r->n_heap++, f);
	schedule_fix(r, f);
}

uint64_t resolver_deadline(const struct resolver *r)
{
	return r->n_heap ? r->heap[0]->due_ms : UINT64_MAX;
}
