/* Where a host is plugged in. A part of scenario.h. */
#ifndef SIMNET_SCENARIO_IFACE_H
#define SIMNET_SCENARIO_IFACE_H

#include "mesh/base/addr.h"
#include "simnet/scenario/scenario_step.h"

/* One plug of a host: where, with which address, and what it is good for. */
enum { SCN_IFACES_MAX = 4, SCN_IFACE_NAME = 16 };
enum { SCN_ROUTES_MAX = 32 };
struct scn_route {
	struct prefix dst;
	struct addr via; /* unspecified (never a router's) = the network's router; on the internet: on link */
	struct scn_at at;
};
struct scn_routes {
	struct scn_route *v;
	size_t n; /* at most SCN_ROUTES_MAX */
};
struct scn_iface {
	const char *name; /* at most SCN_IFACE_NAME - 1 characters */
	struct scn_at at;
	int network;		       /* index of the router whose LAN it is; -1 = the internet */
	struct addr ip;		       /* IPv4; topology_plan chooses where `ip_chosen` is false */
	bool ip_chosen;		       /* by the file */
	bool off;		       /* there, but without link, address and route */
	bool spare;		       /* made for a move */
	bool no_default;	       /* no default route by it */
	uint32_t metric;	       /* of its default route and `routes`; 0 = the kernel's own */
	struct scn_routes routes;      /* more ways by it */
	const struct link_model *link; /* of an uplink: NULL = no uplink of its router says one */
};

/* Which one: a node's, or the outer one of a router. */
struct scn_plug {
	int node, router; /* one of them, the other -1 */
	size_t iface; /* into the node's; 0 of a router, or, for an engine, 1 + the uplink of one that balances */
};
/* What the steps `move`, `lease` and `interface` do, and `set` with the routes of a node. */
struct scn_change {
	struct scn_plug plug;
	struct scn_iface want; /* how it is then; its address is filled by topology_plan */
	bool keeps_ip;	       /* the one it had */
	int leaves;	       /* the node's interface that goes off with it; -1 = none */
	bool make_first;       /* both are there for `for_ms`; otherwise nothing is */
	uint64_t for_ms;
	/* Of a router with several uplinks: */
	bool of_uplink;
	size_t uplink, used; /* the one that changes, and the one by which packets go out then */
	bool off;	     /* that uplink, then; and its */
	uint32_t metric;
	bool idle; /* packets go out as before */
};

#endif
