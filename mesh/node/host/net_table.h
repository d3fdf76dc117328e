/* The routes to networks behind peers, in a routing table of our own beside that of single addresses
 * (route_table.h): its rule leads there after that one and before the machine's main table, for all but what
 * is marked to stay outside (os/sock.h). There is a rule only while there is a route. */
#ifndef RW_NODE_HOST_NET_TABLE_H
#define RW_NODE_HOST_NET_TABLE_H

#include "mesh/base/err.h"
#include "mesh/node/host/journal.h"
#include "mesh/os/netlink.h"

/* Table of an interface: `ip route show table $((1052000 + INDEX))`. */
enum { NET_TABLE_BASE = 1052000, NET_RULE_PRIORITY = 5254 };

struct net_table {
	struct nl *nl;		 /* borrowed */
	struct journal *journal; /* borrowed; may be NULL */
	uint32_t table, priority;
	struct nl_route *have; /* what the kernel took */
	size_t n;
	bool rules; /* they are there */
};

void net_table_init(struct net_table *t, struct nl *nl, uint32_t table, uint32_t priority, struct journal *j);
/* Routes and rules go. One that was never set is fine. */
void net_table_close(struct net_table *t);
/* Exactly these; v's tables are filled in here. What is new comes before what is old goes, so that no packet
 * finds less than it did. The first failure is returned; what failed is tried again by the next call. IPv6
 * ones are left out where the machine has none. */
int net_table_set(struct net_table *t, const struct nl_route *v, size_t n, struct errbuf *eb);
/* What somebody took away is put back. */
void net_table_repair(struct net_table *t);

#endif
