#include "simnet/scenario/topology_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LAN_BITS_MIN = 8, LAN_BITS_MAX = 24, LAN_TRIES = 100 };

/* ---- what the file chooses is wrong ---- */

void plan_error(struct planning *p, struct scn_at at, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!p->err)
		p->err = err_say(p->eb, ERR_MALFORMED, AT_FMT ": %s", AT_ARGS(p->s->file, at), text);
	scenario_error(p->all, AT_FMT ": %s", AT_ARGS(p->s->file, at), text);
}

const char *plan_network_name(const struct scenario *s, int network)
{
	return network < 0 ? "internet" : s->routers[network].name;
}

/* ---- networks ---- */

static struct prefix net24(unsigned a, unsigned b, unsigned c)
{
	return (struct prefix) { .ip = addr_v4(a << 24 | b << 16 | c << 8), .bits = 24 };
}

struct addr plan_host_of(const struct prefix *net, uint32_t n)
{
	return addr_v4(addr_v4_get(&net->ip) + n);
}

static bool has_children(const struct scenario *s, size_t router)
{
	for (size_t i = 0; i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		bool child = r->behind == (int)router;
		for (size_t k = 0; k < r->n_uplinks; k++)
			child |= r->uplinks[k].network == (int)router;
		if (child)
			return true;
	}
	return false;
}

static bool behind_nat(const struct scenario *s, int router)
{
	for (; router >= 0; router = s->routers[router].behind)
		if (s->routers[router].nat)
			return true;
	return false;
}

/* By the file, or for a router before this one; or it would hold an outer address of the router's own. */
static bool is_taken(const struct scenario *s, size_t router, const struct prefix *net)
{
	const struct scn_router *own = &s->routers[router];
	bool taken = own->wan_chosen && prefix_contains(net, &own->wan);

	for (size_t k = 0; k < own->n_uplinks; k++)
		taken |= own->uplinks[k].ip_chosen && prefix_contains(net, &own->uplinks[k].ip);
	for (size_t i = 0; i < s->n_routers && !taken; i++)
		taken = (s->routers[i].lan_chosen || i < router) &&
			prefix_overlaps(&s->routers[i].lan_net, net);
	return taken;
}

/* A home looks like a home, a carrier like a carrier, and what nobody translates looks public. The mesh's own
 * 100.64/10 is in the underlay only where a file asks for it. */
static struct prefix lan_of(const struct scenario *s, size_t i)
{
	for (unsigned n = (unsigned)i;; n++) {
		struct prefix net = !behind_nat(s, (int)i) ? net24(198, 51, 100 + n)
				    : has_children(s, i)   ? net24(10, 40 + n, 0)
							   : net24(192, 168, 1 + n);
		if (n == i + LAN_TRIES || !is_taken(s, i, &net))
			return net;
	}
}

bool plan_may_be_lan(const struct addr *ip)
{
	static const struct {
		uint32_t ip;
		uint8_t bits;
	} never[] = { { 0, 8 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xe0000000, 3 } };

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (prefix_contains(&(struct prefix) { addr_v4(never[i].ip), never[i].bits }, ip))
			return false;
	return true;
}

static void plan_nptv6(struct planning *p, size_t i)
{
	struct scenario *s = p->s;
	struct scn_router *r = &s->routers[i];
	struct addr *outside = &r->nptv6.outside;

	if (!nptv6_is_there(&r->nptv6))
		return;
	if (addr_is_unspecified(outside))
		*outside = (struct addr) { { 0x2a, 0x0e, 0x51, 0x01, (uint8_t)((i + 1) >> 8),
			(uint8_t)(i + 1) } };
	if (!s->ipv6)
		plan_error(p, r->at,
			"router '%s' exchanges IPv6 prefixes, and there is none: 'ipv6: true' at the top of "
			"the file",
			r->name);
	if (r->behind >= 0 && topology_nptv6(s, r->behind) >= 0)
		plan_error(p, r->at, "router '%s' exchanges IPv6 prefixes behind '%s', which does so too",
			r->name, s->routers[topology_nptv6(s, r->behind)].name);
	for (size_t k = 0; k < i; k++)
		if (nptv6_is_outside(&s->routers[k].nptv6, outside))
			plan_error(p, r->at, "routers '%s' and '%s' have one outer IPv6 prefix",
				s->routers[k].name, r->name);
}

