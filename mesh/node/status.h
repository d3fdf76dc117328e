/* The node's state as LocalAPI's status, made from the map and the cores' own figures. */
#ifndef RW_NODE_STATUS_H
#define RW_NODE_STATUS_H

#include "mesh/node/node.h"
#include "mesh/proto/localapi.h"

/* Everything in *out lives in the arena or the map; valid until either changes. */
void status_make(struct node *n, struct arena *a, bool with_peers, struct api_status *out);

#endif
