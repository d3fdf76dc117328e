/* Exits: peers that carry all that has no better way. Pure. */
#ifndef RW_NETMAP_EXITS_H
#define RW_NETMAP_EXITS_H

#include "mesh/netmap/netmap.h"

bool netmap_is_exit(const struct ctl_node *c); /* it may carry both families: half an exit is none */
/* The peer that a person means: by StableID, an address of its own, its name, or the first label of it,
 * whether it is an exit or not. NULL: there is none. */
const struct netmap_peer *netmap_exit_find(const struct netmap *m, const char *who);

#endif
