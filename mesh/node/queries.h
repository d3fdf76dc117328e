/* What LocalAPI asks of the node, answered from its parts. */
#ifndef RW_NODE_QUERIES_H
#define RW_NODE_QUERIES_H

#include "mesh/node/local/local_node.h"
#include "mesh/node/node.h"

struct local_node_ops queries_ops(struct node *n);

#endif
