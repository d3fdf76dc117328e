#include "simnet/scenario/scenario_read.h"

#include <stdio.h>
#include <string.h>

/* Several outer sides of a router. One is in use at a time, with an address and mappings of its own; which one follows from
 * what the file and its `interface` steps say of each, so every change of the way out is known before the run. */

struct uplink_words {
	const char *at;
	const struct yaml_value *ip, *link;
	bool up;
	int metric;
};

static const struct schema_form ip_form = { .word = true };
#define AT(field) offsetof(struct uplink_words, field)
static const struct schema_row uplink_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true, .doc = "another router, or `internet`" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "chosen",
		.doc = "the router's outer address by it; on the internet any" },
	{ "metric", SCHEMA_INT, AT(metric), .min = 1, .max = INT32_MAX, .def = "100, 200, … in their order",
		.doc = "of those that are up the smallest is in use" },
	{ "up", SCHEMA_BOOL, AT(up), .def = "true", .doc = "`false`: a step raises it" },
	{ "link", SCHEMA_KEEP, AT(link), .form = &link_form, .doc = "what it does to packets" },
	{ 0 },
};
#undef AT
const struct schema_table uplink_table = {
	.name = "uplink", .about = "By the name that steps have for it.", .rows = uplink_rows
};

static int read_uplink(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_pair *p, struct scn_iface *f)
{
	struct uplink_words w = { .at = "internet", .up = true };
	char what[64];

	snprintf(what, sizeof(what), "uplink '%.32s'", p->key->text);
	int errors[5] = { iface_name_check(y, p->key), schema_read_map(y, p->value, what, uplink_rows, &w) };
	const struct yaml_value *at = p->value->type == YAML_MAP ? yaml_get(p->value, "at") : NULL;
	*f = (struct scn_iface) { .name = p->key->text,
		.at = w.ip ? w.ip->at : p->key->at,
		.network = -1,
		.off = !w.up,
		.metric = (uint32_t)w.metric,
		.ip_chosen = w.ip };
	errors[2] = at ? router_by_name(y, s, at->at, w.at, &f->network) : 0;
	errors[3] = w.ip ? address_read(y, w.ip, "ip", &f->ip) : 0;
	errors[4] = w.link ? link_read(y, w.link, &f->link) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	return 0;
}

/* Where one has a model all have, so that the router's outer side is no plain wire from the start. */
static int share_links(struct yaml_reader *y, struct scn_router *r)
{
	bool any = false;

	for (size_t i = 0; i < r->n_uplinks; i++)
		any |= r->uplinks[i].link != NULL;
	for (size_t i = 0; any && i < r->n_uplinks; i++) {
		struct link_model *m = arena_alloc(y->arena, sizeof(*m));
		if (!m)
			return yaml_no_memory(y);
		*m = r->uplinks[i].link ? *r->uplinks[i].link : (struct link_model) { 0 };
		m->changes = true;
		r->uplinks[i].link = m;
	}
	return 0;
}

int uplinks_read(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_value *v, struct scn_router *r)
{
	int first = 0;

	if (v->type != YAML_MAP || !v->n)
		return yaml_error(y, v->at, "'uplinks' must be a map of one at least, not %s",
			v->type == YAML_MAP ? "an empty one" : yaml_type_name(v));
	if (v->n > SCN_IFACES_MAX)
		return yaml_error(
			y, v->pairs[SCN_IFACES_MAX].key->at, "%zu uplinks; at most %d", v->n, SCN_IFACES_MAX);
	for (size_t i = 0; i < v->n; i++) {
		struct scn_iface *f = &r->uplinks[i];
		int err = read_uplink(y, s, &v->pairs[i], f);
		first = first ? first : err;
		if (!err && !f->metric)
			f->metric = (uint32_t)(i + 1) * 100;
	}
	r->n_uplinks = v->n;
	first = first ? first : share_links(y, r);
	if (first)
		return first;
	int used = topology_uplink_in_use(s, 0, (int)(r - s->routers));
	if (used < 0)
		return yaml_error(y, v->at, "router '%s' has no uplink that is up", r->name);
	r->uplink = (size_t)used;
	r->behind = r->uplinks[used].network;
	r->link = r->uplinks[used].link;
	r->wan_chosen = r->uplinks[used].ip_chosen;
	r->wan_at = r->uplinks[used].at;
	if (r->wan_chosen)
		r->wan = r->uplinks[used].ip;
	return 0;
}

