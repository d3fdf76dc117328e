/* Pings that open our own router for a peer and reach nobody. */
#ifndef RW_PATH_QUIET_H
#define RW_PATH_QUIET_H

#include "mesh/path/peer.h"

void quiet_begin(const struct path *p, struct peer *e); /* a search on e->socket begins */
void quiet_called(struct peer *e);			/* by the peer: it has opened its own router for us */
bool quiet_ended(const struct path *p, struct peer *e); /* since this was asked last: true once */
uint64_t quiet_due(const struct peer *e); /* ms; UINT64_MAX = it has ended, and that was asked */
/* How many routers a ping of c from this socket may pass now; 0 = as many as there are. */
uint8_t quiet_hops(
	const struct path *p, const struct peer *e, const struct candidate *c, enum path_socket socket);

#endif
