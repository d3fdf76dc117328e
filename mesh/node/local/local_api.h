/* The LocalAPI server on a unix socket: HTTP/1.1, paths and JSON of ecosystem.md 1.4. Root and the daemon's
 * own user may change things; other local users may read. */
#ifndef RW_NODE_LOCAL_LOCAL_API_H
#define RW_NODE_LOCAL_LOCAL_API_H

#include "mesh/node/node.h"

struct local_api;
struct local_api *local_api_open(struct node *n, const char *path, struct errbuf *eb);
void local_api_close(struct local_api *a); /* NULL is fine */
/* Backend state, login URL or error changed: tell the watchers. */
void local_api_state_changed(struct local_api *a);
/* The answer to a ping that LocalAPI asked of path. */
void local_api_ping_done(
	struct node *n, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms);

#endif
