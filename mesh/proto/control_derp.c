#include "mesh/proto/shapes.h"
#include <stdio.h>
#include <stdlib.h>

/* It goes into heads of requests, to the relay and to a proxy: letters of names and addresses, and no others. */
static bool read_host(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
	const char *host;
	if (!json_str.read(in, v, &host, row))
		return false;
	if (host[strspn(host, letters)])
		return json_fail(in, "not a host name or an address");
	*(const char **)field = host;
	return true;
}

static void init_host(void *field, const struct json_row *row)
{
	json_str.init(field, row);
}

static void write_host(struct json_out *out, const void *field, const struct json_row *row)
{
	json_str.write(out, field, row);
}

static const struct json_codec host_name = { init_host, read_host, write_host,
	NULL /* it is never left out */ };

#define NODE(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_derp_node, field), flags, 0, NULL \
	}
static const struct json_row derp_node_rows[] = {
	NODE("Name", &json_str, name, 0),
	NODE("RegionID", &json_i32, region, 0),
	NODE("HostName", &host_name, host, 0),
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
	REGION("Latitude", &json_f64, latitude, JSON_OMIT, NULL),
	REGION("Longitude", &json_f64, longitude, JSON_OMIT, NULL),
	REGION("NoMeasureNoHome", &json_bool, no_measure, JSON_OMIT, NULL),
	REGION("Nodes", &json_list, nodes, 0, &derp_node_shape),
	{ 0 },
};
static const struct json_shape region_shape = { region_rows, sizeof(struct ctl_derp_region), NULL };

/* The map's key is the id; what RegionID fields leave out or contradict follows it. One whose id is none
 * (they are 16 bits in clients) stays 0 and is left out at the end: the others are good. */
static bool region_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct ctl_derp_region *r = element;
	int64_t id;
	if (!json_text_i64(key, &id))
		return json_fail(in, "not a region id");
	json_init(&region_shape, r);
	if (id <= 0 || id > UINT16_MAX)
		return true;
	if (!json_read_object(in, v, &region_shape, r))
		return false;
	r->id = (int32_t)id;
	for (size_t i = 0; i < r->n_nodes; i++)
		r->nodes[i].region = r->id;
	return true;
}

static void region_write(struct json_out *out, const void *element, bool *first)
{
	const struct ctl_derp_region *r = element;
	char key[16];
	snprintf(key, sizeof(key), "%d", (int)r->id);
	json_put_name(out, key, first);
	json_put_object(out, &region_shape, r);
}

static const struct json_map region_map = { sizeof(struct ctl_derp_region), false, region_read,
	region_write };

static bool read_regions(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	return json_map_list.read(in, v, field, row);
}

static void write_regions(struct json_out *out, const void *field, const struct json_row *row)
{
	json_map_list.write(out, field, row);
}

/* Null and absent regions both mean "as before"; an empty object means none: told apart by the pointer. */
static bool regions_absent(const void *field)
{
	return *(void *const *)field == NULL;
}

static const struct json_codec regions = { NULL, read_regions, write_regions, regions_absent };

static int compare_regions(const void *a, const void *b)
{
	const struct ctl_derp_region *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static bool finish_map(struct json_in *in, void *obj)
{
	struct ctl_derp_map *m = obj;
	size_t kept = 0;
	m->regions_null = !m->regions;
	if (!m->regions)
		return true;
	for (size_t i = 0; i < m->n_regions; i++)
		if (m->regions[i].id)
			m->regions[kept++] = m->regions[i];
	m->n_regions = kept;
	if (!kept)
		return true;
	qsort(m->regions, kept, sizeof(*m->regions), compare_regions);
	m->n_regions = 1;
	for (size_t i = 1; i < kept; i++) {
		if (m->regions[i].id != m->regions[m->n_regions - 1].id)
			m->regions[m->n_regions++] = m->regions[i];
		else if (!json_fail(in, "one region twice") && !json_leave_out(in)) /* "1" and "01" */
			return false;
	}
	return true;
}

static const struct json_row derp_map_rows[] = {
	{ "Regions", &regions, offsetof(struct ctl_derp_map, regions), JSON_OMIT, 0, &region_map },
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
