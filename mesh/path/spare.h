/* A second socket, for peers whose first probe spoilt the port of the main one. */
#ifndef RW_PATH_SPARE_H
#define RW_PATH_SPARE_H

#include "mesh/path/peer.h"

void spare_search(struct path *p, struct peer *e); /* a search for a direct way begins */
void spare_step(struct path *p, struct peer *e);   /* while it goes on */
/* By the peer, who names a place that is news. */
void spare_called(struct path *p, struct peer *e, const struct endpoint *at);
bool spare_ping(struct path *p, struct peer *e, struct place *to); /* true: it is to be pinged now */
/* It must not hear of the spare socket. */
bool spare_holds(const struct peer *e, const struct endpoint *at, enum path_socket from);
uint64_t spare_due(const struct peer *e);		      /* ms; UINT64_MAX = no turn is due */
void spare_seen(struct path *p, const struct endpoint *at);   /* a STUN server sees the spare socket there */
bool spare_waits(const struct path *p, const struct peer *e); /* a call is better made a moment later */
const struct endpoint *spare_place(
	const struct path *p, const struct peer *e); /* to be called to; NULL: none */
void spare_links_changed(struct path *p);

#endif
