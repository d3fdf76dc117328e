#include "simnet/scenario.h"

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

int topology_plan(struct scenario *s, struct errbuf *eb)
{
	struct prefix internet = net24(203, 0, 113);
	uint32_t hosts[LANS_MAX + 1],
		routers[LANS_MAX + 1]; /* next free number of each LAN; [0] is the internet */

	if (s->n_routers > LANS_MAX)
		return err_say(
			eb, ERR_TOO_LARGE, "%s: %zu routers; at most %d", s->file, s->n_routers, LANS_MAX);
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

/* What one side looks like from a network above it: the hardest of the NATs on the way up. */
struct side {
	bool nat, udp_blocked;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
};

static struct side side_up_to(const struct scenario *s, const struct scn_node *n, int top)
{
	struct side v = { .udp_blocked = n->udp_blocked };
	for (int i = n->router; i >= 0 && i != top; i = s->routers[i].behind) {
		const struct scn_router *r = &s->routers[i];
		v.udp_blocked |= r->udp_blocked;
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

/* The lowest LAN both nodes' packets meet on, as the router that owns it; -1 = the internet. */
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

static enum scn_path say(const char **why, const char *text, enum scn_path p)
{
	if (why)
		*why = text;
	return p;
}

static enum scn_path punched(const struct side *a, const struct side *b, const char **why)
{
	if (a->filtering == NAT_EIF || b->filtering == NAT_EIF)
		return say(why, "one side's filtering is endpoint-independent", PATH_DIRECT);
	if (a->mapping == NAT_EIM && b->mapping == NAT_EIM)
		return say(why, "both sides map endpoint-independently", PATH_DIRECT);
	if ((a->mapping == NAT_EIM && a->filtering == NAT_ADF) ||
		(b->mapping == NAT_EIM && b->filtering == NAT_ADF))
		return say(
			why, "one side maps endpoint-independently and filters by address only", PATH_DIRECT);
	return say(why,
		"a side's mapping depends on the destination and the other's filtering wants the exact port",
		PATH_RELAY);
}

/* Peers know of each other: interface addresses, and the address STUN saw on the internet. */
enum scn_path topology_oracle(const struct scenario *s, int node_a, int node_b, const char **why)
{
	const struct scn_node *a = &s->nodes[node_a], *b = &s->nodes[node_b];
	int lan = meeting_lan(s, a, b), top = outermost_nat(s, lan);
	struct side na = side_up_to(s, a, lan), nb = side_up_to(s, b, lan);

	if (na.udp_blocked || nb.udp_blocked)
		return say(why, "UDP is blocked on the way", PATH_RELAY);
	if (a->router == b->router)
		return say(why, "one LAN: by the interface address", PATH_DIRECT);
	if (!na.nat || !nb.nat)
		return say(why, "one side's interface address is reachable from the other", PATH_DIRECT);
	if (top < 0)
		return punched(&na, &nb, why);
	/* Below a shared NAT the address STUN saw leads through its hairpin. */
	for (int i = lan; i >= 0; i = s->routers[i].behind)
		if (s->routers[i].udp_blocked)
			return say(why, "UDP is blocked between the shared router and STUN", PATH_RELAY);
	if (s->routers[top].hairpin == NAT_HAIRPIN_OFF)
		return say(why, "the shared NAT does not hairpin", PATH_RELAY);
	if (s->routers[top].hairpin == NAT_HAIRPIN_INTERNAL) {
		/* A packet comes from an address its receiver never wrote to, and the answer takes another
		 * way. */
		bool open = na.filtering == NAT_EIF && nb.filtering == NAT_EIF;
		return say(why, "the shared NAT hairpins without translating the source",
			open ? PATH_DIRECT : PATH_RELAY);
	}
	na = side_up_to(s, a, -1);
	nb = side_up_to(s, b, -1);
	return punched(&na, &nb, why);
}
