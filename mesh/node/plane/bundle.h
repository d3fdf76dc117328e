/* Sealed packets of one batch that leave the same way, sent together. */
#ifndef RW_NODE_PLANE_BUNDLE_H
#define RW_NODE_PLANE_BUNDLE_H

#include "mesh/node/plane/plane.h"

struct bundle { /* = { .plane = d } begins one; the packets are borrowed until bundle_send */
	struct plane *plane;
	uint64_t peer; /* 0: none yet */
	struct path_way way;
	struct node_key key;
	bool keyed; /* key is known: a relay can be used */
	struct pkt *pkts[PKT_BATCH];
	size_t count;
};
/* A packet to another peer, and one too many, send what is there first. */
void bundle_add(struct bundle *b, uint64_t now_ms, uint64_t peer, struct pkt *p);
void bundle_send(struct bundle *b); /* and begins anew */

bool bundle_key_of(const struct plane *d, uint64_t peer, struct node_key *out);
/* What the plane itself says to a peer inside the tunnel: by this way, and no sign that the peer is in use.
 * Left out while there is no session. p is sealed in place. */
void bundle_send_inner(struct plane *d, uint64_t peer, const struct path_way *way, struct pkt *p);

#endif
