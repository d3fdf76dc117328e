#include "simnet/scenario/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The network in the course of the steps: what the file says at first, changed by `move`, `lease`, `interface`
 * and `set`. */

struct scn_iface topology_iface(const struct scenario *s, size_t n_steps, struct scn_plug plug)
{
	const struct scn_router *r = plug.router >= 0 ? &s->routers[plug.router] : NULL;
	struct scn_iface f =
		r ? (struct scn_iface) { .name = "wan", .at = r->at, .network = r->behind, .ip = r->wan }
		  : s->nodes[plug.node].ifaces[plug.iface];

	for (size_t i = 0; i < n_steps; i++) {
		const struct scn_change *c = s->steps[i].change;
		if (!c || c->plug.node != plug.node || c->plug.router != plug.router)
			continue;
		if (c->plug.iface == plug.iface)
			f = c->want;
		else if (c->leaves == (int)plug.iface)
			f.off = true;
	}
	return f;
}

struct scn_iface topology_uplink(const struct scenario *s, size_t n_steps, int router, size_t uplink)
{
	struct scn_iface f = s->routers[router].uplinks[uplink];

	for (size_t i = 0; i < n_steps; i++) {
		const struct scn_change *c = s->steps[i].change;
		if (!c || !c->of_uplink || c->plug.router != router || c->uplink != uplink)
			continue;
		f.off = c->off;
		f.metric = c->metric;
	}
	return f;
}

int topology_uplink_in_use(const struct scenario *s, size_t n_steps, int router)
{
	uint32_t metric = UINT32_MAX;
	int best = -1;

	for (size_t k = 0; k < s->routers[router].n_uplinks; k++) {
		struct scn_iface f = topology_uplink(s, n_steps, router, k);
		if (f.off || f.metric >= metric)
			continue;
		metric = f.metric;
		best = (int)k;
	}
	return best;
}

int topology_in_use(const struct scenario *s, size_t n_steps, int node)
{
	int best = 0, least = 0; /* rank: off, up without a default route, with one */
	uint32_t metric = 0;

	for (size_t k = 0; k < s->nodes[node].n_ifaces; k++) {
		struct scn_iface f = topology_iface(s, n_steps, (struct scn_plug) { node, -1, k });
		int rank = f.off ? 0 : f.no_default ? 1 : 2;
		if (rank < least || (rank == least && (!rank || (metric && f.metric >= metric))))
			continue;
		least = rank;
		metric = f.metric;
		best = (int)k;
	}
	return best;
}

bool topology_has_v4(const struct scenario *s, int network)
{
	return network < 0 || s->routers[network].offers != OFFER_IPV6;
}

bool topology_has_v6(const struct scenario *s, int network)
{
	return s->ipv6 && (network < 0 || s->routers[network].offers != OFFER_IPV4);
}

int topology_nat64(const struct scenario *s, int network)
{
	while (network >= 0 && !s->routers[network].nat64.bits)
		network = s->routers[network].behind;
	return network;
}

static struct scn_iface iface_in_use(const struct scenario *s, size_t n_steps, int node)
{
	size_t k = (size_t)topology_in_use(s, n_steps, node);
	return topology_iface(s, n_steps, (struct scn_plug) { node, -1, k });
}

struct addr topology_ip6(const struct scenario *s, size_t n_steps, int node)
{
	struct scn_iface f = iface_in_use(s, n_steps, node);
	return topology_has_v6(s, f.network) ? topology_v6(s, f.network, &f.ip).ip : addr_any6;
}

struct addr topology_ip_at(const struct scenario *s, int network, const struct addr *v4)
{
	return topology_has_v4(s, network) ? *v4 : topology_v6(s, network, v4).ip;
}

struct addr topology_ip(const struct scenario *s, size_t n_steps, int node)
{
	struct scn_iface f = iface_in_use(s, n_steps, node);
	return topology_ip_at(s, f.network, &f.ip);
}

static bool is_at(const struct scenario *s, int network, const struct addr *has, const struct addr *ip)
{
	struct prefix v6 = topology_v6(s, network, has);
	return addr_equal(has, ip) || addr_equal(&v6.ip, ip);
}

