/* Nameservers as the server of the mesh names them, as upstreams of the resolver. */
#ifndef RW_NODE_NAME_SERVERS_H
#define RW_NODE_NAME_SERVERS_H

#include "mesh/base/arena.h"
#include "mesh/proto/control_net.h"
#include "resolver/resolver.h"

/* One inside the mesh is our own people's: trusted, and it may know the names of their site. A known provider's address
 * is asked by HTTPS first, and in clear beside it when that is slow or does not answer, as official clients do. What
 * cannot be used is told to odd, and left out. out[RESOLVER_UPSTREAMS_MAX], with memory of a; how many there are. */
struct name_servers_odd {
	void (*say)(void *arg, const char *server, const char *why);
	void *arg;
};
size_t name_servers_read(struct arena *a, const struct ctl_resolver *r, size_t n,
	struct resolver_upstream *out, const struct name_servers_odd *odd);
/* Is one of them at this address? */
bool name_servers_have(const struct ctl_resolver *r, size_t n, const struct addr *ip);
/* Does the network name one at this address, for whatever names? */
bool name_servers_named(const struct ctl_dns *dns, const struct addr *ip);

#endif
