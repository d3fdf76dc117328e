/* From the map to names: the resolver's zone and routes, and the machine's resolv.conf.
 * tailscale-protocol.md 5.1, 5.4. */
#ifndef RW_NODE_NAMES_H
#define RW_NODE_NAMES_H

#include "mesh/node/node.h"

int names_apply(struct node *n, const struct netmap *m, struct errbuf *eb);
void names_forget(struct node *n); /* resolv.conf back, resolver closed */
/* resolv.conf was rewritten, or the preference changed. */
void names_refresh(struct node *n);
/* A way to somewhere opened or closed: upstreams that were given up may answer again. */
void names_network_changed(struct node *n);

#endif
