#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct netns *kernel_router_net(const struct engine *e, size_t router)
{
	return hosts_net(e->hosts, hosts_place_of_router(e->hosts, (int)router));
}

/* ---- open and close ---- */

static void engine_close(struct engine *e)
{
	if (!e)
		return;
	capture_close(e->capture);
	kernel_portmap_close(e);
	switch_close(e->box);
	trace_close(e->trace);
	nl_close(e->fabric_nl);
	netns_close(&e->fabric);
	for (size_t i = 0; i < e->n_cuts; i++)
		free(e->cuts[i].target);
	free(e->cuts);
	kernel_user_fini(e);
	free(e->user_routers);
	free(e->router_ports);
	free(e->uplink_ports);
	free(e->node_ports);
	free(e->measured);
	free(e->epochs);
	free(e->bridges);
	if (e->changed)
		topology_after_free(&e->now);
	free(e);
}

static struct engine *engine_new(const struct scenario *s, struct hosts *hosts, enum engine_choice choice)
{
	struct engine *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->s = s;
	e->hosts = hosts;
	e->choice = choice;
	e->fabric = netns_none;
	e->bridges = calloc(s->n_routers + 1, sizeof(*e->bridges));
	e->epochs = calloc(s->n_routers + 1, sizeof(*e->epochs));
	e->measured = calloc(s->n_routers + 1, sizeof(*e->measured));
	e->user_routers = calloc(s->n_routers + 1, sizeof(*e->user_routers));
	e->router_ports = calloc(s->n_routers + 1, sizeof(*e->router_ports));
	e->node_ports = calloc(s->n_nodes * SCN_IFACES_MAX + 1, sizeof(*e->node_ports));
	e->trace = trace_open();
	for (size_t i = 0; e->router_ports && i < s->n_routers; i++)
		e->router_ports[i] = -1;
	for (size_t i = 0; e->node_ports && i < s->n_nodes * SCN_IFACES_MAX; i++)
		e->node_ports[i] = -1;
	if (e->bridges && e->epochs && e->measured && e->trace && e->user_routers && e->router_ports &&
		e->node_ports)
		return e;
	engine_close(e);
	return NULL;
}

static int watch_drops(struct engine *e, struct errbuf *eb)
{
	int err = netns_enter(&e->fabric, eb);
	if (!err)
		err = trace_watch(e->trace, KERNEL_LOG_GROUP, eb);
	for (size_t i = 0; !err && i < e->s->n_routers; i++) {
		err = netns_enter(kernel_router_net(e, i), eb);
		if (!err)
			err = trace_watch(e->trace, KERNEL_LOG_GROUP, eb);
	}
	for (int i = 0; !err && i < (int)e->s->n_nodes; i++) {
		if (!firewall_is_there(&e->s->nodes[i].firewall))
			continue;
		err = netns_enter(hosts_net(e->hosts, i), eb);
		if (!err)
			err = trace_watch(e->trace, KERNEL_LOG_GROUP, eb);
	}
	netns_return(hosts_home(e->hosts));
	return err;
}

static void add_link(const struct engine *e, struct capture_link *l, const char *port, const char *name)
{
	l->ifindex = nl_link_index(e->fabric_nl, port);
	snprintf(l->name, sizeof(l->name), "%s", name);
}

static int start_capture(struct engine *e, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	char port[KERNEL_NAME], name[64];
	size_t n = 0;
	struct capture_link *links =
		calloc(s->n_nodes * SCN_IFACES_MAX + (2 + SCN_IFACES_MAX) * s->n_routers + 1, sizeof(*links));
	if (!links)
		return err_set(eb, -ENOMEM, "capture the links");
	for (int i = 0; i < (int)s->n_nodes; i++) {
		for (size_t k = 0; k < s->nodes[i].n_ifaces; k++) {
			kernel_node_port(i, k, port);
			snprintf(name, sizeof(name), "%s%s%s", s->nodes[i].name, k ? "." : "",
				k ? s->nodes[i].ifaces[k].name : "");
			add_link(e, &links[n++], port, name);
		}
	}
	for (int i = 0; i < 2 * (int)s->n_routers; i++) {
		kernel_port_name('r', i / 2, i % 2 ? 'l' : 'w', port);
		snprintf(name, sizeof(name), "%s.%s", s->routers[i / 2].name, i % 2 ? "lan" : "wan");
		add_link(e, &links[n++], port, name);
	}
	for (int i = 0; i < (int)s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		for (size_t k = 0; r->balances && k < r->n_uplinks; k++) {
			kernel_uplink_port(i, k, port);
			snprintf(name, sizeof(name), "%s.%s", r->name, r->uplinks[k].name);
			if (k != r->uplink)
				add_link(e, &links[n++], port, name);
		}
	}
	int err = netns_enter(&e->fabric, eb);
	if (!err)
		err = capture_open(links, n, &e->capture, eb);
	netns_return(hosts_home(e->hosts));
	free(links);
	return err;
}

