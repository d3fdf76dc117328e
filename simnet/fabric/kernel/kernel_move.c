#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <stdio.h>

/* A host's interface, or a router's outer one, goes to another network, gets another address, or comes and
 * goes. The veth pair stays the same: its far end is put into another bridge. What a host sees is what it
 * would see: its link falls when it is pulled, and an address goes before the next one comes. */

int kernel_own_scenario(struct engine *e, struct errbuf *eb)
{
	if (e->changed)
		return 0;
	if (topology_after(e->s, 0, &e->now))
		return err_set(eb, -ENOMEM, "change a network");
	e->s = &e->now;
	e->changed = true;
	return 0;
}

struct change {
	struct engine *e;
	struct scn_plug which;
	struct scn_iface old, want;
	const struct netns *ns;
	char port[KERNEL_NAME];
};

static struct scn_iface iface_now(const struct engine *e, struct scn_plug which)
{
	return topology_iface(e->s, 0, which);
}

static void set_iface_now(struct engine *e, struct scn_plug which, const struct scn_iface *f)
{
	if (which.node >= 0) {
		e->now.nodes[which.node].ifaces[which.iface] = *f;
		return;
	}
	e->now.routers[which.router].behind = f->network;
	e->now.routers[which.router].wan = f->ip;
}

static struct kernel_port port_of(const struct change *c, struct nl *n, const struct scn_iface *f)
{
	return (struct kernel_port) { .s = c->e->s,
		.n = n,
		.network = f->network,
		.owner = c->which.router >= 0 ? c->which.router : KERNEL_NO_ROUTER,
		.iface = c->which.node >= 0 ? f : NULL,
		.fabric = c->e->fabric_nl,
		.far = c->port };
}

static int remove_address(const struct change *c, struct nl *n, int ifindex, struct errbuf *eb)
{
	struct kernel_port p = port_of(c, n, &c->old);
	struct prefix v4 = kernel_port_address(&p, &c->old.ip),
		      v6 = topology_v6(c->e->s, c->old.network, &c->old.ip);
	struct errbuf gone_with_the_link;
	int err = c->old.off ? 0 : nl_addr_del(n, ifindex, &v4, eb);
	if (err == -EADDRNOTAVAIL) /* a router that was off */
		err = 0;
	if (c->e->s->ipv6)
		(void)nl_addr_del(n, ifindex, &v6, &gone_with_the_link);
	return err;
}

/* What it has goes: the link as well when it is pulled, else what another address does not need. */
static int leave(const struct change *c, struct nl *n, struct errbuf *eb)
{
	bool pulled = c->want.off || c->want.network != c->old.network;
	int ifindex = nl_link_index(n, c->old.name), err = 0;
	if (ifindex < 0)
		return err_set(eb, ifindex, "find %s", c->old.name);
	if (!c->old.off && c->which.node >= 0) {
		struct kernel_port p = port_of(c, n, &c->old);
		kernel_port_unroute(&p, c->old.name);
	}
	if (pulled && (err = nl_link_up(n, ifindex, false, eb)))
		return err;
	return pulled || !addr_equal(&c->old.ip, &c->want.ip) ? remove_address(c, n, ifindex, eb) : 0;
}

static int arrive(const struct change *c, struct nl *n, struct errbuf *eb)
{
	struct kernel_port p = port_of(c, n, &c->want);
	const struct scn_routes none = { 0 };
	int err = c->want.off ? 0 : kernel_port_configure(&p, c->want.name, &c->want.ip, eb);
	return err || c->want.off || c->which.router < 0
		       ? err
		       : kernel_router_reroute(c->e, c->which.router, n, &none, eb);
}

/* It is where it was, as it was, and other networks are reached by it. */
static bool is_rerouted(const struct change *c)
{
	return c->which.node >= 0 && !c->old.off && !c->want.off && c->old.network == c->want.network &&
	       addr_equal(&c->old.ip, &c->want.ip) && c->old.metric == c->want.metric;
}

