#include "resolver/zone_pool.h"

#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 128 << 10, CHUNKS_MANY = 4, SPARSE = 4, BIG = ZONE_PIECE * ZONE_PIECES };

struct zone_chunk {
	struct zone_chunk *next;
	void *map; /* CHUNK bytes */
};
struct zone_piece {
	struct zone_piece *next;
};
struct zone_big {
	struct zone_big *next, *before;
};

static size_t piece_size(size_t size)
{
	return (size + ZONE_PIECE - 1) / ZONE_PIECE * ZONE_PIECE;
}

static void *big_get(struct zone_pool *p, size_t size)
{
	struct zone_big *b = calloc(1, sizeof(*b) + size);
	if (!b)
		return NULL;
	b->next = p->big;
	if (p->big)
		p->big->before = b;
	p->big = b;
	return b + 1;
}

static void big_put(struct zone_pool *p, void *piece)
{
	struct zone_big *b = (struct zone_big *)piece - 1;
	if (b->before)
		b->before->next = b->next;
	else
		p->big = b->next;
	if (b->next)
		b->next->before = b->before;
	free(b);
}

/* What is left of the chunk before is given out later, as smaller pieces. */
static bool chunk_add(struct zone_pool *p)
{
	struct zone_chunk *c = malloc(sizeof(*c));
	void *map = c ? mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		      : MAP_FAILED;
	if (map == MAP_FAILED) {
		free(c);
		return false;
	}
	if (p->left) {
		ASAN_UNPOISON_MEMORY_REGION(p->at, p->left);
		p->used += p->left; /* as if it had been given out */
		zone_pool_put(p, p->at, p->left);
	}
	*c = (struct zone_chunk) { .next = p->chunks, .map = map };
	p->chunks = c;
	p->at = map;
	p->left = CHUNK;
	p->mapped += CHUNK;
	ASAN_POISON_MEMORY_REGION(map, CHUNK);
	return true;
}

void *zone_pool_get(struct zone_pool *p, size_t size)
{
	if (size > BIG)
		return big_get(p, size);
	size = size ? piece_size(size) : ZONE_PIECE;
	struct zone_piece **back = &p->back[size / ZONE_PIECE - 1], *piece = *back;
	if (!piece && p->left < size && !chunk_add(p))
		return NULL;
	p->used += size;
	if (piece) {
		ASAN_UNPOISON_MEMORY_REGION(piece, size);
		*back = piece->next;
		return memset(piece, 0, size);
	}
	void *at = p->at;
	p->at += size;
	p->left -= size;
	ASAN_UNPOISON_MEMORY_REGION(at, size);
	return at;
}

void zone_pool_put(struct zone_pool *p, void *piece, size_t size)
{
	if (!piece)
		return;
	if (size > BIG) {
		big_put(p, piece);
		return;
	}
	size = size ? piece_size(size) : ZONE_PIECE;
	struct zone_piece *x = piece, **back = &p->back[size / ZONE_PIECE - 1];
	p->used -= size;
	x->next = *back;
	*back = x;
	ASAN_POISON_MEMORY_REGION(x, size);
}

void zone_pool_free(struct zone_pool *p)
{
	for (struct zone_chunk *c = p->chunks, *next; c; c = next) {
		next = c->next;
		ASAN_UNPOISON_MEMORY_REGION(c->map, CHUNK);
		munmap(c->map, CHUNK);
		free(c);
	}
	for (struct zone_big *b = p->big, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	*p = (struct zone_pool) { 0 };
}

size_t zone_pool_mapped(const struct zone_pool *p)
{
	return p->mapped;
}

bool zone_pool_is_sparse(const struct zone_pool *p)
{
	return p->mapped >= CHUNKS_MANY * (size_t)CHUNK && p->used < p->mapped / SPARSE;
}