/* ---- cuts ---- */

static int load_cuts(struct engine *e, int router, struct errbuf *eb)
{
	struct buf text = { 0 };
	struct kernel_nft job;
	if (router >= 0 && kernel_is_user(e, router))
		return kernel_user_cut(e, router, eb);
	const struct netns *ns = router < 0 ? &e->fabric : kernel_router_net(e, router);
	int err = kernel_cut_rules(e, router, &text) ? 0 : err_set(eb, -ENOMEM, "write the rules of a cut");
	if (!err)
		err = netns_enter(ns, eb);
	if (!err && !(err = kernel_nft_start(&job, &text, eb)))
		err = kernel_nft_finish(&job, "a cut", eb);
	netns_return(hosts_home(e->hosts));
	buf_free(&text);
	return err;
}

static int find_target(
	const struct scenario *s, const char *target, struct kernel_cut *out, struct errbuf *eb)
{
	const char *dot = strrchr(target, '.');
	*out = (struct kernel_cut) { .node = -1, .router = -1 };
	if (!dot || (strcmp(dot, ".udp") != 0 && strcmp(dot, ".link") != 0 && strcmp(dot, ".carrier") != 0))
		return err_say(
			eb, ERR_REFUSED, "cannot cut '%s': say NAME.udp, NAME.link or NAME.carrier", target);
	size_t len = (size_t)(dot - target);
	out->link = !strcmp(dot, ".link");
	out->carrier = !strcmp(dot, ".carrier");
	for (size_t i = 0; i < s->n_nodes; i++)
		if (strlen(s->nodes[i].name) == len && !strncmp(s->nodes[i].name, target, len))
			out->node = (int)i;
	for (size_t i = 0; out->node < 0 && i < s->n_routers; i++)
		if (strlen(s->routers[i].name) == len && !strncmp(s->routers[i].name, target, len))
			out->router = (int)i;
	if (out->node < 0 && out->router < 0)
		return err_say(eb, ERR_REFUSED, "cannot cut '%s': no node or router is called '%.*s'", target,
			(int)len, target);
	return 0;
}

static int loaded_at(const struct kernel_cut *c)
{
	return c->node < 0 && !c->link ? c->router : -1;
}

static int remember_cut(struct engine *e, const char *target, const struct kernel_cut *cut, struct errbuf *eb)
{
	struct kernel_cut *more = reallocarray(e->cuts, e->n_cuts + 1, sizeof(*more));
	if (more)
		e->cuts = more;
	char *copy = more ? strdup(target) : NULL;
	if (!copy)
		return err_set(eb, -ENOMEM, "cut %s", target);
	e->cuts[e->n_cuts] = *cut;
	e->cuts[e->n_cuts++].target = copy;
	return 0;
}

static int engine_cut(struct engine *e, const char *target, struct errbuf *eb)
{
	struct kernel_cut cut;
	int err = find_target(e->s, target, &cut, eb);
	if (!err && cut.carrier)
		return kernel_carrier(e, &cut, false, eb);
	for (size_t i = 0; !err && i < e->n_cuts; i++)
		if (!strcmp(e->cuts[i].target, target))
			return 0;
	if (!err)
		err = remember_cut(e, target, &cut, eb);
	return err ? err : load_cuts(e, loaded_at(&cut), eb);
}

static int engine_heal(struct engine *e, const char *target, struct errbuf *eb)
{
	struct kernel_cut cut;
	int err = find_target(e->s, target, &cut, eb);
	if (err)
		return err;
	if (cut.carrier)
		return kernel_carrier(e, &cut, true, eb);
	for (size_t i = 0; i < e->n_cuts; i++) {
		if (strcmp(e->cuts[i].target, target) != 0)
			continue;
		free(e->cuts[i].target);
		memmove(&e->cuts[i], &e->cuts[i + 1], (--e->n_cuts - i) * sizeof(*e->cuts));
		return load_cuts(e, loaded_at(&cut), eb);
	}
	return 0;
}

