/* Memory of one zone: small pieces of mapped chunks. They go back to the machine with the zone, in a few steps however many
 * they are, and whichever threads had them: an allocator for all keeps a part of them for each thread. */
#ifndef RW_RESOLVER_ZONE_POOL_H
#define RW_RESOLVER_ZONE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ZONE_PIECE = 8,
	ZONE_PIECES = 64
}; /* pieces are of 8, 16, ... 512 bytes; what is bigger is allocated alone */

struct zone_pool { /* zero: empty */
	struct zone_chunk *chunks;
	uint8_t *at;			      /* of the newest chunk, what is not given out yet */
	size_t left, mapped, used;	      /* bytes; used: of small pieces */
	struct zone_piece *back[ZONE_PIECES]; /* given back, by size */
	struct zone_big *big;
};
/* size bytes of zeros, aligned for pointers. NULL: memory short. */
void *zone_pool_get(struct zone_pool *p, size_t size);
void zone_pool_put(struct zone_pool *p, void *piece, size_t size); /* of that size; NULL is fine */
void zone_pool_free(struct zone_pool *p);			   /* all pieces go */
size_t zone_pool_mapped(const struct zone_pool *p);		   /* bytes of chunks */
bool zone_pool_is_sparse(
	const struct zone_pool *p); /* it has far more than is in use: another one would be smaller */

#endif