static int reroute(const struct change *c, struct nl *n, struct errbuf *eb)
{
	set_iface_now(c->e, c->which, &c->want);
	struct kernel_port p = port_of(c, n, &c->want);
	return kernel_port_reroute(&p, c->want.name, &c->old.routes, eb);
}

static int lose_what_is_on_its_way(const struct change *c, struct errbuf *eb)
{
	const struct engine *e = c->e;
	int port = c->which.node < 0 ? e->router_ports[c->which.router]
				     : e->node_ports[c->which.node * SCN_IFACES_MAX + (int)c->which.iface];
	return port < 0 ? 0 : switch_pull(e->box, port, eb);
}

/* Nothing that went out in the old network comes out in the new one, and nothing of the old one is delivered there. */
static int replug(const struct change *c, struct errbuf *eb)
{
	int ifindex = nl_link_index(c->e->fabric_nl, c->port);
	int err = ifindex < 0 ? err_set(eb, ifindex, "find %s", c->port) : lose_what_is_on_its_way(c, eb);
	if (!err)
		err = nl_link_master(c->e->fabric_nl, ifindex, c->e->bridges[c->want.network + 1], eb);
	return err ? err : lose_what_is_on_its_way(c, eb);
}

/* A router that comes back has forgotten before anything can pass it: a flow that it still knew would show itself once more,
 * and somebody would believe that address. */
static int forget_first(const struct change *c, struct errbuf *eb)
{
	if (c->which.router < 0 || c->want.off)
		return 0;
	int err = kernel_nat_reload(c->e, c->which.router, eb);
	return err ? err : netns_enter(c->ns, eb);
}

static int change_inside(struct change *c, struct errbuf *eb)
{
	int err = netns_enter(c->ns, eb);
	struct nl *n = err ? NULL : nl_open(eb);
	if (!n)
		return err ? err : eb->code;
	if (is_rerouted(c)) {
		err = reroute(c, n, eb);
		nl_close(n);
		return err;
	}
	err = leave(c, n, eb);
	if (!err && c->want.network != c->old.network)
		err = replug(c, eb);
	if (!err) {
		set_iface_now(c->e, c->which, &c->want);
		err = forget_first(c, eb);
	}
	if (!err)
		err = arrive(c, n, eb);
	nl_close(n);
	return err;
}

/* A router in userspace has its interface in the fabric itself. */
static int change_user(struct change *c, struct errbuf *eb)
{
	struct nl *n = c->e->fabric_nl;
	int ifindex = nl_link_index(n, c->port);
	int err = ifindex < 0 ? err_set(eb, ifindex, "find %s", c->port) : 0;
	bool pulled = c->want.off || c->want.network != c->old.network;
	if (!err && pulled)
		err = nl_link_up(n, ifindex, false, eb);
	if (!err && c->want.network != c->old.network)
		err = replug(c, eb);
	if (err)
		return err;
	set_iface_now(c->e, c->which, &c->want);
	if (c->want.off)
		return 0;
	err = kernel_user_move(c->e, c->which.router, eb);
	if (!err)
		err = nl_link_up(n, ifindex, true, eb);
	return err ? err : nl_link_settle(n, c->port, eb);
}

int kernel_plug(struct engine *e, struct scn_plug which, const struct scn_iface *want, struct errbuf *eb)
{
	int err = kernel_own_scenario(e, eb);
	if (err)
		return err;
	if (which.router >= 0 && which.iface)
		return kernel_balance_plug(e, which, want->off, eb);
	struct change c = { .e = e, .which = which, .old = iface_now(e, which), .want = *want };
	bool user = which.router >= 0 && kernel_is_user(e, which.router);
	if (which.node >= 0)
		kernel_node_port(which.node, which.iface, c.port);
	else
		kernel_port_name('r', which.router, 'w', c.port);
	if (!user)
		c.ns = which.node >= 0 ? hosts_net(e->hosts, which.node)
				       : kernel_router_net(e, (size_t)which.router);
	err = user ? change_user(&c, eb) : change_inside(&c, eb);
	netns_return(hosts_home(e->hosts));
	if (!err && !want->off)
		err = kernel_net_announce(e, which, eb);
	return err || which.router < 0 || want->off ? err : kernel_portmap_again(e, which.router, eb);
}

