#include "mesh/base/arena.h"
#include "mesh/base/key.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 512, BLOCK_MAX = 64 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t at, size;
	max_align_t data[];
};

static struct arena_block *arena_grow(struct arena *a, size_t n)
{
	/* Blocks double: a small message stays small, a large one makes few blocks. */
	size_t size = a->head ? a->head->size * 2 : BLOCK_MIN;
	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
	if (size < n)
		size = n;
	struct arena_block *b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;
	*b = (struct arena_block) { .next = a->head, .size = size };
	a->head = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t align = alignof(max_align_t);
	if (a->failed || n > SIZE_MAX / 2 || (a->cap && n > a->cap - (a->used < a->cap ? a->used : a->cap))) {
		a->failed = true;
		return NULL;
	}
	size_t rounded = (n + align - 1) / align * align;
	if (!rounded)
		rounded = align;
	struct arena_block *b = a->head;
	if (!b || rounded > b->size - b->at)
		b = arena_grow(a, rounded);
	if (!b) {
		a->failed = true;
		return NULL;
	}
	void *p = (uint8_t *)b->data + b->at;
	b->at += rounded;
	a->used += rounded;
	memset(p, 0, rounded);
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size) {
		a->failed = true;
		return NULL;
	}
	return arena_alloc(a, count * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	if (!s)
		return NULL;
	char *p = arena_alloc(a, n + 1);
	if (p)
		memcpy(p, s, n);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);
	if (q && n)
		memcpy(q, p, n);
	return q;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_free(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		if (a->secret)
			key_wipe(b->data, b->at);
		free(b);
	}
	*a = (struct arena) { .cap = a->cap, .secret = a->secret };
}
