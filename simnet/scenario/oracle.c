#include "simnet/scenario/oracle.h"

#include <stdio.h>
#include <string.h>

/* Peers know of each other: interface addresses, and the address that STUN saw on the internet. The verdict
 * goes from the surest fact to the least: what cannot be known, links that are cut, UDP that is blocked, a
 * LAN in common, IPv6, an address that needs no translation, and only then the classes of the NATs on the
 * way. */
struct question {
	const struct scenario *s;
	size_t n_steps;
	const struct scn_node *a, *b;
	bool tcp;
	int lan; /* the lowest on which both nodes' packets meet, as the router that owns it; -1 = the
		    internet */
	struct oracle_verdict *out;
};

static bool give(const struct question *q, enum scn_path path, const char *why)
{
	q->out->path = path;
	snprintf(q->out->why, sizeof(q->out->why), "%s", why);
	return true;
}

/* ---- what has happened ---- */

/* Whether NAME.part is cut after the steps; `at_first`: what the file blocks from the beginning. */
static bool is_cut(const struct question *q, const char *name, const char *part, bool at_first)
{
	bool cut = at_first;
	size_t len = strlen(name);

	for (size_t i = 0; i < q->n_steps; i++) {
		const struct scn_step *st = &q->s->steps[i];
		bool sleeps = st->kind == STEP_SLEEP && !st->for_ms;
		if ((sleeps || st->kind == STEP_WAKE) && !strcmp(st->target, name) &&
			!strcmp(part, "carrier"))
			cut = sleeps;
		if ((st->kind == STEP_CUT || st->kind == STEP_HEAL) && !strncmp(st->target, name, len) &&
			st->target[len] == '.' && !strcmp(st->target + len + 1, part))
			cut = st->kind == STEP_CUT;
	}
	return cut;
}

static bool node_blocks_udp(const struct question *q, const struct scn_node *n)
{
	return is_cut(q, n->name, "udp", n->udp_blocked);
}

static bool router_blocks_udp(const struct question *q, int router)
{
	const struct scn_router *r = &q->s->routers[router];
	return is_cut(q, r->name, "udp", r->udp_blocked);
}

/* The outer side of a router, or every uplink that it has. */
static bool is_router_cut(const struct question *q, int router)
{
	const struct scn_router *r = &q->s->routers[router];
	return is_cut(q, r->name, "link", false) || is_cut(q, r->name, "carrier", false) ||
	       topology_iface(q->s, q->n_steps, (struct scn_plug) { -1, router, 0 }).off;
}

static bool has_word(const char *text, const char *word)
{
	static const char around[] = " \t\n;|&(){}'\"/";
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at++)
		if ((at == text || strchr(around, at[-1])) && (!at[len] || strchr(around, at[len])))
			return true;
	return false;
}

/* A command that sets up addresses, routes, rules or settings of the network. */
static bool changes_network(const char *const *argv)
{
	static const char *const tools[] = { "ip", "nft", "iptables", "ip6tables", "iptables-restore", "tc",
		"ifconfig", "route", "sysctl", "dhclient", "udhcpc", "brctl", "bridge", "ethtool" };
	static const char *const verbs[] = { "add", "del", "delete", "replace", "change", "append", "flush",
		"set", "insert", "down", "up", "-A", "-I", "-D", "-F", "-P", "-w", "-f", "dhclient",
		"udhcpc" };
	bool tool = false, verb = false;

	for (; argv && *argv; argv++) {
		for (size_t i = 0; i < ARRAY_LEN(tools); i++)
			tool |= has_word(*argv, tools[i]);
		for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
			verb |= has_word(*argv, verbs[i]);
		if (strstr(*argv, "/proc/sys/") && strchr(*argv, '>'))
			return true;
	}
	return tool && verb;
}

/* The two nodes and the routers that either's packets may pass. */
static bool is_involved(const struct question *q, const char *name)
{
	if (!strcmp(q->a->name, name) || !strcmp(q->b->name, name))
		return true;
	int router = scenario_find_router(q->s, name);
	const int from[] = { q->a->router, q->b->router };
	for (size_t side = 0; router >= 0 && side < 2; side++)
		for (int i = from[side]; i >= 0; i = q->s->routers[i].behind)
			if (i == router)
				return true;
	return false;
}