/* What the file blocks from the beginning is a cut like any other, so a `heal` step may lift it. */
static int remember_blocked(struct engine *e, struct errbuf *eb)
{
	const struct scenario *s = e->s;
	char target[128];
	int err = 0;
	for (int i = 0; !err && i < (int)s->n_nodes; i++) {
		if (!s->nodes[i].udp_blocked)
			continue;
		snprintf(target, sizeof(target), "%s.udp", s->nodes[i].name);
		err = remember_cut(
			e, target, &(struct kernel_cut) { .node = i, .router = -1, .permanent = true }, eb);
	}
	for (int i = 0; !err && i < (int)s->n_routers; i++) {
		if (!s->routers[i].udp_blocked)
			continue;
		snprintf(target, sizeof(target), "%s.udp", s->routers[i].name);
		err = remember_cut(
			e, target, &(struct kernel_cut) { .node = -1, .router = i, .permanent = true }, eb);
	}
	return err;
}

/* nft takes as long to start as all nodes to build: both at once. */
static int build(struct engine *e, struct errbuf *eb)
{
	int n = (int)e->s->n_routers;
	struct errbuf later = { 0 };
	struct kernel_nft *jobs = calloc((size_t)n + 1, sizeof(*jobs));
	if (!jobs)
		return err_set(eb, -ENOMEM, "load the routers' rules");
	int err = kernel_net_routers(e, eb);
	if (!err) {
		err = kernel_nat_start(e, 0, n, jobs, eb);
		if (!err)
			err = kernel_net_nodes(e, eb);
		if (!err)
			err = kernel_user_start(e, eb);
		int loaded = kernel_nat_finish(e, 0, n, jobs, err ? &later : eb);
		err = err ? err : loaded;
	}
	free(jobs);
	return err;
}

static int open_as(enum engine_choice choice, const struct scenario *s, struct hosts *hosts,
	struct engine **out, struct errbuf *eb)
{
	struct engine *e = engine_new(s, hosts, choice);
	if (!e)
		return err_set(eb, -ENOMEM, "open the engine");
	int err = kernel_portmap_open(e, eb);
	if (!err)
		err = kernel_balance_open(e, eb);
	if (!err)
		err = kernel_user_choose(e, eb);
	if (!err)
		err = remember_blocked(e, eb);
	if (!err)
		err = build(e, eb);
	if (!err)
		err = kernel_portmap_start(e, eb);
	if (!err)
		err = watch_drops(e, eb);
	if (!err && e->n_cuts)
		err = load_cuts(e, -1, eb);
	if (!err)
		err = start_capture(e, eb);
	if (err)
		engine_close(e);
	else
		*out = e;
	return err;
}

/* ---- the rest ---- */

static int engine_reset(struct engine *e, int router, struct errbuf *eb)
{
	if (!e->s->routers[router].nat)
		return err_say(eb, ERR_REFUSED, "router '%s' does not translate: there is nothing to reset",
			e->s->routers[router].name);
	int ports[SCN_IFACES_MAX], err = kernel_is_user(e, router) ? 0 : kernel_nat_reload(e, router, eb);
	for (size_t n = kernel_is_user(e, router) ? kernel_user_ports(e, router, ports) : 0; n-- > 0 && !err;)
		err = switch_reset(e->box, ports[n], eb);
	return err ? err : kernel_portmap_again(e, router, eb);
}

/* The router's is the whole model of now. */
static int nat_changed(struct engine *e, int router, struct errbuf *eb)
{
	const struct nat_model *m = &e->s->routers[router].model;

	if (kernel_is_user(e, router)) {
		int ports[SCN_IFACES_MAX], changed = 0;
		for (size_t n = kernel_user_ports(e, router, ports); n-- > 0 && !changed;)
			changed = switch_set_nat(e->box, ports[n], m, eb);
		return changed ? changed : kernel_portmap_again(e, router, eb);
	}
	int err = netns_enter(kernel_router_net(e, (size_t)router), eb);
	if (!err)
		err = kernel_nat_settings(m, eb);
	netns_return(hosts_home(e->hosts));
	return err ? err : engine_reset(e, router, eb);
}