static const char *const balance_words[] = { "flow", NULL };
const struct schema_form balance_form = { .words = balance_words };

int balance_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_router *r)
{
	static const struct schema_row row = { "balance", SCHEMA_WORD, 0, .words = balance_words };
	int word = 0;

	if (v->type == YAML_SCALAR && !strcmp(v->text, "packet"))
		return yaml_error(y, v->at,
			"'packet' would send one flow from several outer addresses, which no peer takes for "
			"one: 'balance' is 'flow'");
	int err = schema_read_scalar(y, v, "balance", &row, &word);
	if (err)
		return err;
	if (r->n_uplinks < 2)
		return yaml_error(y, v->at, "'balance' needs two 'uplinks' at least; router '%s' has %zu",
			r->name, r->n_uplinks);
	if (r->portmap)
		return yaml_error(y, v->at,
			"router '%s' has 'portmap', which maps ports of one outer address, and 'balance' "
			"uses "
			"several",
			r->name);
	if (r->routes.n)
		return yaml_error(y, v->at,
			"router '%s' has 'routes', which lead by one outer network, and 'balance' uses "
			"several",
			r->name);
	r->balances = true;
	return 0;
}

static int find_uplink(const struct step_place *c, const struct scn_router *r, const char *name)
{
	const char *names[SCN_IFACES_MAX + 1] = { NULL };

	for (size_t k = 0; k < r->n_uplinks; k++) {
		names[k] = r->uplinks[k].name;
		if (!strcmp(names[k], name))
			return (int)k;
	}
	yaml_error_near(
		c->y, step_where(c, "name"), name, names, "router '%s' has no uplink '%.40s'", r->name, name);
	return -1;
}

/* The outer side from here on is that of the uplink in use; of none, that of the last one, without a link. */
static void go_out_by(const struct scenario *s, struct scn_change *g)
{
	const struct scn_router *r = &s->routers[g->plug.router];
	const struct scn_iface *f = &r->uplinks[g->used];

	g->want = topology_iface(s, s->n_steps, g->plug);
	g->want.network = f->network;
	g->want.ip = f->ip; /* the plan's, which comes later when a file is read */
}

int uplink_change(const struct step_place *c, const struct scenario *s, const struct change_words *w,
	struct scn_change *g)
{
	int router = g->plug.router, before = topology_uplink_in_use(s, s->n_steps, router), after = -1;
	const struct scn_router *r = &s->routers[router];
	uint32_t metric = UINT32_MAX;

	if (!r->n_uplinks)
		return yaml_error(c->y, step_where(c, "at"),
			"router '%s' has no uplinks: its one outer side is changed by 'move' and 'lease'",
			r->name);
	if (w->to || w->ip)
		return yaml_error(c->y, step_where(c, w->to ? "to" : "ip"),
			"an uplink stays where 'routers' has it: a step raises or pulls it, or says its "
			"metric");
	if (r->balances && (w->for_ms || w->metric))
		return yaml_error(c->y, step_where(c, w->for_ms ? "for" : "metric"),
			"router '%s' balances over its uplinks: none of them is used before another",
			r->name);
	int k = find_uplink(c, r, w->interface);
	if (k < 0)
		return ERR_MALFORMED;
	const struct scn_iface now = topology_uplink(s, s->n_steps, router, (size_t)k);
	g->of_uplink = true;
	g->uplink = (size_t)k;
	g->off = change_says_up(c) ? !w->up : now.off;
	g->metric = w->metric ? (uint32_t)w->metric : now.metric;
	for (size_t i = 0; i < r->n_uplinks; i++) {
		struct scn_iface f = topology_uplink(s, s->n_steps, router, i);
		bool self = (int)i == k;
		if ((self ? g->off : f.off) || (self ? g->metric : f.metric) >= metric)
			continue;
		metric = self ? g->metric : f.metric;
		after = (int)i;
	}
	g->used = (size_t)(after >= 0 ? after : before >= 0 ? before : k);
	g->idle = after == before && !r->balances;
	go_out_by(s, g);
	g->want.off = after < 0;
	if (g->idle || after < 0)
		g->for_ms = 0;
	return 0;
}
