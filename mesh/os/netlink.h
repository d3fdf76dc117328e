/* rtnetlink by libmnl: links, addresses, routes, neighbours, and news of changes. One socket per struct nl,
 * used in the network namespace where it was opened. Functions return 0 or a negative code with a sentence.
 */
#ifndef RW_OS_NETLINK_H
#define RW_OS_NETLINK_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <stdbool.h>

struct nl;
struct nl *nl_open(struct errbuf *eb); /* in the calling thread's network namespace */
void nl_close(struct nl *n);

int nl_link_index(struct nl *n, const char *name); /* > 0, or negative */
int nl_link_up(struct nl *n, int ifindex, bool up, struct errbuf *eb);
/* Carrier changes reach bridge ports and queues by a delayed job of the kernel, up to a second later, and
 * until then packets are lost. This has the job done for one interface, now. */
int nl_link_settle(struct nl *n, const char *name, struct errbuf *eb);
int nl_link_mtu(struct nl *n, int ifindex, uint32_t mtu, struct errbuf *eb);
int nl_link_del(struct nl *n, int ifindex, struct errbuf *eb);
/* A veth pair: one end lands in the socket's namespace (and in bridge `master` when not 0), its peer in the
 * namespace of fd peer_ns (-1 = the socket's own). MACs may be NULL: the kernel chooses. `up` raises the
 * first end; the kernel refuses to make the peer up, so raise that where it lives. */
struct nl_veth {
	const char *name, *peer;
	int peer_ns, master;
	const uint8_t *mac, *peer_mac;
	bool up;
};
int nl_veth_add(struct nl *n, const struct nl_veth *v, struct errbuf *eb);
int nl_bridge_add(struct nl *n, const char *name, struct errbuf *eb);
int nl_link_master(struct nl *n, int ifindex, int bridge_ifindex, struct errbuf *eb); /* bridge 0 = release */

int nl_addr_add(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb); /* exists already: 0 */
/* The same with preferred lifetime 0: it answers, but is never chosen as a source. IPv6 only. */
int nl_addr_add_deprecated(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb);
int nl_addr_del(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb);
enum nl_route_kind {
	NL_ROUTE_TO,	 /* to ifindex, or by via */
	NL_ROUTE_THROW,	 /* the look-up goes on with the next rule */
	NL_ROUTE_NOWHERE /* refused: EHOSTUNREACH. Outlives every interface */
};
struct nl_route {
	struct prefix dst; /* bits 0 = default */
	struct addr via;   /* unspecified = on link */
	struct addr src; /* preferred source, an address of this machine; unspecified = the kernel chooses */
	int ifindex;
	uint32_t table;	 /* 0 = main */
	uint32_t metric; /* routes of equal dst and other metric live side by side */
	enum nl_route_kind kind;
};
int nl_route_add(struct nl *n, const struct nl_route *r, struct errbuf *eb);  /* replaces */
int nl_route_keep(struct nl *n, const struct nl_route *r, struct errbuf *eb); /* one that is there stays: 0 */
int nl_route_del(struct nl *n, const struct nl_route *r, struct errbuf *eb);
/* Many at once, hundreds to a system call: nl_route_add, _keep or _del for each of v[n]. codes[n] (may be
 * NULL) gets what the kernel said of each, 0 or -errno; returns the first of them that is not 0. */
int nl_route_add_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb);
int nl_route_keep_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb);
int nl_route_del_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb);
/* Removes all of it, in both families; a table that is not there is no error. */
int nl_table_flush(struct nl *n, uint32_t table, struct errbuf *eb);
/* The way that a packet to `to` takes now, with this mark (0: none; SO_MARK): out gets dst (of full length),
 * via and ifindex. */
int nl_route_get(struct nl *n, const struct addr *to, uint32_t mark, struct nl_route *out);
/* A policy rule: every packet of the family (v6) is looked up in `table`, in the order of priorities; those
 * that carry the mark `but` in the bits of `mask` are not (mask 0: all are). One that is there already, or is
 * not there any more, is no error. */
struct nl_rule {
	bool v6;
	uint32_t priority, table, but, mask;
};
int nl_rule_add(struct nl *n, const struct nl_rule *r, struct errbuf *eb);
int nl_rule_del(struct nl *n, const struct nl_rule *r, struct errbuf *eb);
/* Permanent neighbour entry. */
int nl_neigh_add(
	struct nl *n, int ifindex, const struct addr *ip, const uint8_t mac[static 6], struct errbuf *eb);
int nl_link_mac(struct nl *n, int ifindex, uint8_t mac[static 6]);

struct nl_addr {
	int ifindex;
	char ifname[16];
	struct prefix p;
	bool up;
};
/* Addresses of all interfaces, into out[cap]; returns the count (may exceed cap) or a negative code. */
int nl_addr_list(struct nl *n, struct nl_addr *out, size_t cap, struct errbuf *eb);

struct nl_link {
	int ifindex, master;	 /* master: the bridge it is a port of; 0 = none */
	char name[16], kind[16]; /* kind: "bridge", "veth", "tun"...; "" for hardware */
	bool up;
};
/* All interfaces, into out[cap]; returns the count (may exceed cap) or a negative code. */
int nl_link_list(struct nl *n, struct nl_link *out, size_t cap, struct errbuf *eb);

/* A non-blocking fd readable on changes of links, addresses, routes and rules. What is changed through one of own[n], of
 * which there are NL_OWN_MAX at most, is no news. */
enum { NL_OWN_MAX = 4 };
int nl_monitor_open(const struct nl *const *own, size_t n, struct errbuf *eb);
struct nl_part {
	int ifindex;
	uint32_t tables[2];
};
/* Takes all news. NL_NEWS_OURS: the interface changed, or an address of it, a route of the tables or a rule
 * that leads there was removed. ours may be NULL. */
enum { NL_NEWS_ANY = 1, NL_NEWS_OURS = 2 };
unsigned nl_monitor_read(int fd, const struct nl_part *ours);

#endif
