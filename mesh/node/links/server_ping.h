/* The server asks whether we are there: HEAD to the URL it gives, over the link or outside of it.
 * tailscale-protocol.md 1.8. */
#ifndef RW_NODE_LINKS_SERVER_PING_H
#define RW_NODE_LINKS_SERVER_PING_H

#include "mesh/proto/control.h"
#include "mesh/node/links/server_place.h"
#include "mesh/transport/control_link.h"

struct server_ping { /* all zero: idle */
	struct http_client *rq;
	unsigned inside; /* that wait for an answer inside the link */
};
/* Outside of the link only to the server itself, whose URL is own_url (pinned, way: as of server_key_ask): it has no business sending us
 * elsewhere. One at a time, and inside the link a few; what cannot be answered is left. link may be NULL. */
void server_ping_answer(struct server_ping *s, struct loop *l, struct control_client_link *link,
	const char *own_url, bool pinned, const struct server_way *way, const struct ctl_ping *p);
/* By POST, inside the link, if not too many wait there already. */
void server_ping_tell(struct server_ping *s, struct control_client_link *link, const char *url,
	const char *json, size_t len);
void server_ping_cancel(struct server_ping *s); /* before the link is closed */

#endif
