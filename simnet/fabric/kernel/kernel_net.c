#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPBACK = 1, NEIGHBOURS_MAX = 32, NO_ROUTER = -2 }; /* -1 is the internet */
enum mac_kind { MAC_NODE = 1, MAC_WAN, MAC_LAN };

struct mac {
	uint8_t b[6];
};

/* Locally administered, readable in a capture, and known before the interface exists. */
static struct mac mac_of(enum mac_kind kind, size_t i)
{
	return (struct mac) { { 2, 0, 0, (uint8_t)kind, (uint8_t)(i >> 8), (uint8_t)i } };
}

void kernel_port_name(char kind, int index, char side, char *out)
{
	snprintf(out, KERNEL_NAME, side ? "%c%d%c" : "%c%d", kind, index, side);
}

/* ---- what every namespace gets ---- */

struct setting {
	const char *name, *value;
};

static int apply(const struct setting *rows, size_t n, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; i < n && !err; i++)
		err = netns_sysctl(rows[i].name, rows[i].value, eb);
	return err;
}

/* Before the first interface: `default` is what new ones start from. IPv6 comes back for the interfaces that
 * programs make (a tunnel), so only our own links go without. */
static int prepare_v6(bool ipv6, struct errbuf *eb)
{
	static const struct setting rows[] = {
		{ "net/ipv6/conf/default/accept_dad", "0" },
		{ "net/ipv6/conf/all/accept_dad", "0" },
		{ "net/ipv6/conf/default/accept_ra", "0" },
		{ "net/ipv6/conf/default/disable_ipv6", "1" },
	};
	return apply(rows, ARRAY_LEN(rows) - (ipv6 ? 1 : 0), eb);
}

static int restore_v6(bool ipv6, struct errbuf *eb)
{
	return ipv6 ? 0 : netns_sysctl("net/ipv6/conf/default/disable_ipv6", "0", eb);
}

/* A host answers ARP for the address of that link alone. By default Linux answers for any of its addresses,
 * so that on one LAN a tunnel's address can be reached without the tunnel. */
static int prepare_host(struct errbuf *eb)
{
	return netns_sysctl("net/ipv4/conf/all/arp_ignore", "1", eb);
}

static int prepare_router(const struct scenario *s, const struct scn_router *r, struct errbuf *eb)
{
	char timeout[16];
	snprintf(timeout, sizeof(timeout), "%u", r->udp_timeout_s ? r->udp_timeout_s : KERNEL_UDP_TIMEOUT_S);
	const struct setting rows[] = {
		{ "net/ipv4/ip_forward", "1" },
		{ "net/ipv4/conf/all/send_redirects", "0" },
		{ "net/ipv4/conf/default/send_redirects", "0" },
		{ "net/ipv4/conf/all/rp_filter", "0" },
		{ "net/ipv4/conf/default/rp_filter", "0" },
		{ "net/netfilter/nf_conntrack_udp_timeout", timeout },
		{ "net/netfilter/nf_conntrack_udp_timeout_stream", timeout },
		{ "net/ipv6/conf/all/forwarding", "1" },
	};
	return apply(rows, ARRAY_LEN(rows) - (s->ipv6 ? 0 : 1), eb);
}

/* ---- the fabric: every bridge, in a namespace of its own ---- */

static int build_fabric(struct engine *e, struct errbuf *eb)
{
	/* Bridged frames must not pass a rule set twice; the switch needs no address of its own. */
	static const struct setting rows[] = {
		{ "net/bridge/bridge-nf-call-iptables", "0" },
		{ "net/bridge/bridge-nf-call-ip6tables", "0" },
		{ "net/bridge/bridge-nf-call-arptables", "0" },
		{ "net/ipv6/conf/default/disable_ipv6", "1" },
	};
	int err = netns_new(&e->fabric, eb);
	if (err)
		return err;
	struct errbuf ignored; /* without br_netfilter in the kernel there is nothing to turn off */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		(void)netns_sysctl(rows[i].name, rows[i].value, &ignored);
	if (!(e->fabric_nl = nl_open(eb)))
		return eb->code;
	for (size_t i = 0; i <= e->s->n_routers; i++) {
		char name[KERNEL_NAME];
		snprintf(name, sizeof(name), i ? "lan%zu" : "internet", i - 1);
		if ((err = nl_bridge_add(e->fabric_nl, name, eb)))
			return err;
		e->bridges[i] = nl_link_index(e->fabric_nl, name);
	}
	return 0;
}

