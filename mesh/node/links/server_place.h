/* Where the host of a server's URL is reached, where its name alone does not say it. */
#ifndef RW_NODE_LINKS_SERVER_PLACE_H
#define RW_NODE_LINKS_SERVER_PLACE_H

#include "mesh/base/nat64.h"
#include "mesh/transport/http.h"
#include "mesh/transport/proxy.h"

/* How this machine gets to a server. */
struct server_way {
	struct nat64 prefix;	       /* bits 0: IPv4 as it is */
	const struct proxies *proxies; /* borrowed; NULL: none */
	const struct addr
		*seen; /* tried in place of what name servers say; NULL: it is not. No proxy is told it */
};

/* true, with *out: the host is a literal IPv4 address, and this machine reaches those through the prefix (RFC
 * 7050), or it is a name, and `seen` is tried. Else a name or a literal is looked up as it is. */
bool server_place(const struct server_way *way, const struct url *u, struct endpoint *out);
/* Whether a proxy leads there. */
bool server_is_proxied(const struct proxies *p, const char *server_url);

#endif
