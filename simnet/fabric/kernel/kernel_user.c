#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/fabric/kernel/kernel.h"

#include "simnet/fabric/user/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the kernel is not asked for: links that delay, lose or cut packets, and routers that the userspace engine plays
 * (simnet/fabric/user). Both hang in the same bridges as everything else, by TAP devices with the names that veth pairs
 * would have, so that cuts of links, captures and the probes of routers are one for both engines. */

bool kernel_is_user(const struct engine *e, int router)
{
	return e->user_routers[router];
}

/* ---- regions ---- */

/* The distance of a region is in the way up of everything that is there itself: what goes to an address of another waits so
 * much longer. */
static int add_far(struct user_far *f, const struct prefix *net, uint64_t us)
{
	struct link_far *more = us ? reallocarray(f->v, f->n + 1, sizeof(*more)) : NULL;
	if (!us)
		return 0;
	if (!more)
		return -ENOMEM;
	f->v = more;
	f->v[f->n++] = (struct link_far) { .net = *net, .delay_us = us };
	return 0;
}

static int add_far_host(const struct scenario *s, struct user_far *f, const struct addr *ip, uint64_t us)
{
	struct prefix v4 = prefix_of(ip), v6 = topology_v6(s, -1, ip);
	v6.bits = 128;
	int err = add_far(f, &v4, us);
	return err || !s->ipv6 ? err : add_far(f, &v6, us);
}

/* Its outer addresses, and the networks behind it that are reached untranslated. */
static int add_far_router(const struct scenario *s, struct user_far *f, int router, uint64_t us)
{
	const struct scn_router *r = &s->routers[router];
	int err = 0;
	for (uint32_t i = 0; i < (r->nat ? r->model.pool : 1) && !err; i++) {
		struct addr ip = topology_pool(r, i);
		err = add_far_host(s, f, &ip, us);
	}
	for (int lan = 0; lan < (int)s->n_routers && !err; lan++) {
		struct prefix v6 = topology_v6_from(s, -1, lan, &s->routers[lan].lan);
		if (topology_way_down(s, -1, lan, false) == router)
			err = add_far(f, &s->routers[lan].lan_net, us);
		if (!err && s->ipv6 && topology_way_down(s, -1, lan, true) == router)
			err = add_far(f, &v6, us);
	}
	return err;
}

static int find_far_of(const struct scenario *s, size_t region, struct user_far *f)
{
	const uint64_t *us = &s->region_us[region * s->n_regions];
	int err = 0;
	for (int i = 0; i < (int)s->n_routers && !err; i++)
		if (s->routers[i].region)
			err = add_far_router(s, f, i, us[s->routers[i].region - 1]);
	for (size_t i = 0; i < s->n_nodes && !err; i++)
		for (size_t k = 0; s->nodes[i].region && k < s->nodes[i].n_ifaces && !err; k++)
			if (s->nodes[i].ifaces[k].network < 0)
				err = add_far_host(
					s, f, &s->nodes[i].ifaces[k].ip, us[s->nodes[i].region - 1]);
	return err;
}

static int find_far(struct engine *e)
{
	int err = 0;
	e->far = calloc(e->s->n_regions + 1, sizeof(*e->far));
	for (size_t i = 0; e->far && i < e->s->n_regions && !err; i++)
		err = find_far_of(e->s, i, &e->far[i]);
	return e->far ? err : -ENOMEM;
}

void kernel_user_fini(struct engine *e)
{
	for (size_t i = 0; e->far && i < e->s->n_regions; i++)
		free(e->far[i].v);
	free(e->far);
}

bool kernel_has_wire(const struct engine *e, const struct link_model *m, int region)
{
	return !link_model_is_plain(m) || (region && e->far[region - 1].n);
}

static void set_far(const struct engine *e, struct board_wire *w, int region)
{
	if (!region)
		return;
	w->far = e->far[region - 1].v;
	w->n_far = e->far[region - 1].n;
}

