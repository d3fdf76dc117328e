#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

/* The words of a file about where a host is plugged in and with which address. */

int address_read(struct yaml_reader *y, const struct yaml_value *v, const char *key, struct addr *out)
{
	if (v->type != YAML_SCALAR || !addr_parse(v->text, out) || !addr_is_v4(out))
		return yaml_error(y, v->at, "'%s' must be an IPv4 address, as 192.168.1.20, not %s%s%s", key,
			v->type == YAML_SCALAR ? "'" : "",
			v->type == YAML_SCALAR ? v->text : yaml_type_name(v),
			v->type == YAML_SCALAR ? "'" : "");
	return 0;
}

static int read_prefix(struct yaml_reader *y, const struct yaml_value *v, const char *key, struct prefix *out)
{
	if (v->type == YAML_SCALAR && strchr(v->text, '/') && prefix_parse(v->text, out) &&
		addr_is_v4(&out->ip))
		return 0;
	return yaml_error(y, v->at, "'%s' must be an IPv4 network, as 192.168.1.0/24, not %s%s%s", key,
		v->type == YAML_SCALAR ? "'" : "", v->type == YAML_SCALAR ? v->text : yaml_type_name(v),
		v->type == YAML_SCALAR ? "'" : "");
}

int router_net_read(struct yaml_reader *y, const struct yaml_value *lan, const struct yaml_value *ip,
	struct scn_router *r)
{
	r->lan_chosen = lan;
	r->wan_chosen = ip;
	if (lan)
		r->lan_at = lan->at;
	if (ip)
		r->wan_at = ip->at;
	int err = lan ? read_prefix(y, lan, "lan", &r->lan_net) : 0;
	int more = ip ? address_read(y, ip, "ip", &r->wan) : 0;
	return err ? err : more;
}

/* ---- interfaces ---- */

struct iface_words {
	const char *at;
	const struct yaml_value *ip, *routes;
	bool up, by_default;
	int metric;
};

const struct schema_form routes_form = { .strings = true };
static const struct schema_form ip_form = { .word = true };
#define AT(field) offsetof(struct iface_words, field)
static const struct schema_row iface_rows[] = {
	{ "at", SCHEMA_STRING, AT(at), .required = true, .doc = "a router, or `internet`" },
	{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "chosen",
		.doc = "its address there; on the internet any" },
	{ "metric", SCHEMA_INT, AT(metric), .min = 1, .max = INT32_MAX, .def = "100, 200, … in their order",
		.doc = "of its routes; the smallest is used" },
	{ "default", SCHEMA_BOOL, AT(by_default), .def = "true", .doc = "a default route by it" },
	{ "routes", SCHEMA_KEEP, AT(routes), .form = &routes_form,
		.doc = "more networks that are reached by it: `10.0.0.0/8`, by its router, or `10.0.0.0/8 "
		       "via "
		       "192.168.1.7`" },
	{ "up", SCHEMA_BOOL, AT(up), .def = "true",
		.doc = "`false`: it is there, without link, address and route" },
	{ 0 },
};
#undef AT
const struct schema_table interface_table = {
	.name = "interface", .about = "By the name that it has on the host.", .rows = iface_rows
};

/* "10.0.0.0/8" or "10.0.0.0/8 via 192.168.1.7" */
static int read_route(struct yaml_reader *y, const struct yaml_value *v, struct scn_route *out)
{
	char dst[64] = "", via[64] = "", more[2];
	int n = v->type == YAML_SCALAR ? sscanf(v->text, "%63s via %63s %1s", dst, via, more) : 0;
	struct prefix masked;

	*out = (struct scn_route) { .via = addr_v4(0), .at = v->at };
	bool ok = (n == 1 || n == 2) && strchr(dst, '/') && prefix_parse(dst, &out->dst) &&
		  addr_is_v4(&out->dst.ip) &&
		  (n == 1 || (addr_parse(via, &out->via) && addr_is_v4(&out->via)));
	masked = out->dst;
	prefix_mask(&masked);
	if (ok && n == 1 && strlen(dst) != strlen(v->text))
		ok = false;
	return ok && prefix_equal(&masked, &out->dst)
		       ? 0
		       : yaml_error(y, v->at,
				 "a route is a network, as '10.0.0.0/8' or '10.0.0.0/8 via 192.168.1.7', not "
				 "%s%s%s",
				 v->type == YAML_SCALAR ? "'" : "",
				 v->type == YAML_SCALAR ? v->text : yaml_type_name(v),
				 v->type == YAML_SCALAR ? "'" : "");
}

