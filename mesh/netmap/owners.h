/* Peers that are told to have one address, while the next snapshot is made: the one with the highest id has it, in the place
 * of the others stand peers without it. Used inside mesh/netmap only. */
#ifndef RW_NETMAP_OWNERS_H
#define RW_NETMAP_OWNERS_H

#include "mesh/netmap/peer_ids.h"
#include "mesh/netmap/peers.h"

struct owners_loss { /* as they are told; lasts as long as the chunks */
	const struct ctl_node *who, *owner;
	const struct prefix *address; /* of who */
};
struct owners_losses {	       /* by the id of who */
	struct owners_loss *v; /* by malloc */
	size_t n, cap;
};

/* The chunks get who has less than it is told, all of which is in *out, empty before, and who has it back; *changed: there are
 * others in them now than there were. moved: those whose addresses are not what they were told before; shorn: who had less
 * before. What takes time are these, not all that are there. false: memory is short. */
bool owners_settle(struct netmap_chunks *c, const struct peer_ids *moved, const int64_t *shorn,
	size_t n_shorn, struct owners_losses *out, bool *changed);

#endif
