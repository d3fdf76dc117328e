/* A growable byte buffer with a hard cap, consumed from the front. All zero (with cap set) is an empty one.
 */
#ifndef RW_BASE_BUF_H
#define RW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For large local arrays on the way of packets that are written before they are read: the compiler zeroes all others. */
#define BUF_UNSET __attribute__((uninitialized))

struct buf {
	uint8_t *p; /* owned; the live bytes are p[at .. at+len) */
	size_t at, len, size;
	size_t cap;  /* 0 = no limit of its own */
	bool secret; /* what it held is zeroed wherever it gives memory back; stays, as cap does */
};

/* All return false when cap would be passed or memory is short; the buffer is then unchanged. */
bool buf_append(struct buf *b, const void *src, size_t n);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes after the live ones; commit with buf_grown. NULL when it cannot be had. */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_grown(struct buf *b, size_t n);
static inline uint8_t *buf_data(const struct buf *b)
{
	return b->p ? b->p + b->at : NULL;
}
void buf_consume(struct buf *b, size_t n); /* n <= len */
/* Gives memory back; the struct is empty and usable afterwards. buf_wipe also zeroes what was held. */
void buf_free(struct buf *b);
void buf_wipe(struct buf *b);
/* NUL-terminated view of the live bytes (the NUL is not counted); NULL when memory is short. */
const char *buf_cstr(struct buf *b);

#endif