static bool is_changed(const struct question *q)
{
	for (size_t i = 0; i < q->n_steps; i++) {
		const struct scn_step *st = &q->s->steps[i];
		if ((st->kind != STEP_RUN && st->kind != STEP_SPAWN) || !is_involved(q, st->target) ||
			!changes_network(st->argv))
			continue;
		q->out->path = PATH_ANY;
		snprintf(q->out->why, sizeof(q->out->why),
			"the file does not say: '%.40s' in line %u changes the network of '%.60s'",
			st->argv[0], st->at.line, st->target);
		return true;
	}
	return false;
}

/* A program on a router on their way may open ports, or more. */
static bool is_run_on(const struct question *q)
{
	for (size_t i = 0; i < q->s->n_nodes; i++) {
		const struct scn_node *n = &q->s->nodes[i];
		const char *router = n->on_router ? q->s->routers[n->router].name : NULL;
		if (!router || !is_involved(q, router))
			continue;
		q->out->path = PATH_ANY;
		snprintf(q->out->why, sizeof(q->out->why),
			"the file does not say: what '%.40s' makes of router '%.40s', where it runs", n->name,
			router);
		return true;
	}
	return false;
}

/* ---- routes of the file's own ---- */

static bool leads_there(const struct scn_routes *r, const struct addr *ip)
{
	for (size_t i = 0; i < r->n; i++)
		if (addr_is_v4(ip) && prefix_contains(&r->v[i].dst, ip))
			return true;
	return false;
}

/* Any address by which a packet for n is sent: its own, and the outer ones on its way up. */
static bool leads_to_node(const struct question *q, const struct scn_routes *r, const struct scn_node *n)
{
	bool leads = leads_there(r, &n->ip);

	for (int i = n->router; i >= 0; i = q->s->routers[i].behind)
		for (uint32_t k = 0; q->s->routers[i].nat && k < q->s->routers[i].model.pool; k++) {
			struct addr outer = topology_pool(&q->s->routers[i], k);
			leads |= leads_there(r, &outer);
		}
	return leads;
}

/* Whose routes lead packets of n for the other by somebody, who does with them what the file does not say; NULL = nobody's.
 */
static const char *who_diverts(
	const struct question *q, const struct scn_node *n, const struct scn_node *other)
{
	for (size_t k = 0; k < n->n_ifaces; k++)
		if (!n->ifaces[k].off && leads_to_node(q, &n->ifaces[k].routes, other))
			return n->name;
	for (int i = n->router; i >= 0; i = q->s->routers[i].behind)
		if (leads_to_node(q, &q->s->routers[i].routes, other))
			return q->s->routers[i].name;
	return NULL;
}

static bool is_diverted(const struct question *q)
{
	const char *who = who_diverts(q, q->a, q->b);

	who = who ? who : who_diverts(q, q->b, q->a);
	if (who) {
		q->out->path = PATH_ANY;
		snprintf(q->out->why, sizeof(q->out->why),
			"the file does not say: a route of '%.60s' leads there by somebody", who);
	}
	return who;
}

/* Which uplink a flow has follows from the seed. */
static bool is_balanced(const struct question *q)
{
	const int from[] = { q->a->router, q->b->router };

	for (size_t side = 0; side < 2; side++)
		for (int i = from[side]; i >= 0 && i != q->lan; i = q->s->routers[i].behind)
			if (q->s->routers[i].balances) {
				q->out->path = PATH_ANY;
				snprintf(q->out->why, sizeof(q->out->why),
					"the file does not say: '%.60s' balances flows over its uplinks",
					q->s->routers[i].name);
				return true;
			}
	return false;
}

/* ---- the way ---- */

/* What one side looks like from a network above it: the hardest of the NATs on the way up. */
struct side {
	bool nat, udp_blocked;
	bool closed;	    /* by a firewall to whom was not sent for */
	const char *unsure; /* whose firewall decides by what nobody knows here; NULL = nobody's */
	const char *cut;    /* whose link is cut on the way; NULL = nobody's */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	bool wanders;		 /* a new mapping may have another address than STUN saw */
	const char *giver;	 /* a router on the way that maps ports for who asks; NULL = nobody */
	const char *forwarder;	 /* a router that forwards a port of its LAN all the way to the node */
	uint16_t forwarded_port; /* the node's own */
};

