/* The kernel takes the longest of all routes of the table. A network that lies in one around gets none, and
 * one around that lies in a network gets a `throw`, so that its packets go on to the machine's own table. Under
 * an exit that is so for private networks alone, and where it was asked for: a LAN that calls itself by
 * others' public addresses would draw their packets out of the tunnel. What never leaves a link stays on it. */
#include "mesh/node/host/net_plan.h"
#include <stdlib.h>

enum { LINK_MAX = 3 };

static bool lies_in(const struct prefix *in, const struct prefix *p)
{
	return in->bits <= p->bits && prefix_contains(in, &p->ip);
}

static bool is_around(const struct net_plan *p, const struct prefix *net)
{
	for (size_t i = 0; i < p->n_around; i++)
		if (lies_in(&p->around[i], net))
			return true;
	return false;
}

/* Packets to it would enter the mesh, and may not. */
static bool needs_throw(const struct net_plan *p, const struct prefix *around)
{
	for (size_t i = 0; i < p->n_nets; i++) {
		bool exit = !p->nets[i].bits;
		bool stays = exit ? p->keep_own && addr_is_private(&around->ip)
				  : !p->before_own && p->nets[i].bits < around->bits;
		if (stays && lies_in(&p->nets[i], around))
			return true;
	}
	return false;
}

static bool has_exit(const struct net_plan *p, bool v4)
{
	for (size_t i = 0; i < p->n_nets; i++)
		if (!p->nets[i].bits && addr_is_v4(&p->nets[i].ip) == v4)
			return true;
	return false;
}

static struct nl_route throw_to(const struct prefix *p)
{
	return (struct nl_route) { .kind = NL_ROUTE_THROW, .dst = *p };
}

/* Neighbours and routers of IPv6 are spoken to by link-local addresses; others of a LAN by multicast. */
static size_t add_links(const struct net_plan *p, struct nl_route *out)
{
	const struct prefix local6 = { { { 0xfe, 0x80 } }, 10 }, many = { addr_v4(0xe0000000), 4 },
			    all = { addr_v4(UINT32_MAX), 32 };
	size_t k = 0;
	if (has_exit(p, false))
		out[k++] = throw_to(&local6);
	if (has_exit(p, true) && p->keep_own) {
		out[k++] = throw_to(&many);
		out[k++] = throw_to(&all);
	}
	return k;
}

struct nl_route *net_plan_routes(const struct net_plan *p, size_t *n, struct prefix *left_out)
{
	struct nl_route *v = calloc(p->n_nets + p->n_around + LINK_MAX, sizeof(*v));
	size_t k = 0;
	*left_out = (struct prefix) { .bits = UINT8_MAX };
	for (size_t i = 0; v && i < p->n_nets; i++) {
		const struct prefix *net = &p->nets[i];
		const struct addr *src = addr_is_v4(&net->ip) ? &p->src4 : &p->src6;
		bool outside = net->bits && !p->before_own && is_around(p, net);
		if (outside && left_out->bits == UINT8_MAX)
			*left_out = *net;
		if (p->nowhere)
			v[k++] = (struct nl_route) { .kind = NL_ROUTE_NOWHERE, .dst = *net };
		else if (!outside && !addr_is_unspecified(src))
			v[k++] = (struct nl_route) { .dst = *net, .src = *src, .ifindex = p->ifindex };
	}
	for (size_t i = 0; v && i < p->n_around; i++)
		if (needs_throw(p, &p->around[i]))
			v[k++] = throw_to(&p->around[i]);
	if (v)
		k += add_links(p, v + k);
	*n = k;
	return v;
}
