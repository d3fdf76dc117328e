#include "simnet/scenario/scenario_read.h"

#include <stdio.h>
#include <string.h>

/* The step `set`: what a link, a NAT, a firewall or a table of routes is from there on. */

static const struct schema_form set_firewall_form = { .map = &firewall_table },
				set_nptv6_form = { .map = &nptv6_table };

#define AT(field) offsetof(struct set_words, field)
static const struct schema_row set_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true, .doc = "a node or router" },
	{ "link", SCHEMA_KEEP, AT(link), .form = &link_form,
		.doc = "what it does to packets from here; what it does not say is as on a plain wire" },
	{ "nat", SCHEMA_KEEP, AT(nat), .form = &nat_form,
		.doc = "what the router is from here, as in `routers`; `pool` and `forwards` stay, and all "
		       "mappings "
		       "are gone" },
	{ "firewall", SCHEMA_KEEP, AT(firewall), .form = &set_firewall_form,
		.doc = "all its rules from here, as where the node or router is; flows that were let through "
		       "stay "
		       "known" },
	{ "nptv6", SCHEMA_KEEP, AT(nptv6), .form = &set_nptv6_form,
		.doc = "another outer prefix of a router that has one; its `inside` stays" },
	{ "routes", SCHEMA_KEEP, AT(routes), .form = &routes_form,
		.doc = "all of them from here, as where the interface or router is, `[]` none; what follows "
		       "from where it is plugged in stays" },
	{ "interface", SCHEMA_STRING, AT(interface), .def = "the one in use",
		.doc = "whose routes, of a node" },
	{ 0 },
};
#undef AT
const struct schema_table set_table = { .name = "set",
	.about = "The link of a node, or the outer one of a router, changes, and what is on its way goes on; "
		 "or a "
		 "router becomes another NAT, or a firewall has other rules, or other networks are reached "
		 "by somebody else. Needs one of `link`, `nat`, `firewall`, `nptv6` and `routes`.",
	.rows = set_rows };

/* Who has a link that changes has no plain wire from the start. Once the network is there (s->file) it is too late for
 * that, and the engine says so. */
static int set_link(
	const struct step_place *c, struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	int node = scenario_find_node(s, w->at), router = scenario_find_router(s, w->at);
	const struct link_model **link = node >= 0 ? &s->nodes[node].link : &s->routers[router].link;
	int err = link_read(c->y, w->link, &st->link);

	if (!err && router >= 0 && s->routers[router].balances)
		return yaml_error(c->y, step_where(c, "link"),
			"router '%s' balances over its uplinks, which have links of their own: say them in "
			"'routers'",
			w->at);
	if (err || s->file)
		return err;
	struct link_model *m = arena_alloc(c->y->arena, sizeof(*m));
	if (!m)
		return yaml_no_memory(c->y);
	*m = *link ? **link : (struct link_model) { 0 };
	m->changes = true;
	*link = m;
	return 0;
}

static int set_nat(
	const struct step_place *c, const struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	static const char *const fixed[] = { "pool", "pooling", "forwards" };
	int router = scenario_find_router(s, w->at);
	struct scn_router next = { 0 };

	if (router < 0)
		return yaml_error(c->y, step_where(c, "nat"), "'%s' is no router: it has no NAT", w->at);
	for (size_t i = 0; w->nat->type == YAML_MAP && i < ARRAY_LEN(fixed); i++)
		if (yaml_get(w->nat, fixed[i]))
			return yaml_error(c->y, yaml_get(w->nat, fixed[i])->at,
				"'%s' belongs to where router '%s' is: say it in 'routers'", fixed[i], w->at);
	int err = nat_read(c->y, w->nat, &next);
	if (err)
		return err;
	if (!s->routers[router].nat || !next.nat)
		return yaml_error(c->y, step_where(c, "nat"),
			"router '%s' %s: a step cannot give or take the translation, which addresses depend "
			"on",
			w->at, next.nat ? "does not translate" : "translates");
	struct nat_model *m = arena_alloc(c->y->arena, sizeof(*m));
	if (!m)
		return yaml_no_memory(c->y);
	*m = next.model;
	st->nat = m;
	return 0;
}

static int set_firewall(
	const struct step_place *c, struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	int node = scenario_find_node(s, w->at), router = scenario_find_router(s, w->at);
	struct scn_firewall *f = arena_alloc(c->y->arena, sizeof(*f)),
			    *had = node >= 0 ? &s->nodes[node].firewall : &s->routers[router].firewall;

	if (!f)
		return yaml_no_memory(c->y);
	st->firewall = f;
	had->changes |= !s->file;
	int err = firewall_read(c->y, w->firewall, f);
	if (err || !s->file)
		return err; /* the plan finds where redirects lead */
	size_t wrong;
	const char *why = topology_redirect(s, router, f, &wrong);
	return why ? yaml_error(c->y, f->out[wrong].at, "'%s': %s", f->out[wrong].text, why) : 0;
}

