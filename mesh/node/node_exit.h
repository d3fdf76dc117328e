/* What the node's preferences say of exits, and the hold that follows them (host/exit_hold.h). */
#ifndef RW_NODE_NODE_EXIT_H
#define RW_NODE_NODE_EXIT_H

#include "mesh/node/node.h"

bool node_wants_exit(const struct node *n); /* to use one, and to run */
bool node_offers_exit(const struct node *n);
/* Before anything that lets packets of this machine go another way, and after it. A failure is kept in
 * n->unheld. */
void node_hold_exit(struct node *n);

#endif
