/* A short exchange over the Noise link: one request, its whole answer, done. tailscale-protocol.md 1.4. */
#ifndef RW_NODE_LINKS_SERVER_EXCHANGE_H
#define RW_NODE_LINKS_SERVER_EXCHANGE_H

#include "mesh/base/buf.h"
#include "mesh/transport/control_link.h"

struct server_exchange { /* all zero: idle */
	struct h2_request *rq;
	int status;
	struct buf body;
	void (*done)(void *arg, int status, const char *body, size_t len);
	void *arg;
};

/* POSTs body. done: once, with the HTTP status and what came (valid during the call), or with a negative code
 * when the link broke; another exchange may be started from it. false: memory is short, or the link is not
 * ready; no done. */
bool server_exchange_start(struct server_exchange *x, struct control_client_link *link, const char *path,
	const struct buf *body, void (*done)(void *arg, int status, const char *body, size_t len), void *arg);
void server_exchange_cancel(struct server_exchange *x); /* no done after; an idle one is fine */

#endif
