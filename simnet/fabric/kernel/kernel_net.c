#include "simnet/fabric/kernel/kernel.h"

#include "simnet/fabric/user/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOPBACK = 1, NEIGHBOURS_MAX = 32 };

struct mac kernel_mac(enum kernel_mac_kind kind, size_t i, size_t iface)
{
	return (struct mac) { { 2, 0, (uint8_t)iface, (uint8_t)kind, (uint8_t)(i >> 8), (uint8_t)i } };
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
	const struct setting rows[] = {
		{ "net/ipv4/ip_forward", "1" },
		{ "net/ipv4/conf/all/send_redirects", "0" },
		{ "net/ipv4/conf/default/send_redirects", "0" },
		{ "net/ipv4/conf/all/rp_filter", "0" },
		{ "net/ipv4/conf/default/rp_filter", "0" },
		{ "net/ipv6/conf/all/forwarding", "1" },
	};
	int err = apply(rows, ARRAY_LEN(rows) - (s->ipv6 ? 0 : 1), eb);
	return err || !r->nat ? err : kernel_nat_settings(&r->model, eb);
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

struct prefix kernel_port_address(const struct kernel_port *p, const struct addr *ip)
{
	return (struct prefix) { *ip, topology_net(p->s, p->network).bits };
}

/* Routers have both families everywhere; a host has what its network offers. */
static bool port_has_v4(const struct kernel_port *p)
{
	return !p->iface || topology_has_v4(p->s, p->network);
}

static bool port_has_v6(const struct kernel_port *p)
{
	return p->iface ? topology_has_v6(p->s, p->network) : p->s->ipv6;
}

static int add_addresses(const struct kernel_port *p, const struct addr *ip, struct errbuf *eb)
{
	struct prefix v4 = kernel_port_address(p, ip);
	int err = port_has_v4(p) ? nl_addr_add(p->n, p->ifindex, &v4, eb) : 0;
	if (err || !port_has_v6(p))
		return err;
	struct prefix v6 = topology_v6(p->s, p->network, ip);
	return nl_addr_add(p->n, p->ifindex, &v6, eb);
}

/* On the internet everything is on link; elsewhere the way out is the LAN's router. */
static int add_default(const struct kernel_port *p, struct errbuf *eb)
{
	struct nl_route r = { .dst = { .ip = addr_v4(0) },
		.via = addr_v4(0),
		.ifindex = p->ifindex,
		.metric = p->iface ? p->iface->metric : 0 };
	if (p->iface && p->iface->no_default)
		return 0;
	if (p->network >= 0)
		r.via = p->s->routers[p->network].lan;
	int err = port_has_v4(p) ? nl_route_add(p->n, &r, eb) : 0;
	if (err || !port_has_v6(p))
		return err;
	r.dst = (struct prefix) { .ip = addr_any6 };
	r.via = p->network < 0 ? addr_any6 : topology_v6(p->s, p->network, &p->s->routers[p->network].lan).ip;
	return nl_route_add(p->n, &r, eb);
}

static int add_route_down(const struct kernel_port *p, int lan, bool v6, struct errbuf *eb)
{
	int via = topology_way_down(p->s, p->network, lan, v6);
	if (via < 0 || via == p->owner)
		return 0;
	const struct scn_router *r = &p->s->routers[via];
	struct nl_route route = { .ifindex = p->ifindex, .dst = p->s->routers[lan].lan_net, .via = r->wan };
	if (v6) {
		route.dst = topology_v6_from(p->s, p->network, lan, &p->s->routers[lan].lan);
		route.via = topology_v6(p->s, p->network, &r->wan).ip;
	}
	return nl_route_add(p->n, &route, eb);
}

int kernel_port_reach(const struct kernel_port *p, struct errbuf *eb)
{
	int err = 0;
	for (int lan = 0; !err && lan < (int)p->s->n_routers; lan++) {
		err = port_has_v4(p) ? add_route_down(p, lan, false, eb) : 0;
		if (!err && port_has_v6(p))
			err = add_route_down(p, lan, true, eb);
	}
	return err;
}

/* What the file wants to go by this interface besides the default. */
static int add_own_routes(const struct kernel_port *p, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; p->iface && port_has_v4(p) && i < p->iface->routes.n && !err; i++) {
		const struct scn_route *own = &p->iface->routes.v[i];
		struct nl_route r = {
			.dst = own->dst, .via = own->via, .ifindex = p->ifindex, .metric = p->iface->metric
		};
		if (addr_is_unspecified(&r.via) && p->network >= 0)
			r.via = p->s->routers[p->network].lan;
		err = nl_route_add(p->n, &r, eb);
	}
	return err;
}