static int plug(struct engine *e, const char *port, int network, const struct nl_veth *v, struct errbuf *eb)
{
	struct nl_veth full = *v;
	full.name = port;
	full.master = e->bridges[network + 1];
	full.up = true;
	return nl_veth_add(e->fabric_nl, &full, eb);
}

/* ---- addresses and routes ---- */

/* One interface of a host or router: `network` is where it is plugged in, `owner` the router it belongs to.
 */
struct port {
	const struct scenario *s;
	struct nl *n;
	int ifindex, network, owner;
};

static int add_addresses(const struct port *p, const struct addr *ip, struct errbuf *eb)
{
	struct prefix v4 = { .ip = *ip,
		.bits = p->network < 0 ? 24 : p->s->routers[p->network].lan_net.bits };
	int err = nl_addr_add(p->n, p->ifindex, &v4, eb);
	if (err || !p->s->ipv6)
		return err;
	struct prefix v6 = topology_v6(p->network, ip);
	return nl_addr_add(p->n, p->ifindex, &v6, eb);
}

/* On the internet everything is on link; elsewhere the way out is the LAN's router. */
static int add_default(const struct port *p, struct errbuf *eb)
{
	struct nl_route r = { .dst = { .ip = addr_v4(0) }, .via = addr_v4(0), .ifindex = p->ifindex };
	if (p->network >= 0)
		r.via = p->s->routers[p->network].lan;
	int err = nl_route_add(p->n, &r, eb);
	if (err || !p->s->ipv6)
		return err;
	r.dst = (struct prefix) { .ip = addr_any6 };
	r.via = p->network < 0 ? addr_any6 : topology_v6(p->network, &p->s->routers[p->network].lan).ip;
	return nl_route_add(p->n, &r, eb);
}

/* From `network`, the router on it through which `lan` can be reached untranslated; -1 = none. */
static int way_down(const struct scenario *s, int network, int lan, bool v6)
{
	for (int i = lan; i >= 0; i = s->routers[i].behind) {
		if (!v6 && s->routers[i].nat)
			return -1;
		if (s->routers[i].behind == network)
			return i;
	}
	return -1;
}

static int add_route_down(const struct port *p, int lan, bool v6, struct errbuf *eb)
{
	int via = way_down(p->s, p->network, lan, v6);
	if (via < 0 || via == p->owner)
		return 0;
	const struct scn_router *r = &p->s->routers[via];
	struct nl_route route = { .ifindex = p->ifindex, .dst = p->s->routers[lan].lan_net, .via = r->wan };
	if (v6) {
		route.dst = topology_v6(lan, &p->s->routers[lan].lan);
		route.via = topology_v6(p->network, &r->wan).ip;
	}
	return nl_route_add(p->n, &route, eb);
}

/* Routes down to the LANs that are not hidden by a NAT. */
static int add_routes_down(const struct port *p, struct errbuf *eb)
{
	int err = 0;
	for (int lan = 0; !err && lan < (int)p->s->n_routers; lan++) {
		err = add_route_down(p, lan, false, eb);
		if (!err && p->s->ipv6)
			err = add_route_down(p, lan, true, eb);
	}
	return err;
}

/* Permanent entries for all neighbours spare the first packet its wait for ARP. A big network does without.
 */
static int add_neighbours(const struct port *p, struct errbuf *eb)
{
	const struct scenario *s = p->s;
	int err = 0;
	struct mac m;
	if (s->n_nodes + s->n_routers > NEIGHBOURS_MAX)
		return 0;
	for (size_t i = 0; i < s->n_nodes && !err; i++) {
		if (s->nodes[i].router != p->network)
			continue;
		m = mac_of(MAC_NODE, i);
		err = nl_neigh_add(p->n, p->ifindex, &s->nodes[i].ip, m.b, eb);
	}
	for (size_t i = 0; i < s->n_routers && !err; i++) {
		if (s->routers[i].behind != p->network)
			continue;
		m = mac_of(MAC_WAN, i);
		err = nl_neigh_add(p->n, p->ifindex, &s->routers[i].wan, m.b, eb);
	}
	if (err || p->network < 0)
		return err;
	m = mac_of(MAC_LAN, (size_t)p->network);
	return nl_neigh_add(p->n, p->ifindex, &s->routers[p->network].lan, m.b, eb);
}