void plan_outer(struct planning *p, struct scn_at at, int router, int network, const struct addr *ip)
{
	const struct scn_router *r = &p->s->routers[router];
	struct prefix up = topology_net(p->s, network);
	int meets = topology_meets(p->s, router, network);
	char text[ADDR_TEXT];

	if (prefix_overlaps(&up, &r->lan_net))
		plan_error(p, at, "the inner network of '%s' is of the same range as that of '%s'", r->name,
			plan_network_name(p->s, network));
	else if (ip && prefix_contains(&r->lan_net, ip))
		plan_error(p, at, "%s, outside of '%s', is in its inner network: another 'lan' or 'ip'",
			addr_format(ip, text), r->name);
	else if (meets >= 0)
		plan_error(p, at,
			"'%s' has inside what it reaches outside too, the range of '%s': another 'lan' for "
			"one of them",
			r->name, p->s->routers[meets].name);
}

static void plan_uplinks(struct planning *p, const struct scn_router *r)
{
	const char *why = !r->nat	      ? "it does not translate"
			  : p->s->ipv6	      ? "there is IPv6"
			  : r->model.pool > 1 ? "it has a pool of outer addresses"
					      : NULL;
	if (r->n_uplinks && why)
		plan_error(p, r->at, "router '%s' cannot have 'uplinks': %s", r->name, why);
	for (size_t k = 0; k < r->n_uplinks; k++)
		plan_outer(p, r->uplinks[k].at, (int)(r - p->s->routers), r->uplinks[k].network,
			r->uplinks[k].ip_chosen ? &r->uplinks[k].ip : NULL);
}

static void plan_lans(struct planning *p)
{
	struct scenario *s = p->s;
	char text[PREFIX_TEXT];

	for (size_t i = 0; i < s->n_routers; i++) {
		struct scn_router *r = &s->routers[i];
		struct prefix masked = r->lan_net;
		if (!r->lan_chosen)
			r->lan_net = lan_of(s, i);
		r->lan = plan_host_of(&r->lan_net, ROUTER_NUMBER);
		if (r->offers == OFFER_IPV6 && !s->ipv6)
			plan_error(p, r->at,
				"router '%s' offers IPv6, and there is none: 'ipv6: true' at the top of the "
				"file",
				r->name);
		if (r->nat64.bits && !s->ipv6)
			plan_error(p, r->at,
				"router '%s' translates IPv6, and there is none: 'ipv6: true' at the top of "
				"the "
				"file",
				r->name);
		plan_nptv6(p, i);
		if (!r->lan_chosen)
			continue;
		prefix_mask(&masked);
		prefix_format(&r->lan_net, text);
		if (!prefix_equal(&masked, &r->lan_net))
			plan_error(p, r->lan_at, "'%s' is a host's address; a network ends in zeros", text);
		else if (r->lan_net.bits < LAN_BITS_MIN || r->lan_net.bits > LAN_BITS_MAX)
			plan_error(p, r->lan_at,
				"'%s' has no usable size: a LAN is a network from /%d to /%d", text,
				LAN_BITS_MIN, LAN_BITS_MAX);
		else if (!plan_may_be_lan(&r->lan_net.ip))
			plan_error(p, r->lan_at, "'%s' is not for hosts", text);
	}
}

/* Both are seen from `network`: its own, or a LAN that a packet from there reaches untranslated. */
static bool lan_is_seen(const struct scenario *s, int network, int lan)
{
	return lan == network || topology_way_down(s, network, lan, false) >= 0;
}