static bool has_route(const struct scn_routes *r, const struct scn_route *one)
{
	for (size_t i = 0; i < r->n; i++)
		if (prefix_equal(&r->v[i].dst, &one->dst) && addr_equal(&r->v[i].via, &one->via))
			return true;
	return false;
}

int kernel_port_reroute(
	struct kernel_port *p, const char *name, const struct scn_routes *had, struct errbuf *eb)
{
	struct errbuf gone_already;
	size_t gone = 0;
	p->ifindex = nl_link_index(p->n, name);
	for (size_t i = 0; i < had->n; i++) {
		const struct nl_route r = { .dst = had->v[i].dst,
			.via = addr_v4(0),
			.ifindex = p->ifindex,
			.metric = p->iface->metric };
		if (has_route(&p->iface->routes, &had->v[i]))
			continue;
		(void)nl_route_del(p->n, &r, &gone_already);
		gone++;
	}
	int err = gone ? add_default(p, eb) : 0; /* it may have been in the place of one of these */
	if (!err && gone)
		err = kernel_port_reach(p, eb);
	return err ? err : add_own_routes(p, eb);
}

void kernel_port_unroute(struct kernel_port *p, const char *name)
{
	struct errbuf gone_already;
	struct nl_route r = { .dst = { .ip = addr_v4(0) }, .via = addr_v4(0), .metric = p->iface->metric };
	p->ifindex = r.ifindex = nl_link_index(p->n, name);
	(void)nl_route_del(p->n, &r, &gone_already);
	for (size_t i = 0; i < p->iface->routes.n; i++) {
		r.dst = p->iface->routes.v[i].dst;
		(void)nl_route_del(p->n, &r, &gone_already);
	}
	r.dst = (struct prefix) { .ip = addr_any6 };
	r.via = addr_any6;
	(void)nl_route_del(p->n, &r, &gone_already);
}

/* Permanent entries for all neighbours spare the first packet its wait for ARP. A big network does without.
 */
static int add_neighbours(const struct kernel_port *p, struct errbuf *eb)
{
	const struct scenario *s = p->s;
	int err = 0;
	struct mac m;
	if (s->n_nodes + s->n_routers > NEIGHBOURS_MAX)
		return 0;
	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].n_ifaces && !err; k++) {
			const struct scn_iface *f = &s->nodes[i].ifaces[k];
			if (f->network != p->network || f->off)
				continue;
			m = kernel_mac(KERNEL_MAC_NODE, i, k);
			err = nl_neigh_add(p->n, p->ifindex, &f->ip, m.b, eb);
		}
	for (size_t i = 0; i < s->n_routers && !err; i++) {
		if (s->routers[i].behind != p->network)
			continue;
		m = kernel_mac(KERNEL_MAC_WAN, i, 0);
		err = nl_neigh_add(p->n, p->ifindex, &s->routers[i].wan, m.b, eb);
	}
	if (err || p->network < 0)
		return err;
	m = kernel_mac(KERNEL_MAC_LAN, (size_t)p->network, 0);
	return nl_neigh_add(p->n, p->ifindex, &s->routers[p->network].lan, m.b, eb);
}

