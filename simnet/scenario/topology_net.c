#include "simnet/scenario/scenario.h"

#include <string.h>

/* Networks of a planned topology: their addresses, as others see them, and who leads to them. */

struct prefix topology_net(const struct scenario *s, int network)
{
	return network < 0 ? (struct prefix) { .ip = addr_v4(0xcb007100), .bits = 24 }
			   : s->routers[network].lan_net;
}

int topology_nptv6(const struct scenario *s, int network)
{
	while (network >= 0 && !nptv6_is_there(&s->routers[network].nptv6))
		network = s->routers[network].behind;
	return network;
}

struct prefix topology_v6(const struct scenario *s, int network, const struct addr *v4)
{
	struct prefix p = { .ip = { { 0x2a, 0x0e, 0x51, 0x00 } }, .bits = 64 };
	unsigned id = (unsigned)(network + 1);
	int exchanges = topology_nptv6(s, network);
	if (exchanges >= 0)
		p.ip = s->routers[exchanges].nptv6.inside;
	p.ip.b[6] = (uint8_t)(id >> 8);
	p.ip.b[7] = (uint8_t)id;
	memcpy(p.ip.b + 12, v4->b + 12, 4);
	return p;
}

struct prefix topology_v6_from(const struct scenario *s, int from, int network, const struct addr *v4)
{
	struct prefix p = topology_v6(s, network, v4);
	int exchanges = topology_nptv6(s, network);
	if (exchanges >= 0 && exchanges != topology_nptv6(s, from))
		p.ip = nptv6_out(&s->routers[exchanges].nptv6, &p.ip);
	return p;
}

int topology_way_down(const struct scenario *s, int network, int lan, bool v6)
{
	for (int i = lan; i >= 0; i = s->routers[i].behind) {
		if (!v6 && s->routers[i].nat)
			return -1;
		if (s->routers[i].behind == network)
			return i;
	}
	return -1;
}

int topology_meets(const struct scenario *s, int router, int network)
{
	int n = (int)s->n_routers;

	for (int out = 0; out < n; out++) {
		int via = topology_way_down(s, network, out, false);
		if (via < 0 || via == router)
			continue;
		for (int in = 0; in < n; in++)
			if ((in == router || topology_way_down(s, router, in, false) >= 0) &&
				prefix_equal(&s->routers[in].lan_net, &s->routers[out].lan_net))
				return out;
	}
	return -1;
}

struct addr topology_pool(const struct scn_router *r, uint32_t k)
{
	return k ? r->pool[k] : r->wan;
}