static int refuse_router(
	const struct scenario *s, const struct scn_router *r, const char *why, struct errbuf *eb)
{
	return err_say(eb, ERR_UNSUPPORTED, "%s:%u:%u: router '%s' needs the userspace engine: %s", s->file,
		r->at.line, r->at.column, r->name, why);
}

/* Whether all that the file makes of the router, now and by its steps, can be in the kernel. */
static bool can_be_kernel(const struct scenario *s, int router, const char **why)
{
	const struct scn_router *r = &s->routers[router];

	if (r->nat64.bits) {
		*why = "NAT64: nftables makes no IPv4 of IPv6";
		return false;
	}
	if (r->balances) {
		*why = "flows balanced over uplinks: the rules of nftables have one outer side";
		return false;
	}
	if (nptv6_is_there(&r->nptv6)) {
		*why = "NPTv6: nftables exchanges prefixes with a state, and no sum stays";
		return false;
	}
	for (size_t i = 0; r->nat && i <= s->n_steps; i++) {
		const struct nat_model m = topology_nat(s, i, router);
		if (!kernel_can(&m, why))
			return false;
	}
	return true;
}

/* A router in userspace has no interfaces that a program there could use. */
static int check_programs(const struct engine *e, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct scn_node *n = &s->nodes[i];
		const char *why;
		if (!n->on_router || !e->user_routers[n->router])
			continue;
		if (can_be_kernel(s, n->router, &why))
			why = "programs run on routers of the kernel engine alone";
		return err_say(eb, ERR_UNSUPPORTED,
			"%s:%u:%u: '%s' cannot run on router '%s', which is in userspace: %s", s->file,
			n->at.line, n->at.column, n->name, s->routers[n->router].name, why);
	}
	return 0;
}

/* Of a router or node whose outer link has a model. */
static int choose_wire(struct engine *e, struct scn_at at, const char *name, struct errbuf *eb)
{
	return e->choice != ENGINE_KERNEL
		       ? 0
		       : err_say(eb, ERR_UNSUPPORTED,
				 AT_FMT ": the link of '%s' needs the userspace engine: it has a model, or "
					"distances between regions",
				 AT_ARGS(e->s->file, at), name);
}

/* Before anything is built. */
int kernel_user_choose(struct engine *e, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	bool wires = false, routers = false;
	if (find_far(e))
		return err_set(eb, -ENOMEM, "lay out the regions");
	for (size_t i = 0; i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		const char *why = NULL;
		bool can = can_be_kernel(s, (int)i, &why);
		if (!can && e->choice == ENGINE_KERNEL)
			return refuse_router(s, r, why, eb);
		e->user_routers[i] = e->choice == ENGINE_USER || !can;
		routers |= e->user_routers[i];
		bool wire = kernel_has_wire(e, r->link, r->region);
		if (wire && choose_wire(e, r->at, r->name, eb))
			return eb->code;
		wires |= wire;
	}
	if (check_programs(e, eb))
		return eb->code;
	for (size_t i = 0; i < s->n_nodes; i++) {
		bool wire = kernel_has_wire(e, s->nodes[i].link, s->nodes[i].region);
		if (wire && choose_wire(e, s->nodes[i].at, s->nodes[i].name, eb))
			return eb->code;
		wires |= wire;
	}
	return wires || routers ? switch_new(s->seed, &e->box, eb) : 0;
}