int kernel_port_configure(struct kernel_port *p, const char *name, const struct addr *ip, struct errbuf *eb)
{
	p->ifindex = nl_link_index(p->n, name);
	if (p->ifindex < 0)
		return err_set(eb, p->ifindex, "find %s", name);
	int err = nl_link_up(p->n, p->ifindex, true, eb);
	if (!err) /* a TAP device has its carrier from here on; a veth pair settles with its other end */
		err = nl_link_settle(p->n, name, eb);
	if (!err && p->far)
		err = nl_link_settle(p->fabric, p->far, eb);
	if (!err)
		err = add_addresses(p, ip, eb);
	if (!err)
		err = add_neighbours(p, eb);
	if (!err && p->owner != p->network)
		err = add_default(p, eb);
	if (!err)
		err = kernel_port_reach(p, eb);
	return err ? err : add_own_routes(p, eb);
}

/* ---- routers and nodes ---- */

static int add_pool(const struct scn_router *r, struct nl *n, struct errbuf *eb)
{
	int err = 0, ifindex = nl_link_index(n, "wan");
	for (uint32_t k = 1; !err && k < r->model.pool; k++)
		err = nl_addr_add(n, ifindex, &(struct prefix) { .ip = topology_pool(r, k), .bits = 32 }, eb);
	return err;
}

/* Their side is that of whom they lead by. */
static int put_own_routes(const struct scn_router *r, struct nl *n, struct errbuf *eb)
{
	int wan = nl_link_index(n, "wan"), lan = nl_link_index(n, "lan"), err = 0;
	for (size_t i = 0; i < r->routes.n && !err; i++) {
		const struct scn_route *own = &r->routes.v[i];
		err = nl_route_add(n,
			&(struct nl_route) { .dst = own->dst,
				.via = own->via,
				.ifindex = prefix_contains(&r->lan_net, &own->via) ? lan : wan },
			eb);
	}
	return err;
}

int kernel_router_reroute(
	struct engine *e, int i, struct nl *n, const struct scn_routes *had, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	struct kernel_port outer = { .s = e->s, .n = n, .network = r->behind, .owner = i },
			   inner = { .s = e->s, .n = n, .network = i, .owner = i };
	struct errbuf gone_already;
	outer.ifindex = nl_link_index(n, "wan");
	inner.ifindex = nl_link_index(n, "lan");
	for (size_t k = 0; k < had->n; k++)
		(void)nl_route_del(
			n, &(struct nl_route) { .dst = had->v[k].dst, .via = had->v[k].via }, &gone_already);
	int err = add_default(&outer, eb); /* one of those may have been in its place */
	if (!err)
		err = kernel_port_reach(&outer, eb);
	if (!err)
		err = kernel_port_reach(&inner, eb);
	return err || !e->routed ? err : put_own_routes(r, n, eb);
}

static int configure_router(const struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int err = nl_link_up(n, LOOPBACK, true, eb);
	if (!err)
		err = kernel_port_configure(
			&(struct kernel_port) { .s = e->s, .n = n, .network = r->behind, .owner = i }, "wan",
			&r->wan, eb);
	if (!err && r->nat)
		err = add_pool(r, n, eb);
	if (!err)
		err = kernel_port_configure(
			&(struct kernel_port) { .s = e->s, .n = n, .network = i, .owner = i }, "lan", &r->lan,
			eb);
	nl_close(n);
	return err;
}

static int plug_wire(
	struct engine *e, const struct netns *ns, struct user_plug *p, int *port, struct errbuf *eb)
{
	p->ns = ns;
	*port = kernel_user_wire(e, p, eb);
	return *port < 0 ? *port : 0;
}