static int engine_set_nat(struct engine *e, int router, const struct nat_model *m, struct errbuf *eb)
{
	const struct scn_router *r = &e->s->routers[router];
	const char *why = NULL;

	if (!r->nat)
		return err_say(eb, ERR_REFUSED, "router '%s' does not translate", r->name);
	if (!kernel_is_user(e, router) && !kernel_can(m, &why))
		return err_say(eb, ERR_REFUSED,
			"router '%s' is in the kernel, and such a NAT needs the userspace engine ('--engine "
			"user'): %s",
			r->name, why);
	int err = kernel_own_scenario(e, eb);
	if (err)
		return err;
	nat_model_replace(&e->now.routers[router].model, m);
	return nat_changed(e, router, eb);
}

static size_t engine_drops(struct engine *e, struct engine_drop *out, size_t cap)
{
	size_t n = trace_read(e->trace, out, cap);
	return n + kernel_user_drops(e, out + n, cap - n);
}

static int engine_write_pcaps(struct engine *e, const char *dir, struct errbuf *eb)
{
	return capture_write(e->capture, dir, eb);
}

static size_t engine_glimpses(struct engine *e, struct capture_glimpse *out, size_t cap)
{
	return capture_glimpses(e->capture, out, cap);
}

static int engine_write_decisions(struct engine *e, const char *dir, struct errbuf *eb)
{
	return e->box ? switch_write_log(e->box, dir, eb) : 0;
}

static int engine_set_link(
	struct engine *e, const char *target, const struct link_model *m, struct errbuf *eb)
{
	int node = scenario_find_node(e->s, target), router = scenario_find_router(e->s, target);
	const int *ports = node >= 0	 ? &e->node_ports[node * SCN_IFACES_MAX]
			   : router >= 0 ? &e->router_ports[router]
					 : NULL;
	int err = 0, n = node >= 0 ? SCN_IFACES_MAX : 1;
	if (!ports)
		return err_say(eb, ERR_REFUSED,
			"cannot change the link of '%s': no node or router is called so", target);
	if (ports[0] < 0)
		return err_say(eb, ERR_REFUSED,
			"cannot change the link of '%s': the file gives it none, so it is a plain wire",
			target);
	for (int k = 0; k < n && !err; k++)
		if (ports[k] >= 0)
			err = switch_set_link(e->box, ports[k], m, eb);
	return err;
}

/* Whose drops nobody has watched until now is watched from here. */
static int watch_host(struct engine *e, int node, struct errbuf *eb)
{
	struct scn_firewall *now = &e->now.nodes[node].firewall;
	if (firewall_is_there(now))
		return 0;
	int err = netns_enter(hosts_net(e->hosts, node), eb);
	if (!err)
		err = trace_watch(e->trace, KERNEL_LOG_GROUP, eb);
	netns_return(hosts_home(e->hosts));
	now->changes |= !err;
	return err;
}

static int engine_set_firewall(
	struct engine *e, const char *target, const struct scn_firewall *f, struct errbuf *eb)
{
	int node = scenario_find_node(e->s, target), router = scenario_find_router(e->s, target);
	struct scn_firewall tracked = *f;

	if (node < 0 && router < 0)
		return err_say(eb, ERR_REFUSED,
			"cannot change the firewall of '%s': no node or router is called so", target);
	if (router >= 0 && kernel_is_user(e, router) && !firewall_is_there(&e->s->routers[router].firewall))
		return err_say(eb, ERR_REFUSED,
			"router '%s' is in userspace, and the file gives it no firewall that could change",
			target);
	if (router >= 0 && kernel_is_user(e, router)) {
		int ports[SCN_IFACES_MAX], changed = 0;
		for (size_t n = kernel_user_ports(e, router, ports); n-- > 0 && !changed;)
			changed = switch_set_firewall(e->box, ports[n], f, eb);
		return changed;
	}
	int err = kernel_own_scenario(e, eb);
	if (!err && node >= 0)
		err = watch_host(e, node, eb);
	tracked.changes = true;
	return err ? err
		   : kernel_firewall_load(
			     e, node >= 0 ? (size_t)node : e->s->n_nodes + (size_t)router, &tracked, eb);
}

static int test_prefix(struct engine *e, int router, const struct nptv6 *to, struct errbuf *eb)
{
	const struct nptv6 first = e->s->routers[router].nptv6;
	int err = kernel_set_nptv6(e, router, to, eb);

	if (!err)
		err = kernel_self_test(e, eb);
	return err ? err : kernel_set_nptv6(e, router, &first, eb);
}

