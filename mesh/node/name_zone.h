/* The names of a map, as the zone of this node's resolver. */
#ifndef RW_NODE_NAME_ZONE_H
#define RW_NODE_NAME_ZONE_H

#include "mesh/node/names.h"

/* Something of the map cannot be used. The first of them is kept in n->odd_dns, for `status`. */
void names_odd(struct names *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The zone of n->dns, which is open, says what n->map says. A map that does not fit in memory leaves the names as they
 * were. */
int names_zone_apply(struct names *n, struct errbuf *eb);

#endif
