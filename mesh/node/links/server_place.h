/* Where the host of a server's URL is reached, where its name alone does not say it. */
#ifndef RW_NODE_LINKS_SERVER_PLACE_H
#define RW_NODE_LINKS_SERVER_PLACE_H

#include "mesh/base/nat64.h"
#include "mesh/transport/http.h"

/* true, with *out: the host is a literal IPv4 address, and this machine reaches those through the prefix (RFC
 * 7050; bits 0: it does not), or it is a name, and `seen` is to be tried in place of what name servers say (NULL: it is
 * not). Else a name or a literal is looked up as it is. */
bool server_place(
	const struct nat64 *prefix, const struct addr *seen, const struct url *u, struct endpoint *out);

#endif
