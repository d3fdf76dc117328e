/* A router's UPnP service, found and spoken to (mesh/portmap/upnp.h): the sockets and requests of it. What is read is
 * bounded in bytes and time, and comes from the router's own address alone. */
#ifndef RW_NODE_LINKS_UPNP_LINK_H
#define RW_NODE_LINKS_UPNP_LINK_H

#include "mesh/os/loop.h"
#include "mesh/portmap/messages.h"
#include "mesh/portmap/upnp.h"

struct upnp_link;
struct upnp_link_events { /* from the loop, and never below a call of this file */
	void (*found)(void *arg);
	void (*mapped)(
		void *arg, const struct router_reply *got, const char *why); /* as portmap_upnp_mapped */
	void *arg;
};
struct upnp_link *upnp_link_open(
	struct loop *l, const struct upnp_link_events *ev); /* NULL: memory is short */
void upnp_link_close(struct upnp_link *u);		    /* NULL is fine; what is mapped stays */
/* Forgets all that was found, and what is under way. */
void upnp_link_router_set(struct upnp_link *u, const struct addr *router, const struct addr *self);
void upnp_link_search(struct upnp_link *u);
void upnp_link_map(struct upnp_link *u, const struct router_wish *w);
/* An outer port that was given to us. Does not wait: the loop goes on, and where it ends, loop_free waits for the answer, a second at most. u may be closed. */
void upnp_link_unmap(struct upnp_link *u, uint16_t outer);

#endif