static int fabric_tap(struct engine *e, const char *port, int network, struct errbuf *eb)
{
	int err = netns_enter(&e->fabric, eb);
	int fd = err ? err : tap_open(port, NULL, eb);
	if (fd < 0)
		return fd;
	int ifindex = nl_link_index(e->fabric_nl, port);
	err = ifindex < 0 ? err_set(eb, ifindex, "find %s", port)
			  : nl_link_master(e->fabric_nl, ifindex, e->bridges[network + 1], eb);
	if (!err)
		err = nl_link_up(e->fabric_nl, ifindex, true, eb);
	if (!err)
		err = nl_link_settle(e->fabric_nl, port, eb);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* Who tells of packets that are too big: the next router that way, as the sender sees it. */
static struct board_wire wire_of(const struct scenario *s, const char *name, const struct link_model *m,
	int network, const struct addr *own)
{
	struct board_wire w = { .name = name, .model = m };
	w.teller = network < 0 ? addr_v4((addr_v4_get(own) & 0xffffff00) | 1) : s->routers[network].lan;
	if (s->ipv6)
		w.teller6 = topology_v6(s, network, &w.teller).ip;
	return w;
}

int kernel_user_wire(struct engine *e, const struct user_plug *p, struct errbuf *eb)
{
	struct board_wire w = wire_of(e->s, p->owner, p->model, p->network, p->own);
	set_far(e, &w, p->network < 0 ? p->region : 0);
	int fds[2] = { -1, -1 };
	int err = netns_enter(p->ns, eb);
	if (!err && (fds[0] = tap_open(p->interface, p->mac, eb)) < 0)
		err = fds[0];
	if (!err && (fds[1] = fabric_tap(e, p->port, p->network, eb)) < 0)
		err = fds[1];
	if (err) {
		if (fds[0] >= 0)
			close(fds[0]);
		return err;
	}
	int port = switch_add_wire(e->box, &w, fds, eb);
	err = port < 0 ? port : netns_enter(p->ns, eb);
	return err ? err : port;
}

/* ---- routers ---- */

struct ways {
	struct router_way v[ROUTER_WAYS_MAX];
	size_t n;
};

static void add_way(struct ways *w, const struct prefix *dst, enum router_side side, const struct addr *via)
{
	static const struct addr on_link;
	if (w->n < ARRAY_LEN(w->v))
		w->v[w->n++] = (struct router_way) { .dst = *dst, .side = side, .via = via ? *via : on_link };
}

static void add_ways(struct engine *e, int router, enum router_side side, struct ways *w)
{
	const struct scenario *s = e->s;
	int network = side == ROUTER_WAN ? s->routers[router].behind : router;
	for (int lan = 0; lan < (int)s->n_routers; lan++)
		for (int v6 = 0; v6 <= s->ipv6; v6++) {
			int via = topology_way_down(s, network, lan, v6);
			if (via < 0 || via == router)
				continue;
			struct prefix dst = v6 ? topology_v6_from(s, network, lan, &s->routers[lan].lan)
					       : s->routers[lan].lan_net;
			struct addr next =
				v6 ? topology_v6(s, network, &s->routers[via].wan).ip : s->routers[via].wan;
			add_way(w, &dst, side, &next);
		}
}

static void add_default(const struct scenario *s, int router, struct ways *w)
{
	int behind = s->routers[router].behind;
	const struct prefix all4 = { .ip = addr_v4(0) }, all6 = { .ip = addr_any6 };
	struct addr via6 = behind < 0 ? addr_any6 : topology_v6(s, behind, &s->routers[behind].lan).ip;
	add_way(w, &all4, ROUTER_WAN, behind < 0 ? NULL : &s->routers[behind].lan);
	if (s->ipv6)
		add_way(w, &all6, ROUTER_WAN, behind < 0 ? NULL : &via6);
}

/* On the internet everything is on link. */
static void put_foot(struct router_foot *f, const struct scenario *s, int network, const struct addr *own)
{
	f->v4 = *own;
	if (network >= 0)
		f->net4 = s->routers[network].lan_net;
	else
		f->net4.ip = addr_v4(0);
	if (!s->ipv6)
		return;
	f->net6 = topology_v6(s, network, own);
	f->v6 = f->net6.ip;
	if (network < 0)
		f->net6 = (struct prefix) { .bits = 0 };
}

static int add_neighbours(struct engine *e, int port, enum router_side side, int network, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	int err = 0;
	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].n_ifaces && !err; k++) {
			const struct scn_iface *f = &s->nodes[i].ifaces[k];
			struct mac m = kernel_mac(KERNEL_MAC_NODE, i, k);
			if (f->network == network && !f->off)
				err = switch_add_neighbour(e->box, port, side, &f->ip, &m, eb);
		}
	for (size_t i = 0; i < s->n_routers && !err; i++) {
		struct mac m = kernel_mac(KERNEL_MAC_WAN, i, 0);
		if (s->routers[i].behind == network)
			err = switch_add_neighbour(e->box, port, side, &s->routers[i].wan, &m, eb);
	}
	if (err || network < 0 || side == ROUTER_LAN)
		return err;
	struct mac m = kernel_mac(KERNEL_MAC_LAN, (size_t)network, 0);
	return switch_add_neighbour(e->box, port, side, &s->routers[network].lan, &m, eb);
}

