/* Bump allocator: a decoded message and all it points to live and die together. */
#ifndef RW_BASE_ARENA_H
#define RW_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *head; /* owned */
	size_t used, cap;	  /* cap 0 = none; bytes handed out */
	bool failed;		  /* sticks when memory or cap ran out */
	bool secret;		  /* what it held is zeroed when it is freed; stays, as cap does */
};

/* Zeroed, aligned for any type; NULL (and failed) when it cannot be had. n == 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* overflow checked */
char *arena_strdup(struct arena *a, const char *s);	       /* NULL gives NULL, not failed */
char *arena_strndup(struct arena *a, const char *s, size_t n);
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a); /* everything; a is empty and usable */

#endif
