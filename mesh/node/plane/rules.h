/* The map's access rules, compiled for the packet path. */
#ifndef RW_NODE_PLANE_RULES_H
#define RW_NODE_PLANE_RULES_H

#include "mesh/base/err.h"
#include "mesh/filter/filter.h"
#include "mesh/netmap/netmap.h"

/* What this machine offers to carry, and the networks that it is in itself: an exit is one to the internet,
 * not to them. Borrowed. */
struct rules_place {
	const struct prefix *offered, *around;
	size_t n_offered, n_around;
	bool shields_up; /* whatever the map lets in, nothing is that was not asked for */
};
/* What the map lets in, to our own addresses and what is offered. NULL with a sentence: memory is short. */
struct filter *rules_compile(const struct netmap *m, const struct rules_place *at, struct errbuf *eb);
struct filter *rules_shut(void); /* lets nothing in; NULL: memory is short */

#endif
