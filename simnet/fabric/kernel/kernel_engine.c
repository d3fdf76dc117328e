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
	trace_close(e->trace);
	nl_close(e->fabric_nl);
	netns_close(&e->fabric);
	for (size_t i = 0; i < e->n_cuts; i++)
		free(e->cuts[i].target);
	free(e->cuts);
	free(e->measured);
	free(e->epochs);
	free(e->bridges);
	free(e);
}

static struct engine *engine_new(const struct scenario *s, struct hosts *hosts)
{
	struct engine *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->s = s;
	e->hosts = hosts;
	e->fabric = netns_none;
	e->bridges = calloc(s->n_routers + 1, sizeof(*e->bridges));
	e->epochs = calloc(s->n_routers + 1, sizeof(*e->epochs));
	e->measured = calloc(s->n_routers + 1, sizeof(*e->measured));
	e->trace = trace_open();
	if (e->bridges && e->epochs && e->measured && e->trace)
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
	struct capture_link *links = calloc(s->n_nodes + 2 * s->n_routers + 1, sizeof(*links));
	if (!links)
		return err_set(eb, -ENOMEM, "capture the links");
	for (int i = 0; i < (int)s->n_nodes; i++) {
		kernel_port_name('n', i, 0, port);
		add_link(e, &links[n++], port, s->nodes[i].name);
	}
	for (int i = 0; i < 2 * (int)s->n_routers; i++) {
		kernel_port_name('r', i / 2, i % 2 ? 'l' : 'w', port);
		snprintf(name, sizeof(name), "%s.%s", s->routers[i / 2].name, i % 2 ? "lan" : "wan");
		add_link(e, &links[n++], port, name);
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
	if (!dot || (strcmp(dot, ".udp") != 0 && strcmp(dot, ".link") != 0))
		return err_say(eb, ERR_REFUSED, "cannot cut '%s': say NAME.udp or NAME.link", target);
	size_t len = (size_t)(dot - target);
	out->link = !strcmp(dot, ".link");
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
		int loaded = kernel_nat_finish(e, 0, n, jobs, err ? &later : eb);
		err = err ? err : loaded;
	}
	free(jobs);
	return err;
}

static int engine_open(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb)
{
	struct engine *e = engine_new(s, hosts);
	if (!e)
		return err_set(eb, -ENOMEM, "open the kernel engine");
	int err = remember_blocked(e, eb);
	if (!err)
		err = build(e, eb);
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
	e->epochs[router]++;
	struct kernel_nft job;
	struct errbuf later = { 0 };
	int err = kernel_nat_start(e, router, router + 1, &job, eb);
	int loaded = kernel_nat_finish(e, router, router + 1, &job, err ? &later : eb);
	return err ? err : loaded;
}

static size_t engine_drops(struct engine *e, struct engine_drop *out, size_t cap)
{
	return trace_read(e->trace, out, cap);
}

static int engine_write_pcaps(struct engine *e, const char *dir, struct errbuf *eb)
{
	return capture_write(e->capture, dir, eb);
}

const struct engine_ops engine_kernel = {
	.name = "kernel",
	.open = engine_open,
	.self_test = kernel_self_test,
	.cut = engine_cut,
	.heal = engine_heal,
	.reset = engine_reset,
	.drops = engine_drops,
	.write_pcaps = engine_write_pcaps,
	.close = engine_close,
};
