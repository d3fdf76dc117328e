#include "mesh/proto/shapes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_derp_node, field), flags, 0, NULL \
	}
static const struct json_row derp_node_rows[] = {
	NODE("Name", &json_str, name, 0),
	NODE("RegionID", &json_i32, region, 0),
	NODE("HostName", &json_str, host, 0),
	NODE("CertName", &json_str, cert_name, JSON_OMIT),
	NODE("IPv4", &json_str, ipv4, JSON_OMIT),
	NODE("IPv6", &json_str, ipv6, JSON_OMIT),
	NODE("STUNPort", &json_i32, stun_port, JSON_OMIT),
	NODE("STUNOnly", &json_bool, stun_only, JSON_OMIT),
	NODE("DERPPort", &json_i32, derp_port, JSON_OMIT),
	NODE("InsecureForTests", &json_bool, insecure, JSON_OMIT),
	NODE("STUNTestIP", &json_str, stun_test_ip, JSON_OMIT),
	{ 0 },
};
static const struct json_shape derp_node_shape = { derp_node_rows, sizeof(struct ctl_derp_node), NULL };

#define REGION(name, codec, field, flags, arg) \
	{ \
		name, codec, offsetof(struct ctl_derp_region, field), flags, 0, arg \
	}
static const struct json_row region_rows[] = {
	REGION("RegionID", &json_i32, id, 0, NULL),
	REGION("RegionCode", &json_str, code, 0, NULL),
	REGION("RegionName", &json_str, name, 0, NULL),
	REGION("NoMeasureNoHome", &json_bool, no_measure, JSON_OMIT, NULL),
	REGION("Nodes", &json_list, nodes, 0, &derp_node_shape),
	{ 0 },
};
static const struct json_shape region_shape = { region_rows, sizeof(struct ctl_derp_region), NULL };

struct regions {
	struct ctl_derp_region *v;
	size_t n;
};

/* The map's key is the id; what RegionID fields leave out or contradict follows it. */
static bool region_add(struct json_in *in, const char *key, const json_t *v, void *arg)
{
	struct regions *all = arg;
	int64_t id;
	if (!json_text_i64(key, &id) || id <= 0 || id > UINT16_MAX)
		return json_fail(in, "not a region id");
	if (json_is_null(v))
		return true;
	struct ctl_derp_region *r = &all->v[all->n];
	json_init(&region_shape, r);
	if (!json_read_object(in, v, &region_shape, r))
		return false;
	r->id = (int32_t)id;
	for (size_t i = 0; i < r->n_nodes; i++)
		r->nodes[i].region = r->id;
	all->n++;
	return true;
}

static int compare_regions(const void *a, const void *b)
{
	const struct ctl_derp_region *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static bool read_regions(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	struct regions all = { .v = arena_array(in->arena, json_object_size(v), sizeof(*all.v)) };
	if (!all.v || !json_each(in, v, region_add, &all))
		return false;
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), compare_regions);
	for (size_t i = 1; i < all.n; i++)
		if (all.v[i].id == all.v[i - 1].id) /* "1" and "01" */
			return json_fail(in, "one region twice");
	memcpy(field, &all, sizeof(all));
	return true;
}

static void write_regions(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	struct regions all;
	memcpy(&all, field, sizeof(all));
	bool first = true;
	json_put(out, "{");
	for (size_t i = 0; i < all.n; i++) {
		char key[16];
		snprintf(key, sizeof(key), "%d", (int)all.v[i].id);
		json_put_name(out, key, &first);
		json_put_object(out, &region_shape, &all.v[i]);
	}
	json_put(out, "}");
}

/* Null and absent regions both mean "as before"; an empty object means none: told apart by the pointer. */
static bool regions_absent(const void *field)
{
	struct regions all;
	memcpy(&all, field, sizeof(all));
	return !all.v;
}

static const struct json_codec regions = { NULL, read_regions, write_regions, regions_absent };

static bool finish_map(struct json_in *in, void *obj)
{
	struct ctl_derp_map *m = obj;
	(void)in;
	m->regions_null = !m->regions;
	return true;
}

static const struct json_row derp_map_rows[] = {
	{ "Regions", &regions, offsetof(struct ctl_derp_map, regions), JSON_OMIT, 0, NULL },
	{ "omitDefaultRegions", &json_bool, offsetof(struct ctl_derp_map, omit_default), JSON_OMIT, 0, NULL },
	{ 0 },
};
const struct json_shape derp_map_shape = { derp_map_rows, sizeof(struct ctl_derp_map), finish_map };

int ctl_derp_map_read(
	struct arena *a, const char *json, size_t len, struct ctl_derp_map *out, struct errbuf *eb)
{
	return json_read(a, json, len, &derp_map_shape, out, eb);
}

bool ctl_derp_map_write(struct buf *out, const struct ctl_derp_map *m)
{
	return json_write(out, &derp_map_shape, m);
}
