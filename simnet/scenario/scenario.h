/* What a scenario file says, read strictly: unknown or duplicate keys and wrong types are errors with
 * file:line:column and a suggestion. Knows nothing of nftables, namespaces or our programs. Format:
 * docs/simnet/scenarios.md. */
#ifndef SIMNET_SCENARIO_H
#define SIMNET_SCENARIO_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/nat64.h"
#include "simnet/scenario/link_model.h"
#include "simnet/scenario/nat_model.h"
#include "simnet/scenario/nptv6.h"
#include "simnet/scenario/scenario_error.h"
#include "simnet/scenario/scenario_firewall.h"
#include "simnet/scenario/scenario_iface.h"
#include "simnet/scenario/scenario_machine.h"
#include "simnet/scenario/scenario_step.h"
#include <stdbool.h>
#include <stdint.h>

/* Which addresses the hosts of a network get. */
enum scn_offer { OFFER_ALL, OFFER_IPV4, OFFER_IPV6 }; /* all that the file has */

/* A router has one WAN (the internet, or the LAN of `behind`) and one LAN. A router with nat == false only
 * routes. */
struct scn_router {
	const char *name;
	struct scn_at at;
	int behind; /* index into routers; -1 = the internet */
	bool nat;
	struct nat_model model;	       /* of no meaning without nat */
	bool udp_blocked;	       /* drops all forwarded UDP (DNS included) */
	const struct link_model *link; /* of its WAN; NULL = a plain wire */
	int region;		       /* of the internet, from 1; 0 = none */
	struct scn_firewall firewall;  /* of what it forwards */
	struct nat64 nat64;	       /* bits 0 = hosts of its inside with IPv6 do not reach IPv4 by it */
	struct nptv6 nptv6;	       /* of everything inside */
	const char *portmap;	  /* maps ports for who asks: text for faults_parse; NULL = it does not */
	struct scn_routes routes; /* besides those that follow from where it is */
	enum scn_offer offers;	  /* on its LAN */
	struct scn_iface
		uplinks[SCN_IFACES_MAX]; /* of which one is in use; none: it has one outer side alone */
	bool balances;			 /* flows over all of them that are up */
	size_t n_uplinks, uplink;	 /* the one in use at first: behind, wan and link are its */
	bool wan_chosen, lan_chosen;	 /* by the file, in wan and lan_net; where they stand: */
	struct scn_at wan_at, lan_at;
	/* Filled by topology_plan: */
	struct addr wan, lan;		/* own addresses */
	struct addr pool[NAT_POOL_MAX]; /* more of them outside, from 1; see topology_pool */
	struct prefix lan_net;
	struct addr gateway;
};
struct scn_param {
	const char *key, *value;
	struct scn_at at;
};
struct scn_node {
	const char *name;
	struct scn_at at;
	int router;	     /* index; -1 = directly on the internet */
	bool is_service;     /* under `services:`: started before the nodes, killed after them */
	bool on_router;	     /* it runs in the host of `router` itself, and has no interfaces of its own */
	const char *adapter; /* name of an adapter, or NULL: argv */
	const char **argv;   /* NULL-terminated, or NULL */
	const struct adapter_ready *ready; /* of argv; NULL = at once */
	struct scn_param *params;	   /* `with:`, given to the adapter's templates as {with.KEY} */
	size_t n_params;
	bool udp_blocked;	       /* this host alone */
	bool start_later;	       /* started by a `spawn` step */
	const struct link_model *link; /* NULL = a plain wire */
	int region;		       /* of the internet, from 1; 0 = none */
	struct scn_machine machine;
	struct scn_firewall firewall;
	struct scn_iface ifaces[SCN_IFACES_MAX]; /* none: topology_plan makes one, eth0, of `router` */
	size_t n_ifaces;
	/* Filled by topology_plan; router and these are the first interface's. */
	struct addr ip, gateway;
	struct prefix net;
};
struct scenario {
	struct arena arena; /* owns everything below */
	const char *file, *name, *about;
	const char **tags;
	size_t n_tags;
	const char **needs; /* of the machine: files to open for reading and writing, programs; or NULL */
	uint64_t seed;	    /* 0 = chosen and printed by the run */
	uint64_t start_within_ms; /* programs must be ready so soon; 0 = the default */
	uint64_t timeout_ms;	  /* for programs and steps together; 0 = none */
	const char *todo;	  /* why it is not run yet; NULL = it is */
	bool ipv6;		  /* v6 on the internet and routed behind every router */
	const char **regions;
	size_t n_regions;
	uint64_t *region_us; /* between two, one way: [(a - 1) * n_regions + b - 1] */
	struct scn_router *routers;
	size_t n_routers;
	struct scn_node *nodes;
	size_t n_nodes; /* services first */
	struct scn_step *steps;
	size_t n_steps;
	size_t variant, n_variants; /* of `matrix`: this is number `variant` (from 0) of n_variants (1 without
				       a matrix) */
	const char *variant_name;   /* "home/hard"; NULL without a matrix */
};

