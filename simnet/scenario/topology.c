#include "simnet/scenario/scenario.h"

#include <string.h>

enum { HOSTS_FIRST = 10, ROUTERS_FIRST = 100, HOSTS_LAST = 250, LANS_MAX = 150 };

static struct prefix net24(unsigned a, unsigned b, unsigned c)
{
	return (struct prefix) { .ip = addr_v4(a << 24 | b << 16 | c << 8), .bits = 24 };
}

static struct addr host_of(const struct prefix *net, uint32_t n)
{
	return addr_v4(addr_v4_get(&net->ip) + n);
}

static bool has_children(const struct scenario *s, size_t router)
{
	for (size_t i = 0; i < s->n_routers; i++)
		if (s->routers[i].behind == (int)router)
			return true;
	return false;
}

static bool behind_nat(const struct scenario *s, int router)
{
	for (; router >= 0; router = s->routers[router].behind)
		if (s->routers[router].nat)
			return true;
	return false;
}

/* A home looks like a home, a carrier like a carrier, and what nobody translates looks public. The mesh's own
 * 100.64/10 is kept out of the underlay. */
static struct prefix lan_of(const struct scenario *s, size_t i)
{
	unsigned n = (unsigned)i;
	if (!behind_nat(s, (int)i))
		return net24(198, 51, 100 + n);
	return has_children(s, i) ? net24(10, 40 + n, 0) : net24(192, 168, 1 + n);
}

struct prefix topology_v6(int network, const struct addr *v4)
{
	struct prefix p = { .ip = { { 0x2a, 0x0e, 0x51, 0x00 } }, .bits = 64 };
	unsigned id = (unsigned)(network + 1);
	p.ip.b[6] = (uint8_t)(id >> 8);
	p.ip.b[7] = (uint8_t)id;
	memcpy(p.ip.b + 12, v4->b + 12, 4);
	return p;
}

int topology_plan(struct scenario *s, struct errbuf *eb)
{
	struct prefix internet = net24(203, 0, 113);
	uint32_t hosts[LANS_MAX + 1],
		routers[LANS_MAX + 1]; /* next free number of each LAN; [0] is the internet */

	if (s->n_routers > LANS_MAX)
		return err_say(eb, ERR_TOO_LARGE, "%s:%u:%u: %zu routers; at most %d", s->file,
			s->routers[LANS_MAX].at.line, s->routers[LANS_MAX].at.column, s->n_routers, LANS_MAX);
	for (size_t i = 0; i <= s->n_routers; i++) {
		hosts[i] = HOSTS_FIRST;
		routers[i] = ROUTERS_FIRST;
	}
	for (size_t i = 0; i < s->n_routers; i++) {
		s->routers[i].lan_net = lan_of(s, i);
		s->routers[i].lan = host_of(&s->routers[i].lan_net, 1);
	}
	for (size_t i = 0; i < s->n_routers; i++) {
		struct scn_router *r = &s->routers[i];
		const struct prefix *up = r->behind < 0 ? &internet : &s->routers[r->behind].lan_net;
		uint32_t n = routers[r->behind + 1]++;
		if (n > HOSTS_LAST)
			return err_say(eb, ERR_TOO_LARGE, "%s:%u:%u: too many routers beside '%s'", s->file,
				r->at.line, r->at.column, r->name);
		r->wan = host_of(up, n);
		r->gateway = host_of(up, 1);
	}
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct scn_node *h = &s->nodes[i];
		uint32_t n = hosts[h->router + 1]++;
		if (n >= ROUTERS_FIRST)
			return err_say(eb, ERR_TOO_LARGE, "%s:%u:%u: too many nodes beside '%s'", s->file,
				h->at.line, h->at.column, h->name);
		h->net = h->router < 0 ? internet : s->routers[h->router].lan_net;
		h->ip = host_of(&h->net, n);
		h->gateway = host_of(&h->net, 1);
	}
	return 0;
}