static void say_overlap(struct planning *p, int i, int k, int network)
{
	const struct scn_router *a = &p->s->routers[i], *b = k < 0 ? NULL : &p->s->routers[k];
	struct prefix other = topology_net(p->s, k);
	char mine[PREFIX_TEXT], theirs[PREFIX_TEXT];

	prefix_format(&a->lan_net, mine);
	prefix_format(&other, theirs);
	plan_error(p, a->lan_chosen || !b ? a->lan_at : b->lan_at,
		"the LAN %s of router '%s' overlaps %s, %s; whoever is on '%s' could not tell them apart: "
		"another 'lan' for one of them",
		mine, a->name, theirs, plan_network_name(p->s, k), plan_network_name(p->s, network));
}

/* Networks of one address range are as in life where a NAT is between them. */
static void check_overlaps(struct planning *p)
{
	const struct scenario *s = p->s;
	int n = (int)s->n_routers;

	for (int i = 0; i < n; i++) {
		struct prefix up = topology_net(s, s->routers[i].behind), internet = topology_net(s, -1);
		bool chosen = s->routers[i].lan_chosen;
		if (prefix_overlaps(&s->routers[i].lan_net, &up)) /* also where it translates */
			say_overlap(p, i, s->routers[i].behind, s->routers[i].behind);
		else if (chosen && prefix_overlaps(&s->routers[i].lan_net, &internet))
			say_overlap(p, i, -1, i);
		else if (s->routers[i].nat && !s->routers[i].n_uplinks)
			plan_outer(p, s->routers[i].at, i, s->routers[i].behind,
				s->routers[i].wan_chosen ? &s->routers[i].wan : NULL);
		for (int k = 0; k < i; k++) {
			if (!prefix_overlaps(&s->routers[i].lan_net, &s->routers[k].lan_net))
				continue;
			for (int network = -1; network < n; network++)
				if (lan_is_seen(s, network, i) && lan_is_seen(s, network, k) &&
					s->routers[i].behind != k && s->routers[k].behind != i) {
					say_overlap(p, i, k, network);
					break;
				}
		}
	}
}

/* Forwards lead to what is on the router's own LAN. */
static void plan_forward(struct planning *p, size_t router, struct nat_forward *f)
{
	const struct scn_router *r = &p->s->routers[router];
	int node = scenario_find_node(p->s, f->to), inner = scenario_find_router(p->s, f->to);

	if (inner >= 0 && p->s->routers[inner].behind == (int)router) {
		f->ip = p->s->routers[inner].wan;
		return;
	}
	for (size_t i = 0; node >= 0 && i < p->s->nodes[node].n_ifaces; i++) {
		const struct scn_iface *iface = &p->s->nodes[node].ifaces[i];
		if (iface->network != (int)router)
			continue;
		f->ip = iface->ip;
		return;
	}
	plan_error(p, r->at, "router '%s' forwards a port to '%s', which is not on its LAN", r->name, f->to);
}

static void plan_redirects(struct planning *p, int router, struct scn_firewall *f)
{
	size_t wrong;
	const char *why = topology_redirect(p->s, router, f, &wrong);
	if (why)
		plan_error(p, f->out[wrong].at, "'%s': %s", f->out[wrong].text, why);
}

/* ---- routes ---- */

/* step: which has changed them, or where they lead; NULL: the file. */
static void plan_routes(struct planning *p, size_t n_steps, struct scn_plug plug, const struct scn_step *step)
{
	const struct scn_routes r = plug.router >= 0 ? topology_routes(p->s, n_steps, plug.router)
						     : topology_iface(p->s, n_steps, plug).routes;
	size_t wrong;
	const char *why = topology_routes_wrong(p->s, n_steps, plug, &r, &wrong);

	if (why && step && !step->routes)
		plan_error(p, step->at, "the routes of '%s' do not go with it: %s", step->target, why);
	else if (why)
		plan_error(p, r.v[wrong].at, "%s", why);
}

static void plan_all_routes(struct planning *p)
{
	const struct scenario *s = p->s;

	for (int i = 0; i < (int)s->n_routers; i++)
		plan_routes(p, 0, (struct scn_plug) { -1, i, 0 }, NULL);
	for (int i = 0; i < (int)s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].n_ifaces; k++)
			plan_routes(p, 0, (struct scn_plug) { i, -1, k }, NULL);
}

