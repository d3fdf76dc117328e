/* What a node and its router say to each other about ports: NAT-PMP (RFC 6886 section 3) and PCP's ANNOUNCE and MAP
 * (RFC 6887 sections 7, 11, 14.1). Both go by UDP to the router's port 5351; the first byte tells them apart. */
#ifndef RW_PORTMAP_MESSAGES_H
#define RW_PORTMAP_MESSAGES_H

#include "mesh/base/addr.h"
#include "mesh/base/wire.h"

enum {
	ROUTER_PORT = 5351,
	ROUTER_NEWS_PORT =
		5350, /* where routers tell all hosts (224.0.0.1) that they are new, or have moved */
	ROUTER_REQUEST_MAX = 60,
	ROUTER_NONCE = 12
};

/* What is asked for. inner, outer: UDP ports; outer is a wish, 0 = any; lifetime 0 gives the mapping back. */
struct router_wish {
	uint16_t inner, outer;
	uint32_t lifetime_s;
	struct addr self;    /* PCP: our address, as the router sees it */
	struct addr address; /* PCP: the outer address that would be liked, of self's family; else any */
	uint8_t nonce[ROUTER_NONCE]; /* PCP: the same for all that is said of one mapping */
};
void pmp_write_address(struct wr *w); /* which is your outer address? */
void pmp_write_map(struct wr *w, const struct router_wish *m);
void pcp_write_announce(struct wr *w, const struct addr *self); /* are you there? */
void pcp_write_map(struct wr *w, const struct router_wish *m);

enum router_reply_kind { ROUTER_PMP_ADDRESS, ROUTER_PMP_MAP, ROUTER_PCP_ANNOUNCE, ROUTER_PCP_MAP };
enum {
	ROUTER_DONE = 0,
	ROUTER_OTHER_VERSION = 1
}; /* results that both protocols share; others are refusals */
struct router_reply {
	enum router_reply_kind kind;
	uint16_t result;
	/* The rest is there when result is ROUTER_DONE; nonce and inner of ROUTER_PCP_MAP also when has_body. */
	bool has_body;
	struct addr address; /* ROUTER_PMP_ADDRESS, ROUTER_PCP_MAP: the outer one */
	uint16_t inner, outer;
	uint32_t lifetime_s;
	uint8_t proto; /* IP's number: UDP is 17 */
	uint8_t nonce[ROUTER_NONCE];
};
/* Whole, or false and *out as it was. A reply that refuses may be its head alone. */
bool router_reply_read(const uint8_t *p, size_t len, struct router_reply *out);
/* Whether a router's outer IPv4 address is one of the public network; else another NAT lies before it. */
bool router_address_is_public(const struct addr *a);
bool router_address_is_public6(const struct addr *a); /* the same of IPv6 */
/* In words: "not authorized". */
const char *router_result_text(const struct router_reply *r);

#endif
