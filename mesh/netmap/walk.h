/* The peers that two maps do not have in common, in the order of their numbers. */
#ifndef RW_NETMAP_WALK_H
#define RW_NETMAP_WALK_H

#include "mesh/netmap/netmap.h"

struct netmap_side {
	const struct netmap *map; /* NULL: none, which has no peers */
	size_t at, chunk, left;	  /* the next peer; the next chunk, and how many there are before it */
};
struct netmap_walk { /* from and to: set at the beginning, the rest zero; both are held meanwhile */
	struct netmap_side from, to;
	const struct netmap_peer *goes, *comes; /* one, or both with one number: which may say the same */
};

/* The next: false at the end. What two maps share is passed over in long steps. */
bool netmap_walk_next(struct netmap_walk *w);

#endif