/* The outer prefix alone: hosts inside would else need other addresses. */
static int set_nptv6(
	const struct step_place *c, const struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	int router = scenario_find_router(s, w->at);
	struct nptv6 *to = arena_alloc(c->y->arena, sizeof(*to));

	if (router < 0 || !nptv6_is_there(&s->routers[router].nptv6))
		return yaml_error(c->y, step_where(c, "at"),
			"'%s' exchanges no IPv6 prefix: 'nptv6' of a router in 'routers' gives it one",
			w->at);
	if (!to)
		return yaml_no_memory(c->y);
	int err = nptv6_read(c->y, w->nptv6, to);
	if (err)
		return err;
	if (addr_is_unspecified(&to->outside) || yaml_get(w->nptv6, "inside"))
		return yaml_error(c->y, w->nptv6->at,
			"a step says the 'outside' of router '%s' anew, and nothing else: who is inside "
			"keeps its "
			"address",
			w->at);
	to->inside = s->routers[router].nptv6.inside;
	if (addr_equal(&to->inside, &to->outside))
		return yaml_error(c->y, w->nptv6->at, "'inside' and 'outside' are one network");
	for (int i = 0; i < (int)s->n_routers; i++) {
		const struct nptv6 other = topology_prefix(s, s->n_steps, i);
		if (i != router && nptv6_is_outside(&other, &to->outside))
			return yaml_error(c->y, w->nptv6->at,
				"routers '%s' and '%s' have one outer IPv6 prefix", s->routers[i].name,
				w->at);
	}
	st->nptv6 = to;
	return 0;
}

/* Those of a node are its interface's, which is else as it was. */
static int set_node_routes(const struct step_place *c, const struct scenario *s, const struct set_words *w,
	int node, struct scn_step *st)
{
	int iface = w->interface ? iface_by_name(c, "interface", node, w->interface)
				 : topology_in_use(s, s->n_steps, node);
	struct scn_change *g = iface < 0 ? NULL : arena_alloc(c->y->arena, sizeof(*g));

	if (iface < 0)
		return ERR_MALFORMED;
	if (!g)
		return yaml_no_memory(c->y);
	*g = (struct scn_change) { .plug = { node, -1, (size_t)iface }, .leaves = -1, .keeps_ip = true };
	g->want = topology_iface(s, s->n_steps, g->plug);
	g->want.routes = *st->routes;
	g->want.ip_chosen = false;
	st->change = g;
	return 0;
}

static int set_routes(
	const struct step_place *c, const struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	int node = scenario_find_node(s, w->at), router = scenario_find_router(s, w->at);
	struct scn_routes *to = arena_alloc(c->y->arena, sizeof(*to));
	size_t wrong;

	if (!to)
		return yaml_no_memory(c->y);
	*to = (struct scn_routes) { 0 };
	st->routes = to;
	if (node < 0 && w->interface)
		return yaml_error(c->y, step_where(c, "interface"),
			"'%s' is a router: its routes go by where the next one is", w->at);
	if (router >= 0 && s->routers[router].balances)
		return yaml_error(c->y, step_where(c, "routes"),
			"router '%s' balances over its uplinks: there is no one outer network by which "
			"routes "
			"could lead",
			w->at);
	int err = routes_read(c->y, w->routes, to);
	if (!err && node >= 0)
		err = set_node_routes(c, s, w, node, st);
	if (err || !s->file)
		return err; /* the plan finds whether they lead anywhere */
	const struct scn_plug plug = st->change ? st->change->plug : (struct scn_plug) { -1, router, 0 };
	const char *why = topology_routes_wrong(s, s->n_steps, plug, to, &wrong);
	return why ? yaml_error(c->y, to->v[wrong].at, "%s", why) : 0;
}

int set_read(const struct step_place *c, struct scenario *s, const struct set_words *w, struct scn_step *st)
{
	st->target = w->at;
	if (scenario_find_node(s, w->at) < 0 && scenario_find_router(s, w->at) < 0)
		return step_unknown_name(c, "at", "node or router", w->at, true, true);
	if (!!w->link + !!w->nat + !!w->firewall + !!w->nptv6 + !!w->routes != 1)
		return yaml_error(
			c->y, st->at, "set needs one of 'link', 'nat', 'firewall', 'nptv6' and 'routes'");
	if (w->interface && !w->routes)
		return yaml_error(c->y, step_where(c, "interface"), "'interface' goes with 'routes'");
	return w->link	     ? set_link(c, s, w, st)
	       : w->nat	     ? set_nat(c, s, w, st)
	       : w->firewall ? set_firewall(c, s, w, st)
	       : w->nptv6    ? set_nptv6(c, s, w, st)
			     : set_routes(c, s, w, st);
}
