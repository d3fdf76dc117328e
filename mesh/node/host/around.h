/* The networks that a machine is in. */
#ifndef RW_NODE_HOST_AROUND_H
#define RW_NODE_HOST_AROUND_H

#include "mesh/os/netlink.h"

/* Of all interfaces that are up but this one, masked, at most cap; single addresses, loopback and link-local
 * ones are none. Returns the count. */
size_t around_list(struct nl *nl, int but, struct prefix *out, size_t cap);

#endif
