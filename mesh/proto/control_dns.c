#include "mesh/proto/shapes.h"

static const struct json_row resolver_rows[] = {
	{ "Addr", &json_str, offsetof(struct ctl_resolver, addr), JSON_MUST, 0, NULL },
	{ "BootstrapResolution", &json_strings, offsetof(struct ctl_resolver, bootstrap), JSON_OMIT, 0,
		NULL },
	{ "RopewalkPins", &json_strings, offsetof(struct ctl_resolver, pins), JSON_OMIT, 0, NULL },
	{ "UseWithExitNode", &json_bool, offsetof(struct ctl_resolver, with_exit), JSON_OMIT, 0, NULL },
	{ 0 },
};
const struct json_shape resolver_shape = { resolver_rows, sizeof(struct ctl_resolver), NULL };
static const struct json_row resolvers_row = {
	.name = "Resolvers", .codec = &json_list, .arg = &resolver_shape
};

static bool route_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct ctl_route *r = element;
	r->suffix = arena_strdup(in->arena, key);
	if (!r->suffix || (!json_is_null(v) && !json_list.read(in, v, &r->resolvers, &resolvers_row)))
		return false;
	return r->n || !json_array_size(v) || json_fail(in, "no resolver in it");
}

static void route_write(struct json_out *out, const void *element, bool *first)
{
	const struct ctl_route *r = element;
	json_put_name(out, r->suffix, first);
	json_list.write(out, &r->resolvers, &resolvers_row);
}

/* No resolvers, written as null or [], is a fact about the suffix. */
static const struct json_map route_map = { sizeof(struct ctl_route), true, route_read, route_write };

static const struct json_row record_rows[] = {
	{ "Name", &json_str, offsetof(struct ctl_record, name), JSON_MUST, 0, NULL },
	{ "Type", &json_str, offsetof(struct ctl_record, type), JSON_OMIT | JSON_MUST, 0, NULL },
	{ "Value", &json_str, offsetof(struct ctl_record, value), JSON_MUST, 0, NULL },
	{ 0 },
};
const struct json_shape record_shape = { record_rows, sizeof(struct ctl_record), NULL };

#define DNS(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct ctl_dns, field), JSON_OMIT, 0, arg \
	}
static const struct json_row dns_rows[] = {
	DNS("Resolvers", &json_list, resolvers, &resolver_shape),
	DNS("Routes", &json_map_list, routes, &route_map),
	DNS("FallbackResolvers", &json_list, fallback, &resolver_shape),
	DNS("Domains", &json_strings, domains, NULL),
	DNS("Proxied", &json_bool, proxied, NULL),
	DNS("ExtraRecords", &json_list, extra, &record_shape),
	{ 0 },
};
const struct json_shape dns_shape = { dns_rows, sizeof(struct ctl_dns), NULL };

int ctl_dns_read(struct arena *a, const char *json, size_t len, struct ctl_dns *out, struct errbuf *eb)
{
	return json_read(a, json, len, &dns_shape, out, eb);
}

bool ctl_dns_write(struct buf *out, const struct ctl_dns *m)
{
	return json_write(out, &dns_shape, m);
}