static int open_feet(struct engine *e, int i, int fds[2], struct errbuf *eb)
{
	char port[KERNEL_NAME];
	kernel_port_name('r', i, 'w', port);
	if ((fds[0] = fabric_tap(e, port, e->s->routers[i].behind, eb)) < 0)
		return fds[0];
	kernel_port_name('r', i, 'l', port);
	if ((fds[1] = fabric_tap(e, port, i, eb)) >= 0)
		return 0;
	close(fds[0]);
	return fds[1];
}

static void find_ways(struct engine *e, int i, struct ways *w)
{
	const struct scenario *s = e->s;
	const struct scn_router *r = &s->routers[i];
	struct prefix lan6 = topology_v6(s, i, &r->lan), up = topology_net(s, r->behind);
	for (size_t k = 0; e->routed && k < r->routes.n; k++) /* before others of the same size */
		add_way(w, &r->routes.v[k].dst,
			prefix_contains(&r->lan_net, &r->routes.v[k].via) ? ROUTER_LAN : ROUTER_WAN,
			&r->routes.v[k].via);
	add_default(s, i, w);
	add_way(w, &r->lan_net, ROUTER_LAN, NULL);
	if (s->ipv6)
		add_way(w, &lan6, ROUTER_LAN, NULL);
	add_way(w, &up, ROUTER_WAN, NULL);
	if (r->behind >= 0 && s->ipv6) {
		struct prefix up6 = topology_v6(s, r->behind, &r->wan);
		add_way(w, &up6, ROUTER_WAN, NULL);
	}
	add_ways(e, i, ROUTER_WAN, w);
	add_ways(e, i, ROUTER_LAN, w);
}

/* Into the box, with the descriptors of its outer and inner side; lead: that it is another outer side of, or -1. */
static int add_router(
	struct engine *e, int i, const int fds[2], const struct mac *mac, int lead, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	const struct scn_router *r = &s->routers[i];
	struct ways *w = calloc(1, sizeof(*w));
	if (!w) {
		close(fds[0]);
		if (fds[1] >= 0)
			close(fds[1]);
		return err_set(eb, -ENOMEM, "build a router");
	}
	find_ways(e, i, w);
	const struct nat_config nat = { .model = &r->model, .wan = r->wan, .pool = r->pool };
	struct router_config c = { .name = r->name,
		.ways = w->v,
		.n_ways = w->n,
		.v6_firewall = r->nat,
		.nat64 = r->nat64,
		.nptv6 = r->nptv6,
		.nat = r->nat ? &nat : NULL };
	if (firewall_is_there(&r->firewall))
		c.firewall = &r->firewall;
	put_foot(&c.feet[ROUTER_WAN], s, r->behind, &r->wan);
	put_foot(&c.feet[ROUTER_LAN], s, i, &r->lan);
	c.feet[ROUTER_WAN].mac = *mac;
	c.feet[ROUTER_LAN].mac = kernel_mac(KERNEL_MAC_LAN, (size_t)i, 0);
	struct board_wire wan = wire_of(s, r->name, r->link, r->behind, &r->wan), *wire = NULL;
	set_far(e, &wan, r->region);
	if (kernel_has_wire(e, r->link, r->region))
		wire = &wan;
	int port = lead < 0 ? switch_add_router(e->box, &c, wire, fds, eb)
			    : switch_add_way_out(e->box, &c, wire, fds[0], lead, eb);
	free(w);
	int err = port < 0 ? port : add_neighbours(e, port, ROUTER_WAN, r->behind, eb);
	if (!err)
		err = add_neighbours(e, port, ROUTER_LAN, i, eb);
	return err ? err : port;
}

