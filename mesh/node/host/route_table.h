/* The routes into the mesh: one for each address that the map names, in a routing table of our own, to which
 * a rule leads before the machine's main table. What is not in it goes where it went without a mesh. */
#ifndef RW_NODE_HOST_ROUTE_TABLE_H
#define RW_NODE_HOST_ROUTE_TABLE_H

#include "mesh/base/err.h"
#include "mesh/node/host/addr_set.h"
#include "mesh/node/host/journal.h"
#include "mesh/os/loop.h"
#include "mesh/os/netlink.h"

/* Table and rule of an interface: `ip route show table $((52000 + INDEX))`, `ip rule`. */
enum { ROUTE_TABLE_BASE = 52000, ROUTE_RULE_PRIORITY = 5252 };

/* From the loop, when what route_table_change began is done: why->code is 0, or what the kernel said of the first route
 * that it did not take. route_table_close is not to be called from it. */
struct route_table_events {
	void (*ended)(void *arg, const struct errbuf *why);
	void *arg;
};
struct route_order;
struct route_table {
	struct loop *loop;
	struct nl *nl; /* borrowed, and nobody else's: a thread uses it too */
	struct route_table_events events;
	int ifindex;
	uint32_t table; /* 0 = main: this kernel knows no others */
	struct addr_bag
		have; /* what is routed, each once; IPv6 ones are left out where the machine has none */
	struct addr src4, src6; /* the source that packets into the mesh get; unspecified: none is set */
	bool no_v6;
	struct route_order *order;  /* a change on its way, by a thread; one at a time */
	struct addr_set come, gone; /* told meanwhile; none is in both */
	struct errbuf why;	    /* the first refusal that events.ended has not told of */
	struct loop_timer *tell;
};

/* Rules first, noted in the journal (NULL is fine). A kernel without policy routing gets the routes in its
 * main table. */
int route_table_open(struct route_table *t, struct loop *l, struct nl *nl, int ifindex, struct journal *j,
	const struct route_table_events *ev, struct errbuf *eb);
/* The interface's end takes the routes with it; this takes the rules. */
void route_table_close(struct route_table *t, struct journal *j);
/* This machine's own addresses, of which unspecified ones are not there: routes are made anew when they are
 * others. */
void route_table_source(struct route_table *t, const struct addr *src4, const struct addr *src6);
/* Exactly these: only the difference goes to the kernel. The first failure is returned, and what failed is
 * tried again by the next call. Waits for the kernel, and for what route_table_change began. */
int route_table_set(struct route_table *t, const struct addr_set *want, struct errbuf *eb);
enum { ROUTE_TABLE_BEGUN = 1 };
/* The same where only these may have changed, without a wait: the kernel lets one wait for whoever changes interfaces of
 * this machine at that moment, up to half a second where much goes on. What goes, goes first. 0: it is so already;
 * ROUTE_TABLE_BEGUN: `ended` will tell. After an error, as after one that `ended` told, route_table_set. */
int route_table_change(
	struct route_table *t, const struct addr_set *come, const struct addr_set *gone, struct errbuf *eb);
/* What somebody took away is put back. */
void route_table_repair(struct route_table *t);

#endif
