/* The node's state as LocalAPI's status, made from the map and the cores' own figures. */
#ifndef RW_NODE_STATUS_H
#define RW_NODE_STATUS_H

#include "mesh/node/node.h"
#include "mesh/proto/localapi.h"

/* All but the peers. Everything in *out lives in the arena or the map; valid until either changes. */
void status_make(struct node *n, struct arena *a, struct api_status *out);
/* A peer of m, which the caller holds, as it is now; m may be an older map, and the engine may be closed. */
void status_peer(struct node *n, const struct netmap_peer *p, struct arena *a, struct api_peer *out);

#endif
