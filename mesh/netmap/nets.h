/* The networks behind peers, of which a machine takes those that it wishes: which peer carries which. Pure. */
#ifndef RW_NETMAP_NETS_H
#define RW_NETMAP_NETS_H

#include "mesh/netmap/netmap.h"

struct netmap_wish {
	bool routes;  /* subnets */
	int64_t exit; /* the peer that all else goes by; 0 = none */
};
struct netmap_net {
	struct prefix net; /* masked */
	int64_t peer;
};
struct netmap_nets {
	struct netmap_net *v; /* owned; ascending by network, each once */
	size_t n;
};
/* Into *out, which was empty: of several peers that carry one network, the first by id. usable says which
 * peers come into question. false: memory is short, *out stays empty. */
bool netmap_nets_list(const struct netmap *m, const struct netmap_wish *w,
	bool (*usable)(void *arg, const struct netmap_peer *p), void *arg, struct netmap_nets *out);
/* Whether this peer carries the same in both. */
bool netmap_nets_same(const struct netmap_nets *a, const struct netmap_nets *b, int64_t peer);
void netmap_nets_free(struct netmap_nets *l); /* empty afterwards */

#endif