int kernel_user_router(struct engine *e, int i, struct errbuf *eb)
{
	const struct mac mac = kernel_mac(KERNEL_MAC_WAN, (size_t)i, 0);
	int fds[2];
	int err = open_feet(e, i, fds, eb);
	int port = err ? err : add_router(e, i, fds, &mac, -1, eb);
	if (port < 0)
		return port;
	e->router_ports[i] = port;
	return e->s->routers[i].balances ? kernel_balance_build(e, i, eb) : 0;
}

int kernel_user_way_out(struct engine *e, int i, size_t k, struct errbuf *eb)
{
	const struct mac mac = kernel_mac(KERNEL_MAC_WAN, (size_t)i, k + 1);
	char port[KERNEL_NAME];
	kernel_uplink_port(i, k, port);
	int fds[2] = { fabric_tap(e, port, e->s->routers[i].behind, eb), -1 };
	return fds[0] < 0 ? fds[0] : add_router(e, i, fds, &mac, e->router_ports[i], eb);
}

/* ---- while it runs ---- */

int kernel_user_start(struct engine *e, struct errbuf *eb)
{
	int err = e->box ? switch_start(e->box, eb) : 0;
	for (int i = 0; e->box && !err && i < (int)e->s->n_routers; i++)
		err = kernel_is_user(e, i) ? kernel_user_cut(e, i, eb) : 0;
	return err;
}

int kernel_user_move(struct engine *e, int router, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[router];
	int port = e->router_ports[router];
	struct router_foot wan = { 0 };
	struct ways *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(eb, -ENOMEM, "move a router");
	find_ways(e, router, w);
	put_foot(&wan, e->s, r->behind, &r->wan);
	int err = switch_move_router(e->box, port, &wan, w->v, w->n, eb);
	free(w);
	return err ? err : add_neighbours(e, port, ROUTER_WAN, r->behind, eb);
}

int kernel_user_reroute(struct engine *e, int router, struct errbuf *eb)
{
	struct ways *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(eb, -ENOMEM, "change the routes of a router");
	find_ways(e, router, w);
	int err = switch_set_ways(e->box, e->router_ports[router], w->v, w->n, eb);
	free(w);
	return err;
}

int kernel_user_cut(struct engine *e, int router, struct errbuf *eb)
{
	const char *why = NULL;
	int ports[SCN_IFACES_MAX], err = 0;
	for (size_t i = 0; i < e->n_cuts; i++)
		if (e->cuts[i].router == router && !e->cuts[i].link)
			why = e->cuts[i].permanent ? "UDP is blocked" : "UDP is cut";
	for (size_t n = kernel_user_ports(e, router, ports); n-- > 0 && !err;)
		err = switch_block_udp(e->box, ports[n], why, eb);
	return err;
}

size_t kernel_user_drops(struct engine *e, struct engine_drop *out, size_t cap)
{
	struct board_drop drops[32];
	size_t n = 0;
	while (e->box && n < cap) {
		size_t room = cap - n < ARRAY_LEN(drops) ? cap - n : ARRAY_LEN(drops);
		int got = switch_drops(e->box, drops, room);
		for (int i = 0; i < got; i++)
			out[n++] = (struct engine_drop) { .at_ns = drops[i].at_ns,
				.last_ns = drops[i].last_ns,
				.where = drops[i].where,
				.rule = drops[i].why,
				.src = drops[i].src,
				.dst = drops[i].dst,
				.proto = drops[i].proto,
				.count = drops[i].count };
		if (got < (int)room)
			break;
	}
	return n;
}
