/* Peers that have one node key, while the next snapshot is made. Used inside mesh/netmap only. */
#ifndef RW_NETMAP_DOUBLES_H
#define RW_NETMAP_DOUBLES_H

#include "mesh/netmap/peer_ids.h"
#include "mesh/netmap/problem.h"

/* The member of the problems that are noted here; they last as long as there are such peers. */
extern const char doubles_member[];

/* Who of next's peers has the key of one with a higher id, in the order of ids; each of them is noted. fresh: those whose
 * key was none of theirs before; old may be NULL. What takes time are these, not all of next.
 * false: memory is short. */
bool doubles_find(const struct netmap *next, const struct netmap *old, const struct peer_ids *fresh,
	struct problem_list *problems, struct peer_ids *out);

#endif