int kernel_set_routes(struct engine *e, int router, const struct scn_routes *to, struct errbuf *eb)
{
	int err = kernel_own_scenario(e, eb);
	if (err)
		return err;
	const struct scn_routes had = e->now.routers[router].routes;
	e->now.routers[router].routes = *to;
	if (kernel_is_user(e, router))
		return kernel_user_reroute(e, router, eb);
	err = netns_enter(kernel_router_net(e, (size_t)router), eb);
	struct nl *n = err ? NULL : nl_open(eb);
	if (!err)
		err = n ? kernel_router_reroute(e, router, n, &had, eb) : eb->code;
	nl_close(n);
	netns_return(hosts_home(e->hosts));
	return err;
}

int kernel_routes_begin(struct engine *e, struct errbuf *eb)
{
	int err = 0;
	e->routed = true;
	for (int i = 0; i < (int)e->s->n_routers && !err; i++) {
		const struct scn_routes own = e->s->routers[i].routes;
		err = own.n ? kernel_set_routes(e, i, &own, eb) : 0;
	}
	return err;
}

/* ---- the cable ---- */

static int settle_inside(struct engine *e, const struct netns *ns, const char *name, struct errbuf *eb)
{
	int err = netns_enter(ns, eb);
	struct nl *n = err ? NULL : nl_open(eb);
	if (!err)
		err = n ? nl_link_settle(n, name, eb) : eb->code;
	nl_close(n);
	netns_return(hosts_home(e->hosts));
	return err;
}

static int carrier_of_port(struct engine *e, const char *port, bool up, struct errbuf *eb)
{
	int ifindex = nl_link_index(e->fabric_nl, port);
	int err = ifindex < 0 ? err_set(eb, ifindex, "find %s", port)
			      : nl_link_up(e->fabric_nl, ifindex, up, eb);
	return err || !up ? err : nl_link_settle(e->fabric_nl, port, eb);
}

int kernel_carrier(struct engine *e, const struct kernel_cut *whose, bool up, struct errbuf *eb)
{
	char port[KERNEL_NAME];
	int err = 0;
	if (whose->node < 0) {
		kernel_port_name('r', whose->router, 'w', port);
		err = carrier_of_port(e, port, up, eb);
		const struct scn_router *r = &e->s->routers[whose->router];
		for (size_t k = 0; r->balances && k < r->n_uplinks && !err; k++) {
			kernel_uplink_port(whose->router, k, port);
			if (k != r->uplink && (!up || !r->uplinks[k].off))
				err = carrier_of_port(e, port, up, eb);
		}
		if (!err && !kernel_is_user(e, whose->router) && e->router_ports[whose->router] >= 0)
			err = switch_carrier(e->box, e->router_ports[whose->router], up, eb);
		return err || !up || kernel_is_user(e, whose->router)
			       ? err
			       : settle_inside(e, kernel_router_net(e, (size_t)whose->router), "wan", eb);
	}
	const struct scn_node *n = &e->s->nodes[whose->node];
	for (size_t k = 0; k < n->n_ifaces && !err; k++) {
		kernel_node_port(whose->node, k, port);
		err = carrier_of_port(e, port, up, eb);
		int wire = e->node_ports[whose->node * SCN_IFACES_MAX + (int)k];
		if (!err && wire >= 0)
			err = switch_carrier(e->box, wire, up, eb);
		if (!err && up && !n->ifaces[k].off)
			err = settle_inside(e, hosts_net(e->hosts, whose->node), n->ifaces[k].name, eb);
	}
	return err;
}
