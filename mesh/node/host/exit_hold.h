/* While this machine shall use an exit, what the mesh does not carry goes nowhere: a routing table whose
 * default is refused, behind that of networks (net_table.h). It does not depend on the interface, and so is in
 * force before there is a map, while the engine opens anew, and after the process was killed. */
#ifndef RW_NODE_HOST_EXIT_HOLD_H
#define RW_NODE_HOST_EXIT_HOLD_H

#include "mesh/node/host/net_table.h"

enum { HOLD_TABLE = 1051999, HOLD_RULE_PRIORITY = 5256 };

struct exit_hold { /* all zero: off */
	struct nl *nl;
	struct net_table table;
};

/* Makes it so, or looks at the networks around anew. keep_own: private ones stay reachable. What could not be
 * set is tried again by the next call. */
int exit_hold_set(struct exit_hold *h, bool on, bool keep_own, struct journal *j, struct errbuf *eb);
void exit_hold_repair(struct exit_hold *h); /* what somebody took away */
void exit_hold_off(struct exit_hold *h);

#endif