static void plan_step_redirects(struct planning *p, size_t first)
{
	for (size_t i = first; i < p->s->n_steps; i++)
		if (p->s->steps[i].firewall)
			plan_redirects(p, scenario_find_router(p->s, p->s->steps[i].target),
				p->s->steps[i].firewall);
}

static void plan_step_routes(struct planning *p, size_t first)
{
	const struct scenario *s = p->s;

	for (size_t i = first; i < s->n_steps; i++) {
		const struct scn_step *st = &s->steps[i];
		if (st->change)
			plan_routes(p, i + 1, st->change->plug, st);
		else if (st->routes)
			plan_routes(p, i + 1,
				(struct scn_plug) { -1, scenario_find_router(s, st->target), 0 }, st);
	}
}

int topology_plan_all(struct scenario *s, struct scn_errors *all, struct errbuf *eb)
{
	struct planning p = { .s = s, .all = all, .eb = eb };

	if (s->n_routers > LANS_MAX) {
		plan_error(&p, s->routers[LANS_MAX].at, "%zu routers; at most %d", s->n_routers, LANS_MAX);
		return p.err;
	}
	for (size_t i = 0; i < s->n_nodes; i++)
		if (!s->nodes[i].n_ifaces && !s->nodes[i].on_router)
			s->nodes[i].ifaces[s->nodes[i].n_ifaces++] = (struct scn_iface) {
				.name = "eth0", .at = s->nodes[i].at, .network = s->nodes[i].router
			};
	plan_lans(&p);
	for (size_t i = 0; i < s->n_routers && !p.err; i++)
		plan_uplinks(&p, &s->routers[i]);
	if (!p.err)
		check_overlaps(&p);
	for (size_t i = 0; i < s->n_nodes && !p.err; i++)
		plan_host(&p, &s->nodes[i]);
	if (!p.err)
		plan_numbers(&p);
	for (size_t i = 0; i < s->n_routers; i++) {
		struct prefix up = topology_net(s, s->routers[i].behind);
		s->routers[i].gateway = plan_host_of(&up, ROUTER_NUMBER);
	}
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct scn_node *h = &s->nodes[i];
		if (h->on_router) /* who speaks to it speaks to the router's inner side */
			h->ifaces[0] = (struct scn_iface) { .name = "lan",
				.at = h->at,
				.network = h->router,
				.ip = s->routers[h->router].lan };
		const struct scn_iface *f = &h->ifaces[topology_in_use(s, 0, (int)i)];
		h->router = f->network;
		h->ip = f->ip;
		h->net = topology_net(s, h->router);
		h->gateway = plan_host_of(&h->net, ROUTER_NUMBER);
	}
	for (size_t i = 0; i < s->n_routers; i++)
		for (size_t k = 0; k < s->routers[i].model.n_forwards; k++)
			plan_forward(&p, i, &s->routers[i].model.forwards[k]);
	for (size_t i = 0; i < s->n_routers; i++)
		plan_redirects(&p, (int)i, &s->routers[i].firewall);
	for (size_t i = 0; i < s->n_nodes; i++)
		plan_redirects(&p, -1, &s->nodes[i].firewall);
	plan_step_redirects(&p, 0);
	if (!p.err)
		plan_all_routes(&p);
	if (!p.err)
		plan_step_routes(&p, 0);
	return p.err;
}

int topology_plan_steps(struct scenario *s, size_t first, struct scn_errors *all, struct errbuf *eb)
{
	struct planning p = { .s = s, .all = all, .eb = eb };

	plan_step_numbers(&p, first);
	plan_step_redirects(&p, first);
	if (!p.err)
		plan_step_routes(&p, first);
	return p.err;
}

int topology_plan(struct scenario *s, struct errbuf *eb)
{
	return topology_plan_all(s, NULL, eb);
}
