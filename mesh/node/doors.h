/* What PeerAPI asks of the node. */
#ifndef RW_NODE_DOORS_H
#define RW_NODE_DOORS_H

#include "mesh/node/node.h"
#include "mesh/node/serve/peer_api.h"

struct peer_api_ops doors_ops(struct node *n);

#endif
