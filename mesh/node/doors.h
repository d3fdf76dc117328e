/* What PeerAPI asks of the node, and what LocalAPI is told by its other parts. */
#ifndef RW_NODE_DOORS_H
#define RW_NODE_DOORS_H

#include "mesh/node/node.h"
#include "mesh/node/serve/peer_api.h"

/* What peers and programs of this machine come in by: made with the node, open while the newest map is in force. */
bool doors_make(struct node *n); /* false: memory is short; doors_free all the same */
void doors_free(struct node *n);
void doors_open(struct node *n);
void doors_shut(struct node *n); /* before doors_make too */

/* What the engine and the server's link tell LocalAPI of pings; arg is the node. */
void doors_ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms);
void doors_echo_answered(void *arg, uint64_t token, uint64_t peer, uint16_t peer_api);
void doors_server_asks(void *arg, const struct ctl_ping *p);

#endif
