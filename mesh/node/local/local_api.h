/* The LocalAPI server on a unix socket: HTTP/1.1, paths and JSON of ecosystem.md 1.4. Root and the daemon's
 * own user may change things; other local users may read. */
#ifndef RW_NODE_LOCAL_LOCAL_API_H
#define RW_NODE_LOCAL_LOCAL_API_H

#include "mesh/node/local/local_node.h"
#include "mesh/os/loop.h"

struct local_api;
struct local_api *local_api_open(
	struct loop *l, const char *path, const struct local_node_ops *node, struct errbuf *eb);
void local_api_close(struct local_api *a); /* NULL is fine */
/* How often connections waited for want of descriptors or memory. */
uint64_t local_api_paused(const struct local_api *a);
/* Backend state, login URL or error changed: tell the watchers. */
void local_api_state_changed(struct local_api *a);
/* The answer to local_node_ops.ping. region != 0: by that relay; else from `at`. */
void local_api_ping_done(struct local_api *a, uint64_t token, uint64_t peer, const struct endpoint *at,
	int32_t region, double ms);
/* The answer to local_node_ops.echo; others' tokens are passed over. peer_api: its port, 0: not said. */
void local_api_echo_answered(struct local_api *a, uint64_t token, uint64_t peer, uint16_t peer_api);

/* What may be asked of it, route by route, for the test that goes through all: false behind the last. Strings are static. */
struct local_api_route {
	const char *method, *path; /* of a streamed one: what stands before a name */
	bool changes, streamed;	   /* changes: it takes the right to */
};
bool local_api_route(size_t i, struct local_api_route *out);

/* The server asks by which way a peer is reached; answered by local_node_ops.tell_server, or not. */
void local_api_server_asks(struct local_api *a, const struct ctl_ping *p);

#endif
