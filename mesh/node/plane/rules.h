/* The map's access rules, compiled for the packet path. */
#ifndef RW_NODE_PLANE_RULES_H
#define RW_NODE_PLANE_RULES_H

#include "mesh/base/err.h"
#include "mesh/filter/filter.h"
#include "mesh/netmap/netmap.h"

/* What the map lets in, to our own addresses. NULL with a sentence: memory is short. */
struct filter *rules_compile(const struct netmap *m, struct errbuf *eb);
struct filter *rules_shut(void); /* lets nothing in; NULL: memory is short */

#endif
