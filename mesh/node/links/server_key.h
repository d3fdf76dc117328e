/* Who is at the URL of a control server: its Noise key, tailscale-protocol.md 1.2. Asking changes nothing,
 * there or here. */
#ifndef RW_NODE_LINKS_SERVER_KEY_H
#define RW_NODE_LINKS_SERVER_KEY_H

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/node/links/server_place.h"
#include "mesh/os/loop.h"

struct server_key_ask;
/* cb once, from the loop: the key, or NULL and why there is none ("connect 10.0.0.1:443: Connection
 * refused"). pinned: the caller knows which key it must be, and
 * compares; then the certificate need be nobody's. NULL: no URL of a server, or memory is short; a sentence. */
struct server_key_ask *server_key_ask(struct loop *l, const char *server_url, bool pinned,
	const struct server_way *way,
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why), void *arg,
	struct errbuf *eb);
void server_key_cancel(struct server_key_ask *a); /* no cb after; NULL is fine */

#endif
