#include "simnet/scenario/scenario.h"

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
