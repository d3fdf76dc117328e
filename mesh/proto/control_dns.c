#include "mesh/proto/shapes.h"
#include <string.h>

static const struct json_row resolver_rows[] = {
	{ "Addr", &json_str, offsetof(struct ctl_resolver, addr), 0, 0, NULL },
	{ 0 },
};
const struct json_shape resolver_shape = { resolver_rows, sizeof(struct ctl_resolver), NULL };
static const struct json_row resolvers_row = {
	.name = "Resolvers", .codec = &json_list, .arg = &resolver_shape
};

struct routes {
	struct ctl_route *v;
	size_t n;
};

static bool route_add(struct json_in *in, const char *key, const json_t *v, void *arg)
{
	struct routes *all = arg;
	struct ctl_route r = { .suffix = arena_strdup(in->arena, key) };
	struct {
		struct ctl_resolver *v;
		size_t n;
	} list = { 0 };
	if (!r.suffix || (!json_is_null(v) && !json_list.read(in, v, &list, &resolvers_row)))
		return false;
	r.resolvers = list.v;
	r.n = list.n;
	all->v[all->n++] = r;
	return true;
}

static bool read_routes(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	struct routes all = { .v = arena_array(in->arena, json_object_size(v), sizeof(*all.v)) };
	if (!all.v || !json_each(in, v, route_add, &all))
		return false;
	memcpy(field, &all, sizeof(all));
	return true;
}

static void write_routes(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct routes all;
	memcpy(&all, field, sizeof(all));
	bool first = true;
	json_put(out, "{");
	for (size_t i = 0; i < all.n; i++) {
		struct {
			struct ctl_resolver *v;
			size_t n;
		} list = { all.v[i].resolvers, all.v[i].n };
		json_put_name(out, all.v[i].suffix, &first);
		json_list.write(out, &list, &resolvers_row);
	}
	json_put(out, "}");
}

static bool routes_empty(const void *field)
{
	struct routes all;
	memcpy(&all, field, sizeof(all));
	return all.n == 0;
}

static const struct json_codec routes = { NULL, read_routes, write_routes, routes_empty };

static const struct json_row record_rows[] = {
	{ "Name", &json_str, offsetof(struct ctl_record, name), 0, 0, NULL },
	{ "Type", &json_str, offsetof(struct ctl_record, type), JSON_OMIT, 0, NULL },
	{ "Value", &json_str, offsetof(struct ctl_record, value), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape record_shape = { record_rows, sizeof(struct ctl_record), NULL };

#define DNS(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct ctl_dns, field), JSON_OMIT, 0, arg \
	}
static const struct json_row dns_rows[] = {
	DNS("Resolvers", &json_list, resolvers, &resolver_shape),
	DNS("Routes", &routes, routes, NULL),
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
