/* When to probe a peer, and when to believe its direct way. */
#ifndef RW_PATH_SESSION_H
#define RW_PATH_SESSION_H

#include "mesh/path/peer.h"

void session_burst(struct path *p, struct peer *e);	   /* start the fast rounds anew */
void session_call(struct path *p, struct peer *e);	   /* by its relay, unless the way is sure */
void session_answer_burst(struct path *p, struct peer *e); /* a few rounds because the peer is trying */
void session_pong(struct path *p, struct peer *e, struct candidate *c, double latency_ms);
bool session_peer_left(const struct path *p, const struct peer *e, const struct candidate *c);
/* The peer has told where it is (from: FROM_ bit of what it named). */
void session_named(struct path *p, struct peer *e, uint8_t from);
/* Data has come by another way than the best. true: it came by the best before, and the best is doubted. */
bool session_peer_moved(struct path *p, struct peer *e);
void session_doubt(struct path *p, struct peer *e);
void session_forget_best(struct path *p, struct peer *e);
void session_step(struct path *p, struct peer *e);
/* What changed of ours (endpoints, home, relays) is told to the peers in session. Ends each fact that may
 * change them. */
void session_settle(struct path *p);

#endif
