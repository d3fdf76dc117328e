/* Peers that have one node key, while the next snapshot is made. Used inside mesh/netmap only. */
#ifndef RW_NETMAP_DOUBLES_H
#define RW_NETMAP_DOUBLES_H

#include "mesh/netmap/problem.h"

/* Ids of peers, which need not be there any more. */
struct peer_ids {
	int64_t *v; /* by malloc */
	size_t n, cap;
};
bool peer_ids_add(struct peer_ids *l, int64_t id); /* false: memory is short, as below */

/* The member of the problems that are noted here; they last as long as there are such peers. */
extern const char doubles_member[];

/* Who of next's peers has the key of one with a higher id, in the order of ids; each of them is noted. fresh: those whose
 * key was none of theirs before; old may be NULL. What takes time are these, not all of next. */
bool doubles_find(const struct netmap *next, const struct netmap *old, const struct peer_ids *fresh,
	struct problem_list *problems, struct peer_ids *out);

#endif
