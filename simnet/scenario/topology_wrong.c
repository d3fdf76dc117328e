#include "simnet/scenario/scenario.h"

/* What redirects and routes may not say, in a file or in a step that comes later. */

/* What is redirected must pass the router, and come back through it, whatever translates on the way. */
static bool is_inside(const struct scenario *s, int network, int router)
{
	return network == router || topology_way_down(s, router, network, true) >= 0;
}

const char *topology_redirect(const struct scenario *s, int router, struct scn_firewall *f, size_t *wrong)
{
	for (*wrong = 0; *wrong < f->n_out; (*wrong)++) {
		struct firewall_rule *r = &f->out[*wrong];
		int node = r->into ? scenario_find_node(s, r->into) : -1;
		if (r->verdict != FIREWALL_REDIRECT)
			continue;
		if (router < 0)
			return "only a router redirects";
		if (node < 0)
			return "no host is called so";
		if (is_inside(s, s->nodes[node].router, router))
			return "that host is inside of the router, which does not see what it answers";
		r->into_at.ip = s->nodes[node].ip;
	}
	return NULL;
}

static const char *route_wrong(const struct scenario *s, const struct scn_iface *f,
	const struct scn_router *router, const struct scn_route *r)
{
	struct prefix outer = topology_net(s, f->network);
	bool outside = f->network < 0 || prefix_contains(&outer, &r->via);

	if (!router)
		return outside || addr_is_unspecified(&r->via)
			       ? NULL
			       : "a route leads by somebody of the network that its interface is on";
	if (addr_is_unspecified(&r->via))
		return "a route of a router says by whom, as '10.0.0.0/8 via 192.168.1.7'";
	if (addr_equal(&r->via, &router->lan) || addr_equal(&r->via, &f->ip))
		return "a route of a router leads by somebody else";
	if (prefix_equal(&r->dst, &router->lan_net) || (f->network >= 0 && prefix_equal(&r->dst, &outer)))
		return "a router is on that network itself";
	return outside || prefix_contains(&router->lan_net, &r->via)
		       ? NULL
		       : "a route of a router leads by somebody of its inner or outer network";
}

const char *topology_routes_wrong(const struct scenario *s, size_t n_steps, struct scn_plug plug,
	const struct scn_routes *r, size_t *wrong)
{
	const struct scn_router *router = plug.router >= 0 ? &s->routers[plug.router] : NULL;
	const struct scn_iface f = topology_iface(s, n_steps, plug);
	const char *why = NULL;

	for (*wrong = 0; *wrong < r->n && !why; *wrong += !why)
		why = route_wrong(s, &f, router, &r->v[*wrong]);
	return why;
}
