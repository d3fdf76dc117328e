/* How many questions came in each ten minutes of the last day: counts alone, of nobody in particular. */
#ifndef RW_RESOLVER_ALONE_HISTORY_H
#define RW_RESOLVER_ALONE_HISTORY_H

#include "resolver/resolver.h"

enum { HISTORY_SLOTS = 144, HISTORY_SLOT_MS = 600000 };
struct history_slot {
	int64_t number; /* Unix time in slots; 0: never used */
	uint64_t queries, blocked, cached;
};
struct history {
	struct history_slot v[HISTORY_SLOTS];
	uint64_t queries, blocked, cached; /* already counted */
};
/* What came since the last call belongs to the slot of now. Call it once a slot at least. */
void history_count(struct history *h, const struct resolver_stats *s, int64_t unix_ms);
/* The i-th slot of the day that ends now, the oldest first. */
struct history_slot history_at(const struct history *h, size_t i, int64_t unix_ms);

#endif
