/* Headscale's REST API as it was up to 0.25: routes by a number of their own. Consoles of that time list them and turn them
 * on and off. Here a route is what a node offers or an admin has approved: its number is made of the node's and of the
 * network, so that it is of no other route when the node offers others. */
#include "mesh/control/http/v1.h"

#include "mesh/base/noise.h"
#include "mesh/control/http/values.h"
#include <stdio.h>
#include <string.h>

enum { ROUTES_TEXT = 16384 };

struct route {
	struct prefix net; /* host bits cleared */
	char text[PREFIX_TEXT];
	bool offered;
};

static bool is_net(struct prefix p, const struct prefix *net)
{
	prefix_mask(&p);
	return prefix_equal(&p, net);
}

static bool is_among(const struct prefix *v, size_t n, const struct prefix *net)
{
	size_t i = 0;
	while (i < n && !is_net(v[i], net))
		i++;
	return i < n;
}

static bool is_written(const char *text, const struct prefix *net)
{
	struct prefix p;
	return prefix_parse(text, &p) && is_net(p, net);
}

static bool is_approved(const struct member *m, const struct prefix *net)
{
	size_t i = 0;
	while (i < m->routes.n && !is_written(m->routes.v[i], net))
		i++;
	return i < m->routes.n;
}

/* The routes of m, each once: those it offers, then those that are approved and not offered. at: 0 before the first.
 * false: no more. */
static bool next_route(const struct member *m, size_t *at, struct route *out)
{
	const struct ctl_prefixes *offers = &m->hostinfo.routable_ips;
	const size_t n = offers->n < REGISTRY_ROUTES_MAX ? offers->n : REGISTRY_ROUTES_MAX;
	while (*at < n + m->routes.n) {
		const size_t i = (*at)++;
		out->offered = i < n;
		if (out->offered)
			out->net = offers->v[i];
		else if (!prefix_parse(m->routes.v[i - n], &out->net))
			continue;
		prefix_mask(&out->net);
		if (is_among(offers->v, out->offered ? i : n, &out->net))
			continue;
		prefix_format(&out->net, out->text);
		return true;
	}
	return false;
}

/* Nobody but this server can say which network has the number of another. */
static int64_t number_of(const struct api *a, const struct member *m, const struct prefix *net)
{
	static const char what[] = "number of a route";
	uint8_t mac[32];
	uint32_t low;
	blake2s_hmac(a->reg->c.secret.b, KEY_LEN,
		(struct noise_part[]) {
			{ what, sizeof(what) }, { net->ip.b, sizeof(net->ip.b) }, { &net->bits, 1 } },
		3, mac);
	memcpy(&low, mac, sizeof(low));
	return (int64_t)((uint64_t)m->id << 32 | low);
}

/* In each of its routes, once in memory. Without the routes, which nodes had not there: with them, what a node offers would
 * be written as many times as there are routes. */
static json_t *node_value(const struct api *a, const struct member *m)
{
	json_t *o = v1_node(a, m);
	json_object_del(o, "approvedRoutes");
	json_object_del(o, "availableRoutes");
	json_object_del(o, "subnetRoutes");
	return o;
}

static json_t *route_value(const struct api *a, const struct member *m, const struct route *r, json_t *node)
{
	return json_pack("{s:o, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:n}", "id",
		v1_id(number_of(a, m, &r->net)), "node", json_incref(node), "prefix", r->text, "advertised",
		r->offered, "enabled", is_approved(m, &r->net), "isPrimary",
		is_among(m->served.v, m->served.n, &r->net), "createdAt", value_time(m->created_ms),
		"updatedAt", value_time(m->created_ms), "deletedAt");
}

/* false: memory is short. */
static bool add_routes(const struct api *a, const struct member *m, json_t *list)
{
	json_t *node = NULL;
	struct route r;
	bool good = true;
	for (size_t at = 0; good && next_route(m, &at, &r);) {
		node = node ? node : node_value(a, m);
		good = !json_array_append_new(list, route_value(a, m, &r, node));
	}
	json_decref(node);
	return good;
}

void v1_routes_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	bool good = true;
	for (size_t i = 0; i < f->n && good; i++)
		good = add_routes(c->api, f->v[i], list);
	if (!good) {
		json_decref(list);
		list = NULL;
	}
	api_reply_json(&c->way, 200, v1_one("routes", list));
}

static const struct member *find_route(const struct api *a, int64_t number, struct route *out)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, number >> 32);
	for (size_t at = 0; m && next_route(m, &at, out);)
		if (number_of(a, m, &out->net) == number)
			return m;
	return NULL;
}

/* The approved ones with this one or without it. */
static void change(struct api_call *c, bool on)
{
	char all[ROUTES_TEXT] = "";
	struct route r;
	size_t len = 0;
	int64_t number;
	if (!asked_part_id(c, 0, &number))
		return;
	const struct member *m = find_route(c->api, number, &r);
	if (!m) {
		api_reply_error(&c->way, 404, "no route has this number");
		return;
	}
	if (on)
		len = (size_t)snprintf(all, sizeof(all), "%s", r.text);
	for (size_t i = 0; i < m->routes.n && len < sizeof(all); i++)
		if (!is_written(m->routes.v[i], &r.net))
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
