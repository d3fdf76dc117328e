/* The mesh interface as the machine sees it: addresses, link state, MTU, routes to the mesh's prefixes. */
#ifndef RW_NODE_HOST_IFACE_H
#define RW_NODE_HOST_IFACE_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"

struct iface;
bool iface_service_taken(void); /* a node of this machine has them now */
struct iface *iface_open(const char *name, uint32_t mtu, struct errbuf *eb);
void iface_close(struct iface *i); /* the TUN's end removes addresses and routes with it */
/* Makes it so: exactly these addresses and these routes; up. Service addresses are never chosen as a source.
 */
int iface_apply(struct iface *i, const struct prefix *addrs, size_t n_addrs, const struct prefix *routes,
	size_t n_routes, struct errbuf *eb);
/* What somebody took away is put back: up, addresses, routes. What is there stays, without news of it. */
void iface_repair(struct iface *i);
/* Addresses of the machine's other interfaces that are up, for direct paths; at most cap; returns the count.
 */
size_t iface_local(struct iface *i, struct addr *out, size_t cap);

#endif
