/* What the node does about the machine's nameservers and the names of the mesh. */
#ifndef RW_NODE_NODE_NAMES_H
#define RW_NODE_NODE_NAMES_H

#include "mesh/node/node.h"

void node_tell_nameservers(struct node *n); /* the machine's own, which the mesh must not cut off */
void node_names_again(void *node);	    /* they changed, or a zone is made that names wait for */

#endif
