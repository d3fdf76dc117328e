/* What is due next: a binary heap of items that their owners embed. The array of pointers is the owner's, with room for every
 * item. All zero is an empty heap, and an item that is in none. */
#ifndef RW_BASE_HEAP_H
#define RW_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_item {
	uint64_t due_ms;
	uint32_t at; /* place + 1; 0 = in no heap. heap.c's */
};
struct heap {
	struct heap_item **v; /* v[0] is due first */
	size_t n;
};

/* Puts it in, or moves it: it is due then. */
void heap_set(struct heap *h, struct heap_item *e, uint64_t due_ms);
void heap_remove(struct heap *h, struct heap_item *e); /* in none: nothing happens */
/* The struct that embeds an item. */
#define heap_owner(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

#endif
