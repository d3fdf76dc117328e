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

/* ---- the way ---- */

/* What one side looks like from a network above it: the hardest of the NATs on the way up. */
struct side {
	bool nat, udp_blocked;
	const char *cut; /* whose link is cut on the way; NULL = nobody's */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
};

static struct side side_up_to(const struct question *q, const struct scn_node *n, int top)
{
	struct side v = { .udp_blocked = node_blocks_udp(q, n) };

	if (is_cut(q, n->name, "link", false))
		v.cut = n->name;
	for (int i = n->router; i >= 0 && i != top; i = q->s->routers[i].behind) {
		const struct scn_router *r = &q->s->routers[i];
		v.udp_blocked |= router_blocks_udp(q, i);
		if (is_cut(q, r->name, "link", false))
			v.cut = r->name;
		if (!r->nat)
			continue;
		v.nat = true;
		if (r->mapping > v.mapping)
			v.mapping = r->mapping;
		if (r->filtering > v.filtering)
			v.filtering = r->filtering;
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

static bool punched(const struct question *q, const struct side *a, const struct side *b)
{
	if (a->filtering == NAT_EIF || b->filtering == NAT_EIF)
		return give(q, PATH_DIRECT, "one side's filtering is endpoint-independent");
	if (a->mapping == NAT_EIM && b->mapping == NAT_EIM)
		return give(q, PATH_DIRECT, "both sides map endpoint-independently");
	if ((a->mapping == NAT_EIM && a->filtering == NAT_ADF) ||
		(b->mapping == NAT_EIM && b->filtering == NAT_ADF))
		return give(
			q, PATH_DIRECT, "one side maps endpoint-independently and filters by address only");
	return give(q, PATH_RELAY,
		"a side's mapping depends on the destination and the other's filtering wants the exact port");
}

/* Below a shared NAT the address that STUN saw leads through its hairpin. */
static bool through_hairpin(
	const struct question *q, int top, const struct side *below_a, const struct side *below_b)
{
	const struct scenario *s = q->s;

	for (int i = q->lan; i >= 0; i = s->routers[i].behind) {
		if (router_blocks_udp(q, i))
			return give(q, PATH_RELAY, "UDP is blocked between the shared router and STUN");
		if (is_cut(q, s->routers[i].name, "link", false))
			return give(q, PATH_ANY,
				"the file does not say: the shared router's link is cut, and whether its "
				"mappings are "
				"still known depends on when");
	}
	if (s->routers[top].hairpin == NAT_HAIRPIN_OFF)
		return give(q, PATH_RELAY, "the shared NAT does not hairpin");
	if (s->routers[top].hairpin == NAT_HAIRPIN_INTERNAL) {
		/* A packet comes from an address its receiver never wrote to, and the answer takes another
		 * way. */
		bool open = below_a->filtering == NAT_EIF && below_b->filtering == NAT_EIF;
		return give(q, open ? PATH_DIRECT : PATH_RELAY,
			"the shared NAT hairpins without translating the source");
	}
	struct side a = side_up_to(q, q->a, -1), b = side_up_to(q, q->b, -1);
	return punched(q, &a, &b);
}

void oracle_ask(const struct scenario *s, size_t n_steps, int node_a, int node_b, struct oracle_verdict *out)
{
	struct question q = {
		.s = s, .n_steps = n_steps, .a = &s->nodes[node_a], .b = &s->nodes[node_b], .out = out
	};
	q.lan = meeting_lan(s, q.a, q.b);
	struct side a = side_up_to(&q, q.a, q.lan), b = side_up_to(&q, q.b, q.lan);
	int top = outermost_nat(s, q.lan);
	char why[120];

	if (is_changed(&q))
		return;
	if (a.cut || b.cut) {
		snprintf(why, sizeof(why), "the link of '%.80s' is cut", a.cut ? a.cut : b.cut);
		give(&q, PATH_NONE, why);
	} else if (a.udp_blocked || b.udp_blocked) {
		give(&q, PATH_RELAY, "UDP is blocked on the way");
	} else if (q.a->router == q.b->router) {
		give(&q, PATH_DIRECT, "one LAN: by the interface address");
	} else if (!a.nat || !b.nat) {
		give(&q, PATH_DIRECT, "one side's interface address is reachable from the other");
	} else if (s->ipv6) {
		give(&q, PATH_DIRECT, "by IPv6: both firewalls let in what was sent for first");
	} else if (top < 0) {
		punched(&q, &a, &b);
	} else {
		through_hairpin(&q, top, &a, &b);
	}
}