bool topology_has_ip(const struct scenario *s, int node, const struct addr *ip)
{
	const struct scn_node *n = &s->nodes[node];

	for (size_t k = 0; k < n->n_ifaces; k++)
		if (is_at(s, n->ifaces[k].network, &n->ifaces[k].ip, ip))
			return true;
	for (size_t i = 0; i < s->n_steps; i++) {
		const struct scn_change *c = s->steps[i].change;
		if (c && c->plug.node == node && is_at(s, c->want.network, &c->want.ip, ip))
			return true;
	}
	return false;
}

const struct link_model *topology_link(const struct scenario *s, size_t n_steps, int node, int router)
{
	const char *name = node >= 0 ? s->nodes[node].name : s->routers[router].name;
	const struct link_model *link = node >= 0 ? s->nodes[node].link : s->routers[router].link;

	for (size_t i = 0; i < n_steps; i++) {
		const struct scn_step *st = &s->steps[i];
		const struct scn_change *c = st->change;
		if (st->kind == STEP_SET && st->link && !strcmp(st->target, name))
			link = st->link;
		if (node < 0 && c && c->of_uplink && c->plug.router == router && !c->idle)
			link = s->routers[router].uplinks[c->used].link;
	}
	return link;
}

struct nat_model topology_nat(const struct scenario *s, size_t n_steps, int router)
{
	struct nat_model m = s->routers[router].model;

	for (size_t i = 0; i < n_steps; i++)
		if (s->steps[i].nat && scenario_find_router(s, s->steps[i].target) == router)
			nat_model_replace(&m, s->steps[i].nat);
	return m;
}

struct nptv6 topology_prefix(const struct scenario *s, size_t n_steps, int router)
{
	struct nptv6 n = s->routers[router].nptv6;

	for (size_t i = 0; i < n_steps; i++)
		if (s->steps[i].nptv6 && scenario_find_router(s, s->steps[i].target) == router)
			n = *s->steps[i].nptv6;
	return n;
}

struct scn_firewall topology_firewall(const struct scenario *s, size_t n_steps, int node, int router)
{
	struct scn_firewall f = node >= 0 ? s->nodes[node].firewall : s->routers[router].firewall;

	for (size_t i = 0; i < n_steps; i++) {
		const struct scn_step *st = &s->steps[i];
		if (st->firewall && (node >= 0 ? scenario_find_node(s, st->target) == node
					       : scenario_find_router(s, st->target) == router))
			f = *st->firewall;
	}
	return f;
}

struct scn_routes topology_routes(const struct scenario *s, size_t n_steps, int router)
{
	struct scn_routes r = s->routers[router].routes;

	for (size_t i = 0; i < n_steps; i++)
		if (s->steps[i].routes && scenario_find_router(s, s->steps[i].target) == router)
			r = *s->steps[i].routes;
	return r;
}

static void *copy_of(const void *p, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);
	return copy && n ? memcpy(copy, p, n * size) : copy;
}

int topology_after(const struct scenario *s, size_t n_steps, struct scenario *out)
{
	*out = *s;
	out->routers = copy_of(s->routers, s->n_routers, sizeof(*s->routers));
	out->nodes = copy_of(s->nodes, s->n_nodes, sizeof(*s->nodes));
	if (!out->routers || !out->nodes) {
		topology_after_free(out);
		return -ENOMEM;
	}
	for (int i = 0; i < (int)s->n_routers; i++) {
		struct scn_iface f = topology_iface(s, n_steps, (struct scn_plug) { -1, i, 0 });
		out->routers[i].behind = f.network;
		out->routers[i].wan = f.ip;
		out->routers[i].model = topology_nat(s, n_steps, i);
		out->routers[i].nptv6 = topology_prefix(s, n_steps, i);
		out->routers[i].firewall = topology_firewall(s, n_steps, -1, i);
		out->routers[i].routes = topology_routes(s, n_steps, i);
	}
	for (int i = 0; i < (int)s->n_nodes; i++) {
		struct scn_node *n = &out->nodes[i];
		n->firewall = topology_firewall(s, n_steps, i, -1);
		for (size_t k = 0; k < n->n_ifaces; k++)
			n->ifaces[k] = topology_iface(s, n_steps, (struct scn_plug) { i, -1, k });
		if (!n->n_ifaces)
			continue;
		const struct scn_iface *f = &n->ifaces[topology_in_use(s, n_steps, i)];
		n->router = f->network;
		n->ip = f->ip;
	}
	return 0;
}

void topology_after_free(struct scenario *s)
{
	free(s->routers);
	free(s->nodes);
	*s = (struct scenario) { 0 };
}
