#include "simnet/scenario/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Numbers on a network: its router, nodes, routers, and the last four, which are the self-test's. */
enum { ROUTER_NUMBER = 1, HOSTS_FIRST = 10, ROUTERS_FIRST = 100, HOSTS_LAST = 250, PROBES_LAST = 254 };
enum { LANS_MAX = 150, LAN_BITS_MIN = 8, LAN_BITS_MAX = 24, LAN_TRIES = 100 };

/* ---- what the file chooses is wrong ---- */

struct planning {
	struct scenario *s;
	struct scn_errors *all;
	struct errbuf *eb;
	int err; /* of the first error */
};

static void plan_error(struct planning *p, struct scn_at at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void plan_error(struct planning *p, struct scn_at at, const char *fmt, ...)
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

static const char *network_name(const struct scenario *s, int network)
{
	return network < 0 ? "internet" : s->routers[network].name;
}

/* ---- networks ---- */

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

static bool may_be_lan(const struct addr *ip)
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

/* Where a router's outer side is, there may be nothing that it has inside. ip: of that side, as the file says it, or
 * NULL. */
static void check_outer(struct planning *p, struct scn_at at, int router, int network, const struct addr *ip)
{
	const struct scn_router *r = &p->s->routers[router];
	struct prefix up = topology_net(p->s, network);
	int meets = topology_meets(p->s, router, network);
	char text[ADDR_TEXT];

	if (prefix_overlaps(&up, &r->lan_net))
		plan_error(p, at, "the inner network of '%s' is of the same range as that of '%s'", r->name,
			network_name(p->s, network));
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
		check_outer(p, r->uplinks[k].at, (int)(r - p->s->routers), r->uplinks[k].network,
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
		r->lan = host_of(&r->lan_net, ROUTER_NUMBER);
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
		else if (!may_be_lan(&r->lan_net.ip))
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
		mine, a->name, theirs, network_name(p->s, k), network_name(p->s, network));
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
			check_outer(p, s->routers[i].at, i, s->routers[i].behind,
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

/* ---- numbers on a network ---- */

struct plug { /* what needs an address */
	int network;
	struct scn_at at;
	const char *name;
	struct addr *ip;
	bool chosen, router;
	bool skip; /* it has none before a step */
};
struct numbering {
	struct planning *p;
	uint32_t hosts[LANS_MAX + 1], routers[LANS_MAX + 1]; /* next free number; [0] is the internet */
};

/* Number i of all of them: the routers', their uplinks', then the nodes' in their order. false: there are no more. */
static bool plug_at(struct scenario *s, size_t i, struct plug *out)
{
	if (i < s->n_routers) {
		struct scn_router *r = &s->routers[i];
		*out = (struct plug) { r->behind, r->wan_chosen ? r->wan_at : r->at, r->name, &r->wan,
			r->wan_chosen, true, false };
		return true;
	}
	i -= s->n_routers;
	for (size_t k = 0; k < s->n_routers; i -= s->routers[k++].n_uplinks) {
		struct scn_router *r = &s->routers[k];
		if (i >= r->n_uplinks)
			continue;
		struct scn_iface *f = &r->uplinks[i];
		bool in_use = i == r->uplink; /* the router's own outer side */
		*out = (struct plug) { f->network, f->at, r->name, &f->ip, f->ip_chosen && !in_use, true,
			in_use };
		return true;
	}
	for (size_t node = 0; node < s->n_nodes; i -= s->nodes[node++].n_ifaces) {
		struct scn_node *h = &s->nodes[node];
		if (i >= h->n_ifaces)
			continue;
		struct scn_iface *f = &h->ifaces[i];
		*out = (struct plug) { f->network, f->at, h->name, &f->ip, f->ip_chosen, false, f->spare };
		return true;
	}
	return false;
}

static bool plug_is_at(const struct plug *u, const struct addr *ip, int network)
{
	return ip != u->ip && network == u->network && addr_equal(ip, u->ip);
}

/* The router one of whose uplinks has u's address, other than `but`; *self: u comes first. */
static const char *which_uplink_has(const struct scenario *s, const struct plug *u, int but, bool *self)
{
	for (size_t i = 0; i < s->n_routers && !*self; i++)
		for (size_t k = 0; k < s->routers[i].n_uplinks && !*self; k++) {
			const struct scn_iface *f = &s->routers[i].uplinks[k];
			*self = u->chosen && &f->ip == u->ip;
			if ((int)i != but && !*self && k != s->routers[i].uplink &&
				plug_is_at(u, &f->ip, f->network))
				return s->routers[i].name;
		}
	return NULL;
}

/* Of those before u when it is chosen, so that only the second one is wrong. */
static const char *who_has(const struct scenario *s, const struct plug *u)
{
	if (u->network >= 0 && addr_equal(&s->routers[u->network].lan, u->ip))
		return s->routers[u->network].name;
	for (size_t i = 0; i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		if (u->chosen && &r->wan == u->ip)
			return NULL;
		if (plug_is_at(u, &r->wan, r->behind))
			return r->name;
	}
	bool self = false;
	const char *other = which_uplink_has(s, u, -1, &self);
	if (other || self)
		return other;
	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].n_ifaces; k++) {
			const struct scn_iface *f = &s->nodes[i].ifaces[k];
			if (u->chosen && &f->ip == u->ip)
				return NULL;
			if (plug_is_at(u, &f->ip, f->network))
				return s->nodes[i].name;
		}
	return NULL;
}

/* On the internet everything is on link, so any address may be there that no LAN has. */
static bool is_of_network(const struct scenario *s, int network, const struct addr *ip)
{
	struct prefix net = topology_net(s, network);

	if (network >= 0)
		return prefix_contains(&net, ip);
	for (int lan = 0; lan < (int)s->n_routers; lan++)
		if (topology_way_down(s, -1, lan, false) >= 0 &&
			prefix_contains(&s->routers[lan].lan_net, ip))
			return false;
	return addr_is_v4(ip) && may_be_lan(ip);
}

static bool is_reserved(const struct scenario *s, int network, const struct addr *ip)
{
	struct prefix net = topology_net(s, network);
	if (!prefix_contains(&net, ip))
		return false;
	uint32_t n = addr_v4_get(ip) - addr_v4_get(&net.ip), size = 1u << (32 - net.bits);
	return n == 0 || n == size - 1 || (n > HOSTS_LAST && n <= PROBES_LAST) ||
	       (network < 0 && n == ROUTER_NUMBER);
}

static void check_chosen(struct numbering *n, const struct plug *u, const char *other)
{
	struct scenario *s = n->p->s;
	struct prefix net = topology_net(s, u->network);
	char ip[ADDR_TEXT], range[PREFIX_TEXT];

	addr_format(u->ip, ip);
	prefix_format(&net, range);
	if (!is_of_network(s, u->network, u->ip))
		plan_error(n->p, u->at, "%s of '%s' is not of the network of '%s', %s", ip, u->name,
			network_name(s, u->network), range);
	else if (is_reserved(s, u->network, u->ip))
		plan_error(n->p, u->at,
			"%s is not free for '%s': the first, the last, and numbers %d to %d of a network are "
			"taken",
			ip, u->name, HOSTS_LAST + 1, PROBES_LAST);
	else if (other)
		plan_error(n->p, u->at, "%s of '%s' is already the address of '%s'", ip, u->name, other);
}

/* By a step, sooner or later. */
static bool is_wanted(const struct scenario *s, const struct plug *u)
{
	for (size_t i = 0; i < s->n_steps; i++) {
		const struct scn_change *c = s->steps[i].change;
		if (c && &c->want.ip != u->ip && c->want.network == u->network &&
			addr_equal(&c->want.ip, u->ip))
			return true;
	}
	return false;
}

/* Where two networks have one range, the probes tell the routers on them by their addresses. */
static bool is_outer_elsewhere(const struct scenario *s, const struct plug *u)
{
	for (size_t i = 0; i < s->n_routers && u->router; i++)
		if (&s->routers[i].wan != u->ip && addr_equal(&s->routers[i].wan, u->ip))
			return true;
	return false;
}

static void choose_address(struct numbering *n, const struct plug *u)
{
	struct prefix net = topology_net(n->p->s, u->network);
	uint32_t *next = u->router ? &n->routers[u->network + 1] : &n->hosts[u->network + 1];
	uint32_t end = u->router ? HOSTS_LAST + 1 : ROUTERS_FIRST;

	do
		*u->ip = host_of(&net, (*next)++);
	while (*next <= end &&
		(who_has(n->p->s, u) || is_wanted(n->p->s, u) || is_outer_elsewhere(n->p->s, u)));
	if (*next > end)
		plan_error(n->p, u->at, "too many %s beside '%s'", u->router ? "routers" : "nodes", u->name);
}

/* Two networks of one range on one host: its routes could not tell them apart. */
static void check_pair(
	struct planning *p, const char *host, const struct scn_iface *a, const struct scn_iface *b)
{
	struct prefix na = topology_net(p->s, a->network), nb = topology_net(p->s, b->network);
	char range[PREFIX_TEXT];

	if (!a->off && !b->off && a->network != b->network && prefix_overlaps(&na, &nb))
		plan_error(p, a->at,
			"interface '%s' of '%s' is in %s like '%s', and in another network; a host is in one "
			"of "
			"them at a time",
			a->name, host, prefix_format(&na, range), b->name);
}

static void check_host(struct planning *p, const struct scn_node *h)
{
	for (size_t i = 0; i < h->n_ifaces; i++)
		for (size_t k = 0; k < i; k++)
			check_pair(p, h->name, &h->ifaces[i], &h->ifaces[k]);
}

/* ---- what the steps change ---- */

/* Who has u's address before step i, besides itself. */
static const char *who_has_at(struct scenario *s, size_t i, const struct plug *u, const struct scn_change *c)
{
	if (u->network >= 0 && addr_equal(&s->routers[u->network].lan, u->ip))
		return s->routers[u->network].name;
	for (size_t k = 0; k < s->n_routers; k++) {
		struct scn_iface f = topology_iface(s, i, (struct scn_plug) { -1, (int)k, 0 });
		if ((int)k != c->plug.router && f.network == u->network && addr_equal(&f.ip, u->ip))
			return s->routers[k].name;
	}
	bool itself = false;
	const char *other = which_uplink_has(s, u, c->plug.router, &itself);
	if (other)
		return other;
	for (size_t node = 0; node < s->n_nodes; node++)
		for (size_t k = 0; k < s->nodes[node].n_ifaces; k++) {
			struct scn_iface f = topology_iface(s, i, (struct scn_plug) { (int)node, -1, k });
			bool self = (int)node == c->plug.node && (k == c->plug.iface || (int)k == c->leaves);
			if (!self && !f.off && f.network == u->network && addr_equal(&f.ip, u->ip))
				return s->nodes[node].name;
		}
	return NULL;
}

static void number_change(struct numbering *n, size_t i)
{
	struct scenario *s = n->p->s;
	struct scn_change *c = s->steps[i].change;
	const char *name = s->steps[i].target;
	struct plug u = { c->want.network, c->want.at, name, &c->want.ip, c->want.ip_chosen,
		c->plug.router >= 0, false };

	if (c->of_uplink) {
		c->want.ip = s->routers[c->plug.router].uplinks[c->used].ip;
		return;
	}
	if (u.chosen)
		check_chosen(n, &u, who_has_at(s, i, &u, c));
	else if (c->keeps_ip)
		c->want.ip = topology_iface(s, i, c->plug).ip;
	else
		choose_address(n, &u);
	if (c->plug.router >= 0) {
		check_outer(
			n->p, s->steps[i].at, c->plug.router, c->want.network, u.chosen ? &c->want.ip : NULL);
		return;
	}
	for (size_t k = 0; k < s->nodes[c->plug.node].n_ifaces; k++) {
		struct scn_iface f = topology_iface(s, i, (struct scn_plug) { c->plug.node, -1, k });
		if (k != c->plug.iface && ((int)k != c->leaves || c->make_first))
			check_pair(n->p, name, &c->want, &f);
	}
}

static void number_begin(struct numbering *n, struct planning *p)
{
	n->p = p;
	for (size_t i = 0; i <= p->s->n_routers; i++) {
		n->hosts[i] = HOSTS_FIRST;
		n->routers[i] = ROUTERS_FIRST;
	}
}

static void number_steps(struct numbering *n, size_t first)
{
	const struct scenario *s = n->p->s;

	for (size_t i = first; i < s->n_steps && !n->p->err; i++)
		if (s->steps[i].change)
			number_change(n, i);
}

static void number_all(struct planning *p)
{
	struct numbering n;
	struct plug u;

	number_begin(&n, p);
	for (size_t i = 0; plug_at(p->s, i, &u); i++) {
		if (u.chosen)
			check_chosen(&n, &u, who_has(p->s, &u));
		else
			*u.ip = addr_any6;
	}
	for (size_t i = 0; plug_at(p->s, i, &u) && !p->err; i++)
		if (!u.chosen && !u.skip)
			choose_address(&n, &u);
	for (size_t i = 0; i < p->s->n_routers; i++) {
		struct scn_router *r = &p->s->routers[i];
		r->uplinks[r->uplink].ip = r->wan;
		for (uint32_t k = 1; r->nat && k < r->model.pool && !p->err; k++)
			choose_address(&n, &(struct plug) { r->behind, r->at, r->name, &r->pool[k], false,
						   true, false });
	}
	number_steps(&n, 0);
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
		check_host(&p, &s->nodes[i]);
	if (!p.err)
		number_all(&p);
	for (size_t i = 0; i < s->n_routers; i++) {
		struct prefix up = topology_net(s, s->routers[i].behind);
		s->routers[i].gateway = host_of(&up, ROUTER_NUMBER);
	}
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct scn_node *h = &s->nodes[i];
		if (h->on_router) /* who speaks to it speaks to the router's inner side */
			h->ifaces[0] = (struct scn_iface) { .name = "lan",
				.at = h->at,
				.network = h->router,
				.ip = s->routers[h->router].lan };
		h->router = h->ifaces[0].network;
		h->ip = h->ifaces[0].ip;
		h->net = topology_net(s, h->router);
		h->gateway = host_of(&h->net, ROUTER_NUMBER);
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
	struct numbering n;

	number_begin(&n, &p);
	number_steps(&n, first);
	plan_step_redirects(&p, first);
	if (!p.err)
		plan_step_routes(&p, first);
	return p.err;
}

int topology_plan(struct scenario *s, struct errbuf *eb)
{
	return topology_plan_all(s, NULL, eb);
}
