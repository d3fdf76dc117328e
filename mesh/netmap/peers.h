/* The peers of a snapshot (netmap.h), as they are held. */
#ifndef RW_NETMAP_PEERS_H
#define RW_NETMAP_PEERS_H

#include "mesh/proto/control.h"

struct netmap_peer { /* counted inside; shared between snapshots that do not change it */
	unsigned refs;
	const struct netmap_peer
		*told;	      /* as the server says it, where node is without some addresses; mostly NULL */
	struct ctl_node node; /* points into the same allocation */
};
/* In the order of their numbers, a few in a row at a time: shared by snapshots in which they are the same (chunks.h). A
 * snapshot that was not made by netmap_apply has none. */
struct netmap_chunk;
struct netmap_chunks {
	struct netmap_chunk **v;
	size_t n, cap;
};

#endif
