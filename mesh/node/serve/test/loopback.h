/* A machine with PeerAPI on loopback and its peers, other addresses of 127/8, for the tests of this room. */
#ifndef RW_NODE_SERVE_TEST_LOOPBACK_H
#define RW_NODE_SERVE_TEST_LOOPBACK_H

#include "mesh/node/serve/peer_api.h"

#define LOOPBACK_SELF "127.0.0.9"
/* Ids of peers, and the last part of their addresses. A connection to LOOPBACK_SELF comes from MINE unless it chooses. */
enum { MINE = 1, OTHERS = 2, EXPIRED = 3, LOOPBACK_PEERS = 3 };

struct loopback {
	struct loop *loop;
	char dir[64];
	struct files *files;
	struct peer_api *api;
	struct netmap_peer self, peer[LOOPBACK_PEERS];
	const struct netmap_peer *peers[LOOPBACK_PEERS];
	struct netmap map;
	struct prefix addrs[1 + LOOPBACK_PEERS];
	struct ctl_service said[PEER_API_SERVICES];
	size_t n_said;
	int told;
	bool exit; /* for MINE; peer_api_services follows when it is asked */
};
void loopback_open(struct loopback *w); /* at LOOPBACK_SELF, as other programs that run beside this one */
void loopback_open_at(struct loopback *w, const char *ip);
void loopback_close(struct loopback *w);
const char *loopback_waiting(struct loopback *w); /* "name=size " of what waits; valid until the next */

#endif
