#include "simnet/scenario/topology_plan.h"

/* Who has which address on a network: as the file says, else the next that is free. */

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
	return addr_is_v4(ip) && plan_may_be_lan(ip);
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
			plan_network_name(s, u->network), range);
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
		*u->ip = plan_host_of(&net, (*next)++);
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

void plan_host(struct planning *p, const struct scn_node *h)
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
		plan_outer(
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

void plan_numbers(struct planning *p)
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

void plan_step_numbers(struct planning *p, size_t first)
{
	struct numbering n;

	number_begin(&n, p);
	number_steps(&n, first);
}