static int configure(struct port *p, const char *name, const struct addr *ip, struct errbuf *eb)
{
	p->ifindex = nl_link_index(p->n, name);
	if (p->ifindex < 0)
		return err_set(eb, p->ifindex, "find %s", name);
	int err = nl_link_up(p->n, p->ifindex, true, eb);
	if (!err)
		err = add_addresses(p, ip, eb);
	if (!err)
		err = add_neighbours(p, eb);
	if (!err && p->owner != p->network)
		err = add_default(p, eb);
	return err ? err : add_routes_down(p, eb);
}

/* ---- routers and nodes ---- */

static int configure_router(const struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int err = nl_link_up(n, LOOPBACK, true, eb);
	if (!err)
		err = configure(&(struct port) { .s = e->s, .n = n, .network = r->behind, .owner = i }, "wan",
			&r->wan, eb);
	if (!err)
		err = configure(
			&(struct port) { .s = e->s, .n = n, .network = i, .owner = i }, "lan", &r->lan, eb);
	nl_close(n);
	return err;
}

static int build_router(struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	char port[KERNEL_NAME];
	struct mac wan = mac_of(MAC_WAN, (size_t)i), lan = mac_of(MAC_LAN, (size_t)i);
	int err = netns_enter(kernel_router_net(e, i), eb);
	if (!err)
		err = prepare_v6(e->s->ipv6, eb);
	if (!err)
		err = prepare_router(e->s, r, eb);
	if (err)
		return err;
	kernel_port_name('r', i, 'w', port);
	err = plug(e, port, r->behind,
		&(struct nl_veth) {
			.peer = "wan", .peer_ns = kernel_router_net(e, i)->fd, .peer_mac = wan.b },
		eb);
	kernel_port_name('r', i, 'l', port);
	if (!err)
		err = plug(e, port, i,
			&(struct nl_veth) {
				.peer = "lan", .peer_ns = kernel_router_net(e, i)->fd, .peer_mac = lan.b },
			eb);
	if (!err)
		err = configure_router(e, i, eb);
	if (!err)
		err = nl_link_settle(e->fabric_nl, port, eb);
	kernel_port_name('r', i, 'w', port);
	return err ? err : nl_link_settle(e->fabric_nl, port, eb);
}

static int configure_node(const struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_node *h = &e->s->nodes[i];
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int err = nl_link_up(n, LOOPBACK, true, eb);
	if (!err)
		err = configure(
			&(struct port) { .s = e->s, .n = n, .network = h->router, .owner = NO_ROUTER },
			"eth0", &h->ip, eb);
	nl_close(n);
	return err ? err : restore_v6(e->s->ipv6, eb);
}

static int build_node(struct engine *e, int i, struct errbuf *eb)
{
	char port[KERNEL_NAME];
	struct mac mac = mac_of(MAC_NODE, (size_t)i);
	int err = netns_enter(hosts_net(e->hosts, i), eb);
	if (!err)
		err = prepare_v6(e->s->ipv6, eb);
	if (!err)
		err = prepare_host(eb);
	if (err)
		return err;
	kernel_port_name('n', i, 0, port);
	err = plug(e, port, e->s->nodes[i].router,
		&(struct nl_veth) {
			.peer = "eth0", .peer_ns = hosts_net(e->hosts, i)->fd, .peer_mac = mac.b },
		eb);
	if (!err)
		err = configure_node(e, i, eb);
	return err ? err : nl_link_settle(e->fabric_nl, port, eb);
}

static int explain(struct errbuf *eb, const char *kind, const char *name)
{
	return err_say(eb, eb->code, "build %s '%s': %s", kind, name, eb->text);
}

int kernel_net_routers(struct engine *e, struct errbuf *eb)
{
	int err = build_fabric(e, eb);
	if (err)
		err_say(eb, err, "build the links: %s", eb->text);
	for (int i = 0; !err && i < (int)e->s->n_routers; i++)
		if ((err = build_router(e, i, eb)))
			explain(eb, "router", e->s->routers[i].name);
	netns_return(hosts_home(e->hosts));
	return err;
}

int kernel_net_nodes(struct engine *e, struct errbuf *eb)
{
	int err = 0;
	for (int i = 0; !err && i < (int)e->s->n_nodes; i++)
		if ((err = build_node(e, i, eb)))
			explain(eb, "node", e->s->nodes[i].name);
	netns_return(hosts_home(e->hosts));
	return err;
}
