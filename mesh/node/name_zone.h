/* The names of a map, as a zone of the resolver. Nothing is touched but what is handed in, so that a thread of its own can do
 * it. */
#ifndef RW_NODE_NAME_ZONE_H
#define RW_NODE_NAME_ZONE_H

#include "mesh/netmap/netmap.h"
#include "mesh/node/host/addr_set.h"

enum { ZONE_ODD_TEXT = 384 };

struct zone_draft {
	struct zone *zone;		/* the caller's */
	const struct addr_set *outside; /* peers' addresses that no name leads to; NULL: none */
	char odd[ZONE_ODD_TEXT];	/* the first of the map that cannot be used; "" = nothing */
};

/* d->zone, which is empty, says what m says. -ENOMEM: it is to be thrown away. */
int name_zone_fill(struct zone_draft *d, const struct netmap *m);
/* How many peers and records lie between two maps, or more than max where they are more than that; SIZE_MAX: it is not they
 * alone, and no step leads from one to the other. */
size_t name_zone_distance(const struct netmap *from, const struct netmap *to, size_t max);
/* d->zone said what `from` says, all of which could be used, and says what `to` does, at the cost of what differs.
 * -ENOMEM, or something odd: it is between the two, and a whole one is to be made. */
int name_zone_step(struct zone_draft *d, const struct netmap *from, const struct netmap *to);

#endif
