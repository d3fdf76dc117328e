/* From the map to names: the resolver's zone and routes, and the machine's resolv.conf.
 * tailscale-protocol.md 5.1, 5.4. */
#ifndef RW_NODE_NAMES_H
#define RW_NODE_NAMES_H

#include "mesh/node/node.h"

/* A failure is kept in n->no_dns: a mesh without names is better than none. Tried again by names_refresh. */
void names_apply(struct node *n, const struct netmap *m);
void names_forget(struct node *n); /* resolv.conf back, resolver closed */
/* The server lost sight of a peer. It may be a nameserver. */
void names_peer_gone(struct node *n, const struct ctl_node *peer);
/* resolv.conf was rewritten, or the preference changed. */
void names_refresh(struct node *n);
/* The machine's links changed: its own nameservers may be others, and what failed may work. */
void names_links_changed(struct node *n);
/* A way to somewhere opened or closed: upstreams that were given up may answer again. */
void names_network_changed(struct node *n);

#endif
