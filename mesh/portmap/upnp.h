/* What a node and a UPnP Internet Gateway Device say to each other: the search (SSDP), the device's description, and the
 * few calls (SOAP) that make a mapping. UPnP Device Architecture 1.1 sections 1.3, 2.3, 3.2; WANIPConnection:1 section 2.4.
 *
 * All of it is text of strangers that names places to go to next. Only places on the router itself are taken. */
#ifndef RW_PORTMAP_UPNP_H
#define RW_PORTMAP_UPNP_H

#include "mesh/base/addr.h"

enum {
	UPNP_PORT = 1900,	 /* of the router, and of UPNP_GROUP */
	UPNP_GROUP = 0xeffffffa, /* 239.255.255.250 */
	UPNP_PATH_MAX = 256,
	UPNP_BODY_MAX = 65536, /* of what is read of a router at all */
	UPNP_SERVICES = 3,
	UPNP_TRIES = 4 /* outer ports */
};

struct upnp_url { /* on the router */
	uint16_t port;
	char path[UPNP_PATH_MAX]; /* fit for a request line */
};
struct upnp_service {
	const char *type; /* of a table of ours */
	struct upnp_url control;
};

/* Datagrams that ask who is a gateway: some answer one of them alone. */
enum { UPNP_SEARCHES = 2 };
extern const char *const upnp_searches[UPNP_SEARCHES];
/* The place of the description in the answer to it. false, and *out as it was: none, or not on the router. */
bool upnp_found_read(const uint8_t *p, size_t len, const struct addr *router, struct upnp_url *out);
/* The services of a description, which was at `at`, that map ports; returns how many. */
size_t upnp_description_read(const char *xml, size_t len, const struct addr *router,
	const struct upnp_url *at, struct upnp_service out[static UPNP_SERVICES]);

/* A mapping, call by call: the outer address, whose the outer port is, the mapping itself; with another port where it is
 * another's (an IGD 2 chooses it), without a lease where the router knows none; whose the port is again where the router says that it has
 * failed, or nothing, since some map all the same. Pure: begin, then request and answered in turn until
 * step is UPNP_OVER. */
enum upnp_step { UPNP_ADDRESS, UPNP_LOOK, UPNP_ADD, UPNP_ANY, UPNP_CONFIRM, UPNP_OVER };
struct upnp_talk {
	struct upnp_service services[UPNP_SERVICES];
	size_t n_services, service; /* service: the one that is spoken to */
	struct addr self;
	uint16_t inner, outer;
	uint32_t lease_s;
	enum upnp_step step;
	unsigned tried;	     /* outer ports */
	unsigned refused;    /* of UPNP_CONFIRM: what the router has said */
	bool any;	     /* UPNP_ANY was asked for */
	bool done;	     /* the port is ours */
	struct addr address; /* the outer one; unspecified: not told */
	char why[64];	     /* over, and refused; "": the address is not public, and no port was asked for */
};
void upnp_talk_begin(
	struct upnp_talk *t, const struct addr *self, uint16_t inner, uint16_t outer, uint32_t lease_s);
struct upnp_request { /* POST body to `to` with this SOAPAction */
	struct upnp_url to;
	char action[128];
	char body[1024];
};
void upnp_talk_request(const struct upnp_talk *t, struct upnp_request *out);
void upnp_talk_answered(
	struct upnp_talk *t, int status, const char *body, size_t len); /* status 0: no answer */
/* Gives an outer port back that a talk with these services was given. */
void upnp_talk_delete(const struct upnp_talk *t, uint16_t outer, struct upnp_request *out);

#endif