static void pass_nat(const struct question *q, struct side *v, const struct nat_model *m, bool filters)
{
	const struct nat_class *c = q->tcp ? &m->tcp : &m->udp;

	v->nat = true;
	if (c->mapping > v->mapping)
		v->mapping = c->mapping;
	if (filters && c->filtering > v->filtering)
		v->filtering = c->filtering;
	v->wanders |= m->pool > 1 && m->pool_arbitrary && c->mapping != NAT_EIM;
}

/* The forward of router r that leads to `inner` (and there to port; 0 = any); NULL = none. */
static const struct nat_forward *forward_to(
	const struct question *q, const struct scn_router *r, const char *inner, uint16_t port)
{
	for (size_t i = 0; i < r->model.n_forwards; i++) {
		const struct nat_forward *f = &r->model.forwards[i];
		if (f->proto == (q->tcp ? 6 : 17) && !strcmp(f->to, inner) && (!port || f->to_port == port))
			return f;
	}
	return NULL;
}

/* A firewall is a NAT that translates nothing: it may let in only what was sent for. */
static void pass_firewall(
	const struct question *q, struct side *v, const char *name, const struct scn_firewall *f)
{
	enum firewall_verdict in_new = firewall_says_udp(f->in, f->n_in, false),
			      in_old = firewall_says_udp(f->in, f->n_in, true),
			      out_new = firewall_says_udp(f->out, f->n_out, false),
			      out_old = firewall_says_udp(f->out, f->n_out, true);

	bool known =
		in_new != FIREWALL_VERDICTS && in_old != FIREWALL_VERDICTS && out_new != FIREWALL_VERDICTS;
	bool answers = in_old == FIREWALL_ACCEPT && out_old == FIREWALL_ACCEPT;

	if (!f->n_in && !f->n_out)
		return;
	if (q->tcp || !known || (out_new == FIREWALL_ACCEPT && !answers))
		v->unsure = name;
	v->udp_blocked |= out_new == FIREWALL_DROP;
	if (in_new == FIREWALL_DROP) {
		v->nat = true;
		v->filtering = NAT_APDF;
		v->closed = true;
	}
}

/* What translates a node's packets for IPv4: every NAT on the way, and of a host without it those from its NAT64 on; the
 * others are there a firewall that lets in what was sent for. */
static void pass_router(const struct question *q, struct side *v, const struct scn_router *r, bool translates)
{
	if (translates) {
		pass_nat(q, v, &r->model, true);
		return;
	}
	v->nat = v->closed = true;
	v->filtering = NAT_APDF;
}

static struct side side_up_to(const struct question *q, const struct scn_node *n, int top)
{
	struct side v = { .udp_blocked = node_blocks_udp(q, n) };
	const char *inner = n->name;
	uint16_t port = 0; /* the outer one of the forwards so far */
	bool forwarded = topology_has_v4(q->s, n->router), four = forwarded;

	if (is_cut(q, n->name, "link", false) || is_cut(q, n->name, "carrier", false))
		v.cut = n->name;
	pass_firewall(q, &v, n->name, &n->firewall);
	for (int i = n->router; i >= 0 && i != top; i = q->s->routers[i].behind) {
		const struct scn_router *r = &q->s->routers[i];
		v.udp_blocked |= router_blocks_udp(q, i);
		if (is_router_cut(q, i))
			v.cut = r->name;
		pass_firewall(q, &v, r->name, &r->firewall);
		four |= r->nat64.bits;
		if (!r->nat) {
			forwarded = false; /* what is behind it has no name here */
			continue;
		}
		const struct nat_forward *f = forwarded ? forward_to(q, r, inner, port) : NULL;
		if (f && !port)
			v.forwarded_port = f->to_port;
		forwarded = f;
		port = f ? f->port : 0;
		v.forwarder = f ? r->name : NULL;
		inner = r->name;
		v.giver = r->portmap ? r->name : v.giver;
		pass_router(q, &v, r, four);
	}
	if (v.forwarder && !v.closed) {
		v.mapping = NAT_EIM;
		v.filtering = NAT_EIF;
		v.wanders = false;
	}
	return v;
}

static bool is_above(const struct scenario *s, int router, int from)
{
	for (int i = from; i >= 0; i = s->routers[i].behind)
		if (i == router)
			return true;
	return router < 0;
}

