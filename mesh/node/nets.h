/* The networks behind peers, from the map to WireGuard and to this machine's routes. */
#ifndef RW_NODE_NETS_H
#define RW_NODE_NETS_H

#include "mesh/netmap/nets.h"
#include "mesh/node/engine.h"
#include "mesh/node/host/state.h"

struct nets { /* all zero: none */
	/* Only nets.c writes. */
	struct netmap_nets now; /* what peers were given */
	int64_t exit;		/* the peer that is our exit; 0 = none */
	bool untold;		/* a peer may not have what `now` says: all are told again */
};

/* The peer as the map has it, with the networks that it carries for us. */
int nets_peer_set(const struct nets *t, struct engine *e, const struct ctl_node *peer, struct errbuf *eb);
/* What the map and the preferences say is made true, for peers that the engine has. A failure leaves what
 * could be done; the next call tries again. */
int nets_apply(struct nets *t, struct engine *e, const struct netmap *m, const struct state_prefs *p,
	struct errbuf *eb);
void nets_forget(struct nets *t, struct engine *e);

#endif
