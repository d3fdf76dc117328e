/* Pieces of memory of one size, a few of which are kept for the next who asks for one: what every question needs for a moment
 * comes from the allocator only when more of them are out than before. */
#ifndef RW_RESOLVER_SPARE_H
#define RW_RESOLVER_SPARE_H

#include <sanitizer/asan_interface.h>
#include <stddef.h>
#include <stdlib.h>

enum { SPARES_MAX = 64 };
struct spares { /* zero: none */
	void *kept[SPARES_MAX];
	unsigned n;
};

/* Not of zeros; to be given back by spare_put, or free. NULL: memory short. */
static inline void *spare_get(struct spares *s, size_t size)
{
	if (!s->n)
		return malloc(size);
	void *piece = s->kept[--s->n];
	ASAN_UNPOISON_MEMORY_REGION(piece, size);
	return piece;
}

static inline void spare_put(struct spares *s, void *piece, size_t size)
{
	if (s->n == SPARES_MAX) {
		free(piece);
		return;
	}
	s->kept[s->n++] = piece;
	ASAN_POISON_MEMORY_REGION(piece, size);
	(void)size;
}

static inline void spares_free(struct spares *s, size_t size)
{
	while (s->n)
		free(spare_get(s, size));
}

#endif
