/* A router with two sides, and the frames that it answers with: neighbours, forwarding, the router's own addresses. What it
 * translates is nat.h's. */
#ifndef SIMNET_USER_ROUTER_H
#define SIMNET_USER_ROUTER_H

#include "mesh/base/nat64.h"
#include "simnet/fabric/user/eth.h"
#include "simnet/fabric/user/firewall.h"
#include "simnet/fabric/user/nat.h"

enum { ROUTER_WAYS_MAX = 4 * 160 + 8 + SCN_ROUTES_MAX };
enum router_side { ROUTER_WAN, ROUTER_LAN, ROUTER_SIDES };

struct router_foot {
	struct mac mac;
	struct addr v4, v6;	  /* own addresses; v6 unspecified: no IPv6 */
	struct prefix net4, net6; /* on link */
};
struct router_way { /* the longest prefix counts, and of equal ones the first */
	struct prefix dst;
	enum router_side side;
	struct addr via; /* unspecified: on link */
};
enum { ROUTER_MAPS_MAX = 128 };
struct router_map {	/* a port that a host of the inside has asked for */
	uint8_t proto;	/* of IP */
	uint16_t outer; /* what is mapped to IPv6 is itself: it is let in */
	struct endpoint inner;
	struct endpoint peer; /* of IPv6: who alone may come in; unset address or port: any */
};
struct router_maps { /* all of them */
	size_t n;
	struct router_map v[ROUTER_MAPS_MAX];
};
/* Who gets a frame from the inside, where a router has a host of its own for what it says itself. */
enum router_share { ROUTER_SHARE_ROUTER, ROUTER_SHARE_HOST, ROUTER_SHARE_BOTH };
struct router_config {
	const char *name; /* lives as long as the router */
	struct router_foot feet[ROUTER_SIDES];
	const struct router_way *ways; /* copied */
	size_t n_ways;
	bool v6_firewall;   /* from the WAN, only answers */
	struct nptv6 nptv6; /* of what leaves by the WAN */
	struct nat64 nat64; /* bits 0: none; else IPv6 of the inside has a share in the NAT */

	const struct nat_config *nat;	     /* NULL: it only routes */
	const struct scn_firewall *firewall; /* of what it forwards; lives as long; NULL: none */
};

struct router;
struct router_ops {
	/* A frame leaves on a side. The router may be called again only after its own entry has returned. */
	void (*send)(void *owner, enum router_side side, const struct frame *f);
	/* A packet died. v may be that of a packet half rewritten; why is static. */
	void (*dropped)(void *owner, const char *why, const struct ip_view *v);
};
struct router *router_new(
	const struct router_config *c, const struct router_ops *ops, void *owner); /* NULL: memory */
void router_free(struct router *r);
/* Who is at an address, known beforehand. false: memory. */
bool router_add_neighbour(
	struct router *r, enum router_side side, const struct addr *who, const struct mac *mac);
/* Its outer side is elsewhere, with the same device: other addresses and ways, which are copied, and neighbours that are to
 * be told or asked for. The NAT's outer address is foot's, and mappings are gone. false: memory, and all is as it was. */
bool router_move(struct router *r, const struct router_foot *wan, const struct router_way *ways,
	size_t n_ways, uint64_t now_ns);
/* Other ways, copied. false: memory, and all is as it was. */
bool router_set_ways(struct router *r, const struct router_way *ways, size_t n_ways);
void router_set_nptv6(struct router *r, const struct nptv6 *n); /* other prefixes */
void router_received(struct router *r, enum router_side side, const struct frame *f, uint64_t now_ns);
/* Requests for ports, to its inner address or UPnP's group, are its host's; answers of neighbours are both's. */
enum router_share router_share(const struct router *r, const struct frame *f);
/* These are mapped from here on, and nothing else. Flows that were let in stay. */
void router_set_maps(struct router *r, const struct router_maps *m);
/* NULL: drops nothing; else every UDP packet that it should forward or answer is dropped, for this static reason. */
void router_block_udp(struct router *r, const char *why);
/* Other rules of its firewall; false: it has none. l as in firewall_become. */
bool router_set_firewall(struct router *r, const struct firewall_lines *l);
void router_lift_firewall(struct router *r, bool lifted);
/* Its firewalls and its NAT know no flow any more: one table holds both in real routers. reborn as in nat_forget. */
void router_forget(struct router *r, bool reborn, uint64_t now_ns);
/* Translates by another model from here on, and has forgotten all. It has a NAT. */
void router_become(struct router *r, const struct nat_model *m, uint64_t now_ns);
struct nat *router_nat(struct router *r); /* NULL: it only routes */

#endif
