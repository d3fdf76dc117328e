/* Headscale's REST API as it was up to 0.25: routes by a number of their own. Consoles of that time list them and turn them
 * on and off. Here a route is what a node offers or an admin has approved: its number is the node's and its place. */
#include "mesh/control/http/v1.h"

#include "mesh/control/http/values.h"
#include <stdio.h>
#include <string.h>

enum { PER_NODE = 1024, ROUTES_TEXT = 16384 };

static bool is_approved(const struct member *m, const char *route)
{
	for (size_t i = 0; i < m->routes.n; i++)
		if (!strcmp(m->routes.v[i], route))
			return true;
	return false;
}

/* The i-th route of m: those it offers, then those that are approved and not offered. NULL: no more. */
static const char *route_at(const struct member *m, size_t i, bool *offered, char text[static PREFIX_TEXT])
{
	const struct ctl_prefixes *offers = &m->hostinfo.routable_ips;
	*offered = i < offers->n;
	if (*offered)
		return prefix_format(&offers->v[i], text);
	i -= offers->n;
	for (size_t k = 0; k < m->routes.n; k++) {
		bool known = false;
		for (size_t n = 0; n < offers->n && !known; n++)
			known = !strcmp(prefix_format(&offers->v[n], text), m->routes.v[k]);
		if (!known && !i--)
			return m->routes.v[k];
	}
	return NULL;
}

static bool is_served(const struct member *m, const char *route)
{
	char text[PREFIX_TEXT];
	for (size_t i = 0; i < m->served.n; i++)
		if (!strcmp(prefix_format(&m->served.v[i], text), route))
			return true;
	return false;
}

static json_t *route_value(
	const struct api *a, const struct member *m, size_t i, const char *route, bool offered)
{
	return json_pack("{s:o, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:n}", "id",
		v1_id(m->id * PER_NODE + (int64_t)i), "node", v1_node(a, m), "prefix", route, "advertised",
		offered, "enabled", is_approved(m, route), "isPrimary", is_served(m, route), "createdAt",
		value_time(m->created_ms), "updatedAt", value_time(m->created_ms), "deletedAt");
}

void v1_routes_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	char text[PREFIX_TEXT];
	const char *route;
	bool offered;
	for (size_t k = 0; k < f->n; k++)
		for (size_t i = 0; i < PER_NODE && (route = route_at(f->v[k], i, &offered, text)); i++)
			json_array_append_new(list, route_value(c->api, f->v[k], i, route, offered));
	api_reply_json(&c->way, 200, v1_one("routes", list));
}

/* The approved ones with this one or without it. */
static void change(struct api_call *c, bool on)
{
	char text[PREFIX_TEXT], all[ROUTES_TEXT] = "";
	size_t len = 0;
	bool offered;
	int64_t id;
	if (!asked_part_id(c, 0, &id))
		return;
	const struct member *m = fleet_by_id(&c->api->reg->fleet, id / PER_NODE);
	const char *route = m ? route_at(m, (size_t)(id % PER_NODE), &offered, text) : NULL;
	if (!route) {
		api_reply_error(&c->way, 404, "no route has this number");
		return;
	}
	if (on)
		len = (size_t)snprintf(all, sizeof(all), "%s", route);
	for (size_t i = 0; i < m->routes.n && len < sizeof(all); i++)
		if (strcmp(m->routes.v[i], route) != 0)
			len += (size_t)snprintf(
				all + len, sizeof(all) - len, "%s%s", len ? "," : "", m->routes.v[i]);
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w)
		registry_node_routes(c->api->reg, m->id, all, w);
}

void v1_routes_enable(struct api_call *c)
{
	change(c, true);
}

void v1_routes_disable(struct api_call *c)
{
	change(c, false);
}