/* What a step makes of a router is proven before the programs start, like what it is at first. */
static int test_steps(struct engine *e, struct errbuf *eb)
{
	const struct scn_step *steps = e->s->steps;
	size_t n = e->s->n_steps;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		int router =
			steps[i].nat || steps[i].nptv6 ? scenario_find_router(e->s, steps[i].target) : -1;
		if (router < 0)
			continue;
		if (steps[i].nptv6) {
			err = test_prefix(e, router, steps[i].nptv6, eb);
			continue;
		}
		const struct nat_model first = e->s->routers[router].model;
		err = engine_set_nat(e, router, steps[i].nat, eb);
		if (!err)
			err = kernel_self_test(e, eb);
		if (!err)
			err = engine_set_nat(e, router, &first, eb);
	}
	return err;
}

/* A router is proven by each of its ways out, the one that is in use at first last. */
static int test_uplinks(struct engine *e, struct errbuf *eb)
{
	int err = 0;

	for (int i = 0; i < (int)e->s->n_routers && !err; i++) {
		const struct scn_plug outer = { -1, i, 0 };
		const struct scn_iface first = topology_iface(e->s, 0, outer);
		size_t n = e->s->routers[i].n_uplinks, used = e->s->routers[i].uplink;
		for (size_t k = 0; e->s->routers[i].balances && k < n && !err; k++) {
			err = k == used ? 0 : kernel_balance_narrow(e, i, k, eb);
			if (!err && k != used)
				err = kernel_self_test(e, eb);
		}
		if (!err && e->s->routers[i].balances) {
			err = kernel_balance_narrow(e, -1, 0, eb);
			continue;
		}
		for (size_t k = 0; k < n && !err; k++) {
			struct scn_iface f = first;
			f.network = e->s->routers[i].uplinks[k].network;
			f.ip = e->s->routers[i].uplinks[k].ip;
			err = k == used ? 0 : kernel_plug(e, outer, &f, eb);
			if (!err && k != used)
				err = kernel_self_test(e, eb);
		}
		if (!err && n > 1)
			err = kernel_plug(e, outer, &first, eb);
	}
	return err;
}

/* What is measured are routers, not the links before them, nor the firewalls and their own routes, which hold from then on.
 */
static int engine_self_test(struct engine *e, struct errbuf *eb)
{
	int err = e->box ? switch_bypass(e->box, true, eb) : 0;
	if (!err)
		err = kernel_firewalls_lift(e, eb);
	if (!err)
		err = kernel_balance_narrow(e, -1, 0, eb);
	if (!err)
		err = test_uplinks(e, eb);
	if (!err)
		err = kernel_self_test(e, eb);
	if (!err)
		err = test_steps(e, eb);
	if (!err && e->box)
		err = switch_bypass(e->box, false, eb);
	if (!err)
		err = kernel_balance_begin(e, eb);
	if (!err)
		err = kernel_routes_begin(e, eb);
	return err ? err : kernel_firewalls_load(e, eb);
}

static int engine_table(struct engine *e, int router, struct buf *out, struct errbuf *eb)
{
	int ports[SCN_IFACES_MAX], err = kernel_is_user(e, router) ? 0 : kernel_table(e, router, out, eb);
	size_t n = kernel_is_user(e, router) ? kernel_user_ports(e, router, ports) : 0;
	for (size_t i = 0; i < n && !err; i++)
		err = switch_table(e->box, ports[i], out, eb);
	return err;
}

static int open_auto(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb)
{
	return open_as(ENGINE_AUTO, s, hosts, out, eb);
}

static int open_kernel(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb)
{
	return open_as(ENGINE_KERNEL, s, hosts, out, eb);
}

static int open_user(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb)
{
	return open_as(ENGINE_USER, s, hosts, out, eb);
}

#define THE_REST \
	.self_test = engine_self_test, .cut = engine_cut, .heal = engine_heal, .reset = engine_reset, \
	.set_link = engine_set_link, .set_nat = engine_set_nat, .set_firewall = engine_set_firewall, \
	.set_nptv6 = kernel_set_nptv6, .set_routes = kernel_set_routes, .drops = engine_drops, \
	.write_pcaps = engine_write_pcaps, .table = engine_table, .glimpses = engine_glimpses, \
	.plug = kernel_plug, .write_decisions = engine_write_decisions, .close = engine_close
const struct engine_ops engine_auto = { .name = "auto", .open = open_auto, THE_REST };
const struct engine_ops engine_kernel = { .name = "kernel", .open = open_kernel, THE_REST };
const struct engine_ops engine_user = { .name = "user", .open = open_user, THE_REST };