/* A router in userspace that maps ports is a host as well, with the same inner address. */
static int build_user_host(struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	struct mac lan = kernel_mac(KERNEL_MAC_LAN, (size_t)i, 0);
	int err = netns_enter(kernel_router_net(e, i), eb);
	if (!err)
		err = prepare_v6(e->s->ipv6, eb);
	int fd = err ? err : tap_open("lan", &lan, eb);
	if (fd < 0)
		return fd;
	int rules = kernel_portmap_rules(e, i, eb);
	if (rules < 0) {
		close(fd);
		return rules;
	}
	int port = switch_add_host(e->box, e->router_ports[i], fd, rules, eb);
	struct nl *n = port < 0 ? NULL : nl_open(eb);
	if (!n)
		return eb->code;
	err = nl_link_up(n, LOOPBACK, true, eb);
	if (!err)
		err = kernel_port_configure(
			&(struct kernel_port) { .s = e->s, .n = n, .network = i, .owner = i }, "lan", &r->lan,
			eb);
	nl_close(n);
	return err;
}

static int build_router(struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[i];
	char port[KERNEL_NAME];
	struct mac wan = kernel_mac(KERNEL_MAC_WAN, (size_t)i, 0),
		   lan = kernel_mac(KERNEL_MAC_LAN, (size_t)i, 0);
	if (kernel_is_user(e, i)) {
		int made = kernel_user_router(e, i, eb);
		return made || !r->portmap ? made : build_user_host(e, i, eb);
	}
	int err = netns_enter(kernel_router_net(e, i), eb);
	if (!err)
		err = prepare_v6(e->s->ipv6, eb);
	if (!err)
		err = prepare_router(e->s, r, eb);
	if (err)
		return err;
	kernel_port_name('r', i, 'w', port);
	if (!kernel_has_wire(e, r->link, r->region))
		err = plug(e, port, r->behind,
			&(struct nl_veth) {
				.peer = "wan", .peer_ns = kernel_router_net(e, i)->fd, .peer_mac = wan.b },
			eb);
	else
		err = plug_wire(e, kernel_router_net(e, i),
			&(struct user_plug) { .interface = "wan",
				.port = port,
				.owner = r->name,
				.mac = &wan,
				.model = r->link,
				.region = r->region,
				.own = &r->wan,
				.network = r->behind },
			&e->router_ports[i], eb);
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

static int configure_iface(const struct engine *e, int i, size_t k, struct errbuf *eb)
{
	const struct scn_iface *f = &e->s->nodes[i].ifaces[k];
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int err = nl_link_up(n, LOOPBACK, true, eb);
	struct kernel_port p = {
		.s = e->s, .n = n, .network = f->network, .owner = KERNEL_NO_ROUTER, .iface = f
	};
	if (!err && !f->off)
		err = kernel_port_configure(&p, f->name, &f->ip, eb);
	nl_close(n);
	return err;
}

void kernel_node_port(int node, size_t iface, char *out)
{
	kernel_port_name('n', node, iface ? (char)('a' + iface) : 0, out);
}

static int plug_node(struct engine *e, int i, size_t k, const char *port, struct errbuf *eb)
{
	const struct scn_node *h = &e->s->nodes[i];
	const struct scn_iface *f = &h->ifaces[k];
	struct mac mac = kernel_mac(KERNEL_MAC_NODE, (size_t)i, k);
	char owner[64];
	if (!kernel_has_wire(e, h->link, h->region))
		return plug(e, port, f->network,
			&(struct nl_veth) {
				.peer = f->name, .peer_ns = hosts_net(e->hosts, i)->fd, .peer_mac = mac.b },
			eb);
	snprintf(owner, sizeof(owner), "%s%s%s", h->name, k ? "." : "", k ? f->name : "");
	return plug_wire(e, hosts_net(e->hosts, i),
		&(struct user_plug) { .interface = f->name,
			.port = port,
			.owner = owner,
			.own = &f->ip,
			.mac = &mac,
			.model = h->link,
			.region = h->region,
			.network = f->network },
		&e->node_ports[i * SCN_IFACES_MAX + (int)k], eb);
}

static int build_node(struct engine *e, int i, struct errbuf *eb)
{
	const struct scn_node *h = &e->s->nodes[i];
	char port[KERNEL_NAME];
	int err = netns_enter(hosts_net(e->hosts, i), eb);
	if (!err)
		err = prepare_v6(e->s->ipv6, eb);
	if (!err)
		err = prepare_host(eb);
	for (size_t k = 0; !err && k < h->n_ifaces; k++) {
		kernel_node_port(i, k, port);
		err = plug_node(e, i, k, port, eb);
		if (!err)
			err = configure_iface(e, i, k, eb);
		if (!err && !h->ifaces[k].off)
			err = nl_link_settle(e->fabric_nl, port, eb);
	}
	return err ? err : restore_v6(e->s->ipv6, eb);
}

static struct mac mac_of_plug(const struct scn_plug *p)
{
	bool node = p->node >= 0;
	return kernel_mac(
		node ? KERNEL_MAC_NODE : KERNEL_MAC_WAN, (size_t)(node ? p->node : p->router), p->iface);
}

static struct addr address_of_plug(const struct scenario *s, const struct scn_plug *p)
{
	return p->node >= 0 ? s->nodes[p->node].ifaces[p->iface].ip : s->routers[p->router].wan;
}

/* Who is on the network, in its own namespace, hears of the address. */
static int tell_neighbour(
	struct engine *e, int place, const char *name, const struct scn_plug *who, struct errbuf *eb)
{
	struct addr ip = address_of_plug(e->s, who);
	struct mac m = mac_of_plug(who);
	int err = netns_enter(hosts_net(e->hosts, place), eb);
	struct nl *n = err ? NULL : nl_open(eb);
	if (!n)
		return err ? err : eb->code;
	err = nl_neigh_add(n, nl_link_index(n, name), &ip, m.b, eb);
	nl_close(n);
	return err;
}

static int tell_router(
	struct engine *e, int i, const char *name, const struct scn_plug *who, struct errbuf *eb)
{
	if (!kernel_is_user(e, i))
		return tell_neighbour(e, hosts_place_of_router(e->hosts, i), name, who, eb);
	bool inner = !strcmp(name, "lan");
	int err = inner && e->s->routers[i].portmap
			  ? tell_neighbour(e, hosts_place_of_router(e->hosts, i), name, who, eb)
			  : 0;
	struct mac mac = mac_of_plug(who);
	struct addr ip = address_of_plug(e->s, who);
	int ports[SCN_IFACES_MAX];
	for (size_t n = kernel_user_ports(e, i, ports); n-- > 0 && !err;)
		if (inner || ports[n] == e->router_ports[i])
			err = switch_add_neighbour(
				e->box, ports[n], inner ? ROUTER_LAN : ROUTER_WAN, &ip, &mac, eb);
	return err;
}

int kernel_net_announce(struct engine *e, struct scn_plug who, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	int network =
		who.node >= 0 ? s->nodes[who.node].ifaces[who.iface].network : s->routers[who.router].behind;
	int err = 0;
	if (s->n_nodes + s->n_routers > NEIGHBOURS_MAX)
		return 0; /* they ask by ARP */
	for (int i = 0; i < (int)s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].n_ifaces && !err; k++) {
			const struct scn_iface *f = &s->nodes[i].ifaces[k];
			if (f->network == network && !f->off && (i != who.node || k != who.iface))
				err = tell_neighbour(e, i, f->name, &who, eb);
		}
	for (int i = 0; i < (int)s->n_routers && !err; i++)
		if (s->routers[i].behind == network && i != who.router)
			err = tell_router(e, i, "wan", &who, eb);
	if (network >= 0 && !err)
		err = tell_router(e, network, "lan", &who, eb);
	netns_return(hosts_home(e->hosts));
	return err;
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
		if (!e->s->nodes[i].on_router && (err = build_node(e, i, eb)))
			explain(eb, "node", e->s->nodes[i].name);
	netns_return(hosts_home(e->hosts));
	return err;
}
