#include "simnet/scenario/scenario_read.h"

#include <stdio.h>
#include <string.h>

/* The steps that change where a host is plugged in. Each is the state of one interface from there on
 * (struct scn_change); what an interface is at a step is what the last such step before it said. */

static const char *const how_words[] = { "break-before-make", "make-before-break", NULL };
static const struct schema_form ip_form = { .word = true };

#define AT(field) offsetof(struct change_words, field)
static const struct schema_row move_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true,
		.doc = "a node, or a router: its outer side; all mappings are gone" },
	{ "to", SCHEMA_STRING, AT(to), .required = true, .doc = "a router, or `internet`" },
	{ "how", SCHEMA_WORD, AT(how), .words = how_words, .def = "break-before-make",
		.doc = "the old network goes before the new one is there, or after; a router only the "
		       "first" },
	{ "for", SCHEMA_DURATION, AT(for_ms), .def = "at once, or 1s",
		.doc = "how long neither is there, or both are" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "chosen", .doc = "its address there" },
	{ "interface", SCHEMA_STRING, AT(interface),
		.doc = "which is plugged in there, when not the one in use; that goes off" },
	{ 0 },
};
static const struct schema_row lease_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true,
		.doc = "a node, or a router: its outer side; all mappings are gone" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "chosen, and new", .doc = "the address" },
	{ "for", SCHEMA_DURATION, AT(for_ms), .def = "at once", .doc = "how long it has none" },
	{ "interface", SCHEMA_STRING, AT(interface), .def = "the one in use", .doc = "of a node" },
	{ 0 },
};
static const struct schema_row interface_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true, .doc = "the node, or a router with `uplinks`" },
	{ "name", SCHEMA_STRING, AT(interface), .required = true, .doc = "the interface or uplink" },
	{ "up", SCHEMA_BOOL, AT(up), .def = "as it is", .doc = "link, address and routes, or none of them" },
	{ "to", SCHEMA_STRING, AT(to), .def = "as it is", .doc = "where it is plugged in" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "as it is", .doc = "its address there" },
	{ "metric", SCHEMA_INT, AT(metric), .min = 1, .max = INT32_MAX, .def = "as it is",
		.doc = "of its routes; the smallest is used" },
	{ "for", SCHEMA_DURATION, AT(for_ms), .def = "at once",
		.doc = "how long nothing goes by it, or out of a router until another uplink is used" },
	{ 0 },
};
#undef AT
const struct schema_table move_table = { .name = "move",
	.about = "A host goes to another network. Its programs stay, and see what they would see there: the "
		 "link, the address and the routes.",
	.rows = move_rows };
const struct schema_table lease_table = { .name = "lease",
	.about = "A new address on the same network, as when DHCP or a provider gives another one.",
	.rows = lease_rows,
	.short_key = "at" };
const struct schema_table interface_step_table = { .name = "interface-step",
	.about = "One of several interfaces of a node, or uplinks of a router: plugged in, pulled, moved, or "
		 "used more or "
		 "less.",
	.rows = interface_rows };

int iface_by_name(const struct step_place *c, const char *key, int node, const char *name)
{
	const struct scn_node *n = &c->s->nodes[node];
	const char *names[SCN_IFACES_MAX + 1] = { NULL };

	for (size_t k = 0; k < n->n_ifaces; k++) {
		names[k] = n->ifaces[k].name;
		if (!strcmp(names[k], name))
			return (int)k;
	}
	yaml_error_near(
		c->y, step_where(c, key), name, names, "'%s' has no interface '%.40s'", n->name, name);
	return -1;
}

/* Another interface for the time when a host is on two networks: one that a move has left, or a new one. */
static int spare_iface(const struct step_place *c, struct scenario *s, int node, int in_use)
{
	static const char *const names[] = { "eth0", "eth1", "eth2", "eth3" };
	struct scn_node *n = &s->nodes[node];
	size_t name = 0;

	for (size_t k = 0; k < n->n_ifaces; k++)
		if ((int)k != in_use && (n->ifaces[k].spare || !n->ifaces[k].off) &&
			topology_iface(s, s->n_steps, (struct scn_plug) { node, -1, k }).off)
			return (int)k;
	if (n->n_ifaces == SCN_IFACES_MAX) {
		yaml_error(c->y, c->st->at, "'%s' has %d interfaces already: say which one with 'interface'",
			n->name, SCN_IFACES_MAX);
		return -1;
	}
	for (size_t k = 0; k < n->n_ifaces; k++)
		if (!strcmp(n->ifaces[k].name, names[name]))
			name++, k = (size_t)-1;
	n->ifaces[n->n_ifaces] = (struct scn_iface) {
		.name = names[name], .at = c->st->at, .network = -1, .off = true, .spare = true
	};
	return (int)n->n_ifaces++;
}

/* The new one is preferred, as the network that somebody has just chosen. A kernel's own metric (0) cannot be
 * bettered. */
