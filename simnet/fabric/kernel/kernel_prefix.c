#include "simnet/fabric/kernel/kernel.h"

/* A router's outer IPv6 prefix becomes another: whoever is outside of it has a way to the new one, and none to the old one any
 * more. */

typedef int port_fn(const struct kernel_port *p, int router, struct errbuf *eb);

/* Of one host or router in the kernel, whose ports are those of a node or, without one, of router `which`. */
static int at_host(struct engine *e, int node, int which, port_fn *fn, int router, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	int err =
		netns_enter(node >= 0 ? hosts_net(e->hosts, node) : kernel_router_net(e, (size_t)which), eb);
	struct nl *n = err ? NULL : nl_open(eb);
	if (!n)
		return err ? err : eb->code;
	for (size_t k = 0; node >= 0 && k < s->nodes[node].n_ifaces && !err; k++) {
		const struct scn_iface *f = &s->nodes[node].ifaces[k];
		struct kernel_port p = {
			.s = s, .n = n, .network = f->network, .owner = KERNEL_NO_ROUTER, .iface = f
		};
		p.ifindex = nl_link_index(n, f->name);
		err = f->off ? 0 : fn(&p, router, eb);
	}
	for (int inner = 0; node < 0 && inner < 2 && !err; inner++) {
		struct kernel_port p = { .s = s, .n = n, .owner = which };
		p.network = inner ? which : s->routers[which].behind;
		p.ifindex = nl_link_index(n, inner ? "lan" : "wan");
		err = fn(&p, router, eb);
	}
	nl_close(n);
	return err;
}

static int at_all(struct engine *e, port_fn *fn, int router, struct errbuf *eb)
{
	int err = 0;
	for (int i = 0; i < (int)e->s->n_nodes && !err; i++)
		err = at_host(e, i, -1, fn, router, eb);
	for (int i = 0; i < (int)e->s->n_routers && !err; i++)
		err = kernel_is_user(e, i) ? 0 : at_host(e, -1, i, fn, router, eb);
	netns_return(hosts_home(e->hosts));
	return err;
}

static int forget(const struct kernel_port *p, int router, struct errbuf *eb)
{
	struct errbuf gone_already;
	(void)eb;
	for (int lan = 0; lan < (int)p->s->n_routers; lan++) {
		int via = topology_way_down(p->s, p->network, lan, true);
		if (via < 0 || via == p->owner || topology_nptv6(p->s, lan) != router ||
			topology_nptv6(p->s, p->network) == router)
			continue;
		const struct nl_route r = { .dst = topology_v6_from(
						    p->s, p->network, lan, &p->s->routers[lan].lan),
			.ifindex = p->ifindex };
		(void)nl_route_del(p->n, &r, &gone_already);
	}
	return 0;
}

static int learn(const struct kernel_port *p, int router, struct errbuf *eb)
{
	(void)router;
	return kernel_port_reach(p, eb);
}

int kernel_set_nptv6(struct engine *e, int router, const struct nptv6 *to, struct errbuf *eb)
{
	int err = kernel_own_scenario(e, eb);
	if (!err)
		err = at_all(e, forget, router, eb);
	if (err)
		return err;
	e->now.routers[router].nptv6 = *to;
	err = at_all(e, learn, router, eb);
	if (!err)
		err = switch_set_nptv6(e->box, e->router_ports[router], to, eb);
	for (int i = 0; i < (int)e->s->n_routers && !err; i++)
		err = kernel_is_user(e, i) ? kernel_user_reroute(e, i, eb) : 0;
	return err;
}
