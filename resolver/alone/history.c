#include "resolver/alone/history.h"

void history_count(struct history *h, const struct resolver_stats *s, int64_t unix_ms)
{
	int64_t number = unix_ms / HISTORY_SLOT_MS;
	struct history_slot *v = &h->v[(uint64_t)number % HISTORY_SLOTS];
	if (v->number != number)
		*v = (struct history_slot) { .number = number };
	v->queries += s->queries - h->queries;
	v->blocked += s->blocked - h->blocked;
	v->cached += s->cached - h->cached;
	h->queries = s->queries;
	h->blocked = s->blocked;
	h->cached = s->cached;
}

struct history_slot history_at(const struct history *h, size_t i, int64_t unix_ms)
{
	int64_t number = unix_ms / HISTORY_SLOT_MS - (HISTORY_SLOTS - 1) + (int64_t)i;
	const struct history_slot *v = &h->v[(uint64_t)number % HISTORY_SLOTS];
	return v->number == number ? *v : (struct history_slot) { .number = number };
}