/* 0, or ERR_MALFORMED with "file:line:column: what; did you mean 'X'?" and *out untouched. The caller frees
 * with scenario_free. `variant`: which combination of the file's matrix; 0 always exists. */
int scenario_parse(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct errbuf *eb);
/* The same; eb has the first error, all (may be NULL) every one. */
int scenario_parse_all(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct scn_errors *all, struct errbuf *eb);
/* The same for a file that may `use` others: read (may be NULL) gets their text, or says what is wrong. */
struct scn_text {
	const char *file, *text;
	size_t len, variant;
	int (*read)(void *owner, const char *path, struct buf *out, struct errbuf *eb);
	void *owner;
};
int scenario_read(const struct scn_text *in, struct scenario *out, struct scn_errors *all, struct errbuf *eb);
/* Appends a step, or a list of them, to those of a scenario that has been read, and plans them; name stands for the file in messages.
 * On an error it is as before. Pointers to its steps stay good. */
int scenario_add_steps(struct scenario *s, const char *name, const char *text, size_t len,
	struct scn_errors *all, struct errbuf *eb);
void scenario_free(struct scenario *s);

/* "name", or "name [variant]"; what `run -k` looks in. Returns buf. */
const char *scenario_title(const struct scenario *s, char *buf, size_t cap);
const char *scenario_step_name(enum step_kind k);		      /* "ping", "resolve", … */
const char *scenario_path_name(enum scn_path p);		      /* "direct", "relay", "none", "any" */
int scenario_find_node(const struct scenario *s, const char *name);   /* index or -1 */
int scenario_find_router(const struct scenario *s, const char *name); /* index or -1 */

/* Addresses and prefixes for everything the file leaves open; public-looking on the internet (203.0.113.0/24,
 * 198.51.100.0/24 …). What the file chooses is checked: each network must be able to tell its hosts, and the
 * networks that it reaches untranslated, apart. Errors are "file:line:column: what clashes with what"; eb has
 * the first, all (may be NULL) every one. */
int topology_plan(struct scenario *s, struct errbuf *eb);
int topology_plan_all(struct scenario *s, struct scn_errors *all, struct errbuf *eb);
/* The same for the steps from `first` on, when all else has been planned: scenario_add_steps does it. */
int topology_plan_steps(struct scenario *s, size_t first, struct scn_errors *all, struct errbuf *eb);
/* An interface as it is after the first n_steps of s. */
struct scn_iface topology_iface(const struct scenario *s, size_t n_steps, struct scn_plug plug);
/* One of a router's uplinks then, and which of them is in use: of those that are up the one with the smallest metric; -1 when
 * none is. */