static int meeting_lan(const struct scenario *s, const struct scn_node *a, const struct scn_node *b)
{
	int i = a->router;
	while (i >= 0 && !is_above(s, i, b->router))
		i = s->routers[i].behind;
	return i;
}

static int outermost_nat(const struct scenario *s, int router)
{
	int found = -1;
	for (int i = router; i >= 0; i = s->routers[i].behind)
		if (s->routers[i].nat)
			found = i;
	return found;
}

/* One whose mapping is the same for all, and who lets in an address that it has sent to: the other's packets
 * come from the address that STUN saw, whatever their port. */
static bool is_open_to_address(const struct side *v, const struct side *other)
{
	return v->mapping == NAT_EIM && v->filtering == NAT_ADF && !other->wanders;
}

/* By TCP the same, since both SYNs may cross (RFC 5382 REQ-2). */
static bool punched(const struct question *q, const struct side *a, const struct side *b)
{
	const struct side *forwarded = a->forwarder ? a : b->forwarder ? b : NULL;

	if (forwarded) {
		snprintf(q->out->why, sizeof(q->out->why),
			"'%.60s' forwards a port to port %u of '%.60s', if its program uses that",
			forwarded->forwarder, forwarded->forwarded_port,
			(forwarded == a ? q->a : q->b)->name);
		q->out->path = PATH_DIRECT;
		return true;
	}
	if (a->filtering == NAT_EIF || b->filtering == NAT_EIF)
		return give(q, PATH_DIRECT, "one side's filtering is endpoint-independent");
	if (a->mapping == NAT_EIM && b->mapping == NAT_EIM)
		return give(q, PATH_DIRECT, "both sides map endpoint-independently");
	if (is_open_to_address(a, b) || is_open_to_address(b, a))
		return give(
			q, PATH_DIRECT, "one side maps endpoint-independently and filters by address only");
	if (a->giver || b->giver) {
		snprintf(q->out->why, sizeof(q->out->why),
			"the file does not say: '%.60s' maps a port for a program that asks for one",
			a->giver ? a->giver : b->giver);
		q->out->path = PATH_ANY;
		return true;
	}
	return give(q, PATH_RELAY,
		"a side's mapping depends on the destination and the other's filtering wants the exact "
		"endpoint");
}

/* What hairpins unfiltered comes in by any mapping, whomever that was made for: who is let in is up to the NATs below, and
 * they see the shared NAT's address. */
static bool is_open_below(const struct nat_model *shared, const struct side *below, const struct side *other)
{
	return !shared->hairpin_filters && below->mapping == NAT_EIM && below->filtering == NAT_ADF &&
	       !(shared->pool > 1 && other->wanders);
}

/* Below a shared NAT the address that STUN saw leads through its hairpin. */
static bool through_hairpin(
	const struct question *q, int top, const struct side *below_a, const struct side *below_b)
{
	const struct scenario *s = q->s;

	for (int i = q->lan; i >= 0; i = s->routers[i].behind) {
		if (!q->tcp && router_blocks_udp(q, i))
			return give(q, PATH_RELAY, "UDP is blocked between the shared router and STUN");
		if (is_router_cut(q, i))
			return give(q, PATH_ANY,
				"the file does not say: the shared router's link is cut, and whether its "
				"mappings are "
				"still known depends on when");
	}
	if (s->routers[top].model.hairpin == NAT_HAIRPIN_OFF)
		return give(q, PATH_RELAY, "the shared NAT does not hairpin");
	if (s->routers[top].model.hairpin == NAT_HAIRPIN_INTERNAL) {
		/* A packet comes from an address its receiver never wrote to, and the answer takes another
		 * way. */
		bool open = below_a->filtering == NAT_EIF && below_b->filtering == NAT_EIF && !q->tcp;
		return give(q, open ? PATH_DIRECT : PATH_RELAY,
			"the shared NAT hairpins without translating the source");
	}
	/* The shared NAT maps for both, and filters what hairpins only if it is said to. */
	const struct nat_model *shared = &s->routers[top].model;
	struct side a = side_up_to(q, q->a, top), b = side_up_to(q, q->b, top), home_a = a, home_b = b;
	pass_nat(q, &a, shared, shared->hairpin_filters);
	pass_nat(q, &b, shared, shared->hairpin_filters);
	if (is_open_below(shared, &home_a, &b) || is_open_below(shared, &home_b, &a))
		return give(q, PATH_DIRECT,
			"one side maps endpoint-independently below the shared NAT and filters by address "
			"only");
	a.forwarder = b.forwarder = NULL;
	return punched(q, &a, &b);
}