static uint32_t better_metric(struct scenario *s, int node, int than)
{
	enum { METRIC = 1000 };
	struct scn_iface *f = &s->nodes[node].ifaces[than];

	if (!f->metric) {
		f->metric = METRIC;
		for (size_t i = 0; i < s->n_steps; i++) {
			struct scn_change *old = s->steps[i].change;
			if (old && old->plug.node == node && !old->want.metric)
				old->want.metric = METRIC;
		}
	}
	uint32_t now = topology_iface(s, s->n_steps, (struct scn_plug) { node, -1, (size_t)than }).metric;
	return now > 1 ? now - 1 : 1;
}

static int change_router(const struct step_place *c, const struct change_words *w, struct scn_change *g)
{
	const struct scn_router *r = &c->s->routers[g->plug.router];

	if (r->n_uplinks)
		return yaml_error(c->y, step_where(c, "at"),
			"router '%s' has uplinks, and they stay where they are: the step 'interface' raises "
			"and "
			"pulls them",
			r->name);
	if (w->how || w->interface)
		return yaml_error(c->y, step_where(c, w->how ? "how" : "interface"),
			"'%s' is a router: it has one outer side, which is moved as a whole", r->name);
	if (!r->nat || c->s->ipv6)
		return yaml_error(c->y, step_where(c, "at"),
			"router '%s' cannot change its outer side: %s, and others route to its inner network "
			"by it",
			r->name, r->nat ? "there is IPv6" : "it does not translate");
	if (r->model.pool > 1)
		return yaml_error(c->y, step_where(c, "at"),
			"router '%s' has a pool of outer addresses, which belong to where it is", r->name);
	return 0;
}

static int change_node(
	const struct step_place *c, struct scenario *s, const struct change_words *w, struct scn_change *g)
{
	int node = g->plug.node, in_use = topology_in_use(s, s->n_steps, node);
	int iface = w->interface ? iface_by_name(c, c->st->kind == STEP_INTERFACE ? "name" : "interface",
					   node, w->interface)
		    : w->how	 ? spare_iface(c, s, node, in_use)
				 : in_use;
	if (iface < 0)
		return ERR_MALFORMED;
	g->plug.iface = (size_t)iface;
	g->want = topology_iface(s, s->n_steps, g->plug);
	g->make_first = w->how;
	if (c->st->kind != STEP_MOVE)
		return 0;
	g->leaves = iface != in_use ? in_use : -1;
	if (w->how && iface == in_use)
		return yaml_error(c->y, step_where(c, "interface"),
			"'%s' is on '%s' already: make-before-break needs another interface",
			s->nodes[node].name, w->interface);
	if (w->how && !w->interface)
		g->want.metric = better_metric(s, node, in_use);
	return 0;
}

/* A router may not get behind what is behind it. */
static int check_circle(const struct step_place *c, const struct scn_change *g)
{
	struct scenario now;
	bool circle = false;

	if (g->plug.router < 0)
		return 0;
	if (topology_after(c->s, c->s->n_steps, &now))
		return err_say(c->y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", c->y->file);
	for (int up = g->want.network; up >= 0; up = now.routers[up].behind)
		circle |= up == g->plug.router;
	topology_after_free(&now);
	return circle ? yaml_error(c->y, step_where(c, "to"), "router '%s' would be behind itself",
				c->s->routers[g->plug.router].name)
		      : 0;
}

bool change_says_up(const struct step_place *c)
{
	return c->body->type == YAML_MAP && yaml_get(c->body, "up");
}

int change_read(
	const struct step_place *c, struct scenario *s, const struct change_words *w, struct scn_step *st)
{
	struct scn_change *g = arena_array(c->y->arena, 1, sizeof(*g));
	bool up_said = change_says_up(c);

	if (!g)
		return err_say(c->y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", c->y->file);
	*g = (struct scn_change) { .leaves = -1, .for_ms = w->for_ms };
	st->target = w->at;
	g->plug.node = scenario_find_node(s, w->at);
	g->plug.router = scenario_find_router(s, w->at);
	if (g->plug.node < 0 && g->plug.router < 0)
		return step_unknown_name(c, "at", "node or router", w->at, true, true);
	if (g->plug.router >= 0 && st->kind == STEP_INTERFACE) {
		st->change = g;
		return uplink_change(c, s, w, g);
	}
	int err = g->plug.router >= 0 ? change_router(c, w, g) : change_node(c, s, w, g);
	if (err)
		return err;
	if (g->plug.router >= 0)
		g->want = topology_iface(s, s->n_steps, g->plug);
	g->keeps_ip = st->kind == STEP_INTERFACE && !w->to;
	g->want.off = st->kind == STEP_INTERFACE && (up_said ? !w->up : g->want.off);
	g->want.at = w->ip ? w->ip->at : st->at;
	g->want.ip_chosen = w->ip;
	if (w->metric)
		g->want.metric = (uint32_t)w->metric;
	if (w->to && (err = router_by_name(c->y, s, step_where(c, "to"), w->to, &g->want.network)))
		return err;
	if (w->ip && (err = address_read(c->y, w->ip, "ip", &g->want.ip)))
		return err;
	if (g->make_first && !g->for_ms)
		g->for_ms = 1000;
	st->change = g;
	return check_circle(c, g);
}