int routes_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_routes *out)
{
	int first = 0;

	if (v->type != YAML_LIST)
		return yaml_error(y, v->at, "'routes' must be a list, not %s", yaml_type_name(v));
	if (v->n > SCN_ROUTES_MAX)
		return yaml_error(
			y, v->items[SCN_ROUTES_MAX]->at, "%zu routes; at most %d", v->n, SCN_ROUTES_MAX);
	out->v = arena_array(y->arena, v->n + 1, sizeof(*out->v));
	if (!out->v)
		return yaml_no_memory(y);
	for (size_t i = 0; i < v->n; i++) {
		int err = read_route(y, v->items[i], &out->v[out->n++]);
		first = first ? first : err;
	}
	return first;
}

int iface_name_check(struct yaml_reader *y, const struct yaml_value *key)
{
	size_t n = strspn(key->text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (!strcmp(key->text, "lo") || !strcmp(key->text, "all") || !strcmp(key->text, "default"))
		return yaml_error(y, key->at, "the name '%s' is taken by the kernel", key->text);
	return n && !key->text[n] && n < SCN_IFACE_NAME && key->text[0] != '-'
		       ? 0
		       : yaml_error(y, key->at,
				 "'%.100s' is not a usable name: small letters, digits and '-', at most %d",
				 key->text, SCN_IFACE_NAME - 1);
}

static int read_iface(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_pair *p, struct scn_iface *f)
{
	struct iface_words w = { .at = "internet", .up = true, .by_default = true };
	char what[64];

	snprintf(what, sizeof(what), "interface '%.32s'", p->key->text);
	int errors[5] = { iface_name_check(y, p->key), schema_read_map(y, p->value, what, iface_rows, &w) };
	const struct yaml_value *at = p->value->type == YAML_MAP ? yaml_get(p->value, "at") : NULL;
	*f = (struct scn_iface) { .name = p->key->text,
		.at = w.ip ? w.ip->at : p->key->at,
		.network = -1,
		.off = !w.up,
		.no_default = !w.by_default,
		.ip_chosen = w.ip };
	f->metric = (uint32_t)w.metric;
	errors[2] = at ? router_by_name(y, s, at->at, w.at, &f->network) : 0;
	errors[3] = w.ip ? address_read(y, w.ip, "ip", &f->ip) : 0;
	errors[4] = w.routes ? routes_read(y, w.routes, &f->routes) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	return 0;
}

int interfaces_read(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_value *v, struct scn_node *n)
{
	int first = 0;

	if (v->type != YAML_MAP || !v->n)
		return yaml_error(y, v->at, "'interfaces' must be a map of one at least, not %s",
			v->type == YAML_MAP ? "an empty one" : yaml_type_name(v));
	if (v->n > SCN_IFACES_MAX)
		return yaml_error(y, v->pairs[SCN_IFACES_MAX].key->at, "%zu interfaces; at most %d", v->n,
			SCN_IFACES_MAX);
	for (size_t i = 0; i < v->n; i++) {
		struct scn_iface *f = &n->ifaces[i];
		int err = read_iface(y, s, &v->pairs[i], f);
		first = first ? first : err;
		if (!err && !f->metric && v->n > 1) /* as a network manager does: in their order */
			f->metric = (uint32_t)(i + 1) * 100;
	}
	n->n_ifaces = v->n;
	n->router = n->ifaces[0].network;
	return first;
}

int place_read(struct yaml_reader *y, const struct yaml_value *ip, struct scn_node *n)
{
	struct scn_iface *f = &n->ifaces[0];

	*f = (struct scn_iface) { .name = "eth0", .at = ip ? ip->at : n->at, .network = n->router };
	n->n_ifaces = 1;
	if (!ip)
		return 0;
	f->ip_chosen = true;
	return address_read(y, ip, "ip", &f->ip);
}
