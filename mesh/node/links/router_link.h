/* The machine's routers, of IPv4 and of IPv6, asked for a port that leads to our UDP socket (mesh/portmap): which one it is,
 * and the sockets to it. */
#ifndef RW_NODE_LINKS_ROUTER_LINK_H
#define RW_NODE_LINKS_ROUTER_LINK_H

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/os/loop.h"
#include "mesh/portmap/portmap.h"

struct router_link;
/* changed: from the loop; what router_link_state says is another. From it all of this may be called but
 * router_link_close. us: makes the nonce. NULL: eb says why. */
struct router_link *router_link_open(struct loop *l, const struct node_private *us,
	void (*changed)(void *arg), void *arg, struct errbuf *eb);
/* Gives the mapping back. NULL is fine. */
void router_link_close(struct router_link *r);
/* The links or routes of the machine may be others; port: of our UDP socket. */
void router_link_look(struct router_link *r, uint16_t port);
void router_link_doubt(struct router_link *r);			       /* portmap_doubt */
const struct portmap *router_link_state(const struct router_link *r);  /* of IPv4 */
const struct portmap *router_link_state6(const struct router_link *r); /* of IPv6 */

#endif
