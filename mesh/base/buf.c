#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_back(const struct buf *b)
{
	if (b->secret && b->p)
		key_wipe(b->p, b->size);
	free(b->p);
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4 ||
		(b->cap && n > b->cap - (b->len < b->cap ? b->len : b->cap)))
		return NULL;
	if (n <= b->size - b->at - b->len && b->p)
		return b->p + b->at + b->len;
	if (b->p && b->at && b->len + n <= b->size) {
		memmove(b->p, b->p + b->at, b->len);
		b->at = 0;
		return b->p + b->len;
	}
	size_t size = b->size ? b->size : 256;
	while (size < b->len + n)
		size *= 2;
	uint8_t *p = malloc(size);
	if (!p)
		return NULL;
	if (b->p)
		memcpy(p, b->p + b->at, b->len);
	give_back(b);
	b->p = p;
	b->at = 0;
	b->size = size;
	return p + b->len;
}

void buf_grown(struct buf *b, size_t n)
{
	b->len += n;
}

bool buf_append(struct buf *b, const void *src, size_t n)
{
	uint8_t *p = buf_room(b, n);
	if (!p)
		return false;
	if (n)
		memcpy(p, src, n);
	b->len += n;
	return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : (char *)buf_room(b, (size_t)n + 1);
	if (!p)
		return false;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return true;
}

void buf_consume(struct buf *b, size_t n)
{
	b->at += n;
	b->len -= n;
	if (!b->len)
		b->at = 0;
}

void buf_free(struct buf *b)
{
	give_back(b);
	*b = (struct buf) { .cap = b->cap, .secret = b->secret };
}

void buf_wipe(struct buf *b)
{
	if (b->p)
		key_wipe(b->p, b->size);
	buf_free(b);
}

const char *buf_cstr(struct buf *b)
{
	size_t cap = b->cap;
	b->cap = 0; /* the NUL is not content */
	uint8_t *p = buf_room(b, 1);
	b->cap = cap;
	if (!p)
		return NULL;
	*p = 0;
	return (const char *)buf_data(b);
}
