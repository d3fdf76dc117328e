/* The plan of a network, shared by its two files: topology.c lays out LANs and looks at what the file chooses, topology_number.c
 * gives everybody an address. */
#ifndef SIMNET_TOPOLOGY_PLAN_H
#define SIMNET_TOPOLOGY_PLAN_H

#include "simnet/scenario/scenario.h"

/* Numbers on a network: its router, nodes, routers, and the last four, which are the self-test's. */
enum { ROUTER_NUMBER = 1, HOSTS_FIRST = 10, ROUTERS_FIRST = 100, HOSTS_LAST = 250, PROBES_LAST = 254 };
enum { LANS_MAX = 150 };

struct planning {
	struct scenario *s;
	struct scn_errors *all;
	struct errbuf *eb;
	int err; /* of the first error */
};

/* ---- topology.c */
void plan_error(struct planning *p, struct scn_at at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *plan_network_name(const struct scenario *s, int network);
struct addr plan_host_of(const struct prefix *net, uint32_t n);
bool plan_may_be_lan(const struct addr *ip);
/* Where a router's outer side is, there may be nothing that it has inside. ip: of that side, as the file says it, or
 * NULL. */
void plan_outer(struct planning *p, struct scn_at at, int router, int network, const struct addr *ip);

/* ---- topology_number.c */
/* Of everybody in the file, then of what its steps change. */
void plan_numbers(struct planning *p);
/* Of what the steps from `first` on change; the rest is planned. */
void plan_step_numbers(struct planning *p, size_t first);
/* Two networks of one range on one host: its routes could not tell them apart. */
void plan_host(struct planning *p, const struct scn_node *h);

#endif