static bool has_no_network(const struct scn_node *n)
{
	size_t off = 0;
	for (size_t i = 0; i < n->n_ifaces; i++)
		off += n->ifaces[i].off;
	return n->n_ifaces && off == n->n_ifaces;
}

static bool share_lan(const struct scn_node *a, const struct scn_node *b)
{
	for (size_t i = 0; i < a->n_ifaces; i++)
		for (size_t k = 0; k < b->n_ifaces; k++)
			if (!a->ifaces[i].off && !b->ifaces[k].off && a->ifaces[i].network >= 0 &&
				a->ifaces[i].network == b->ifaces[k].network)
				return true;
	return a->router == b->router;
}

static bool reaches_v4(const struct scenario *s, const struct scn_node *n)
{
	return topology_has_v4(s, n->router) || topology_nat64(s, n->router) >= 0;
}

/* s: as it is after the steps. */
static void oracle_judge(
	const struct scenario *s, const struct oracle_question *asked, struct oracle_verdict *out)
{
	struct question q = { .s = s,
		.n_steps = asked->n_steps,
		.a = &s->nodes[asked->a],
		.b = &s->nodes[asked->b],
		.tcp = asked->tcp,
		.out = out };
	q.lan = meeting_lan(s, q.a, q.b);
	struct side a = side_up_to(&q, q.a, q.lan), b = side_up_to(&q, q.b, q.lan);
	int top = outermost_nat(s, q.lan);
	char why[120];

	if (is_changed(&q) || is_run_on(&q) || is_diverted(&q) || is_balanced(&q))
		return;
	if (has_no_network(q.a) || has_no_network(q.b)) {
		snprintf(why, sizeof(why), "'%.80s' is on no network",
			has_no_network(q.a) ? q.a->name : q.b->name);
		give(&q, PATH_NONE, why);
	} else if (a.cut || b.cut) {
		snprintf(why, sizeof(why), "the link of '%.80s' is cut", a.cut ? a.cut : b.cut);
		give(&q, PATH_NONE, why);
	} else if (a.unsure || b.unsure) {
		snprintf(why, sizeof(why),
			"the file does not say: the firewall of '%.60s' depends on ports or addresses",
			a.unsure ? a.unsure : b.unsure);
		give(&q, PATH_ANY, why);
	} else if (!q.tcp && (a.udp_blocked || b.udp_blocked)) {
		give(&q, PATH_RELAY, "UDP is blocked on the way");
	} else if (share_lan(q.a, q.b)) {
		give(&q, PATH_DIRECT, "one LAN: by the interface address");
	} else if (topology_has_v6(s, q.a->router) && topology_has_v6(s, q.b->router)) {
		give(&q, PATH_DIRECT, "by IPv6: both firewalls let in what was sent for first");
	} else if (!reaches_v4(s, q.a) || !reaches_v4(s, q.b)) {
		give(&q, PATH_RELAY, "one has IPv6 alone and the other IPv4 alone");
	} else if (!a.nat || !b.nat) {
		give(&q, PATH_DIRECT, "one side's interface address is reachable from the other");
	} else if (top < 0) {
		punched(&q, &a, &b);
	} else {
		through_hairpin(&q, top, &a, &b);
	}
}

void oracle_answer(const struct scenario *s, const struct oracle_question *q, struct oracle_verdict *out)
{
	struct scenario now;

	if (topology_after(s, q->n_steps, &now)) {
		out->path = PATH_ANY;
		snprintf(out->why, sizeof(out->why), "no memory for the question");
		return;
	}
	oracle_judge(&now, q, out);
	topology_after_free(&now);
}

void oracle_ask(const struct scenario *s, size_t n_steps, int node_a, int node_b, struct oracle_verdict *out)
{
	oracle_answer(s, &(struct oracle_question) { .n_steps = n_steps, .a = node_a, .b = node_b }, out);
}
