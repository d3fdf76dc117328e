/* While the engine opens anew, since somebody removed its interface, this machine goes on to ask 100.100.100.100, and the
 * guard stays in force: no name and no packet of the mesh leaves by the network around in that moment. A program that asks
 * then fails at once. */
#ifndef RW_NODE_NODE_HOLD_H
#define RW_NODE_NODE_HOLD_H

#include "mesh/node/apply.h"
#include "mesh/node/host/journal.h"
#include "mesh/node/steps.h"

struct node_hold { /* the owner sets the first three, which are borrowed */
	struct steps *steps;
	struct apply *apply;
	struct journal *journal;
	bool on;
	char dev[16];
};
/* Before the engine is closed. Without a guard nothing is held: the question would leave all the same. */
void node_hold_begin(struct node_hold *h);
/* The engine is open anew, or is not: what is not there again is as without a mesh. */
void node_hold_end(struct node_hold *h);

#endif