struct scn_iface topology_uplink(const struct scenario *s, size_t n_steps, int router, size_t uplink);
int topology_uplink_in_use(const struct scenario *s, size_t n_steps, int router);
/* The link of a node, or where node is negative of a router's WAN, then; NULL = a plain wire. */
const struct link_model *topology_link(const struct scenario *s, size_t n_steps, int node, int router);
/* What the NAT of a router is then; of no meaning where it does not translate. */
struct nat_model topology_nat(const struct scenario *s, size_t n_steps, int router);
/* What IPv6 of its inside has outside then; not there when it exchanges none. */
struct nptv6 topology_prefix(const struct scenario *s, size_t n_steps, int router);
/* The firewall of a node, or of a router where node is negative, then. */
struct scn_firewall topology_firewall(const struct scenario *s, size_t n_steps, int node, int router);
/* The routes that the file gives a router then. */
struct scn_routes topology_routes(const struct scenario *s, size_t n_steps, int router);
/* Whether that plug's routes lead to somebody of a network that it is on then (of a router: its outer or inner one). NULL,
 * or why r->v[*wrong] does not. Addresses are chosen before. */
const char *topology_routes_wrong(const struct scenario *s, size_t n_steps, struct scn_plug plug,
	const struct scn_routes *r, size_t *wrong);
/* Fills in where the redirects of a router's firewall lead (router negative: a node's, which has none), once addresses are
 * chosen. NULL, or why f->out[*wrong] cannot be. */
const char *topology_redirect(const struct scenario *s, int router, struct scn_firewall *f, size_t *wrong);
/* Which of the node's interfaces its default route goes by then: of those that are on the one with the
 * smallest metric; of those without such a route when no other is on; 0 when all are off. */
int topology_in_use(const struct scenario *s, size_t n_steps, int node);
/* Whether a host on the network has an address of that family. */
bool topology_has_v4(const struct scenario *s, int network);
bool topology_has_v6(const struct scenario *s, int network);
/* What a host with this IPv4 address there is reached by: the address that goes with it where it has no IPv4. */
struct addr topology_ip_at(const struct scenario *s, int network, const struct addr *v4);
/* The router on the way up from a network by whose NAT64 its hosts reach IPv4, or -1. */
int topology_nat64(const struct scenario *s, int network);
/* Likewise, its address, IPv4 where it has one; and whether ip is one of the node's at any time. */
struct addr topology_ip(const struct scenario *s, size_t n_steps, int node);
struct addr topology_ip6(const struct scenario *s, size_t n_steps, int node); /* unspecified: it has none */
bool topology_has_ip(const struct scenario *s, int node, const struct addr *ip);
/* s as it is then, as if the file had said so; the steps are the same. 0 or -ENOMEM; free it with
 * topology_after_free, and s later. */
int topology_after(const struct scenario *s, size_t n_steps, struct scenario *out);
void topology_after_free(struct scenario *s);
struct prefix topology_net(const struct scenario *s, int network); /* -1 = the internet */
/* Whose LAN a packet from `network` for `lan` goes to next, as long as nobody translates (v6: nobody does):
 * the router to send it to; -1 = it does not get there so. */
int topology_way_down(const struct scenario *s, int network, int lan, bool v6);
/* A LAN that `router` reaches through `network`, on which its outer side is, and that has the very range of one which it
 * reaches inside; -1 = none. Of two that overlap otherwise the narrower one has the way. */
int topology_meets(const struct scenario *s, int router, int network);
/* The k-th external address of a NAT, the WAN's first. */
struct addr topology_pool(const struct scn_router *r, uint32_t k);
/* The IPv6 address that goes with v4 on a network: -1 = the internet, else the index of the router whose LAN
 * it is. */
struct prefix topology_v6(const struct scenario *s, int network, const struct addr *v4);
/* The same as it is seen from another network: by its outer prefix (nptv6) from outside of the router that has one. */
struct prefix topology_v6_from(const struct scenario *s, int from, int network, const struct addr *v4);
/* The router on the way up from a network that exchanges its IPv6 prefix, or -1. */
int topology_nptv6(const struct scenario *s, int network);

#endif
