/* What a node that did not end by itself left behind on this machine is undone: from the journal of changes.
 */
#ifndef RW_NODE_HOST_CLEANUP_H
#define RW_NODE_HOST_CLEANUP_H

#include "mesh/base/err.h"
#include "mesh/node/host/journal.h"
#include "mesh/os/loop.h"

/* The state folder's lock is held. What is about the routing table `keep` stays (0: nothing does); so does
 * what cannot be undone, and the first reason is returned. */
int cleanup_run(struct loop *l, struct journal *j, uint32_t keep, struct errbuf *eb);

/* `ropewalkd --cleanup`: the whole of it, while no node runs on this state folder. A folder that is not there
 * has nothing to undo. */
int cleanup_main(const char *state_dir, struct errbuf *eb);

#endif
