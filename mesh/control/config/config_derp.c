/* DERP map files. tailscale-protocol.md 2.5; names as in Headscale's files (lower case) or in the map's own
 * JSON. */
#include "mesh/control/config/config.h"

#include "mesh/base/text.h"
#include "mesh/control/config/document.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DERP_FILE_BYTES_MAX = 4 * 1024 * 1024, REGION_MAX = 65535 };

struct reading {
	struct document d;
	struct arena *a;
};

/* Value of the lower-case name in a mapping; NULL when absent or null. */
static yaml_node_t *field(struct reading *r, yaml_node_t *map, const char *name)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *value = document_node(&r->d, p->value);
		if (!strcasecmp(document_text(document_node(&r->d, p->key)), name))
			return document_is_null(value) ? NULL : value;
	}
	return NULL;
}

static bool has_key(struct reading *r, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return false;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
		if (!strcasecmp(document_text(document_node(&r->d, p->key)), name))
			return true;
	return false;
}

/* Names that are not read here are those that others put into such files and servers do not need. */
static const char *const map_keys[] = { "regions", "homeparams", "omitdefaultregions", NULL };
static const char *const region_keys[] = { "regionid", "regioncode", "regionname", "nomeasurenohome", "nodes",
	"latitude", "longitude", "avoid", NULL };
static const char *const node_keys[] = { "name", "regionid", "hostname", "certname", "ipv4", "ipv6",
	"stunport", "stunonly", "stuntestip", "derpport", "insecurefortests", "canport80", "forcehttp",
	NULL };

static int check_keys(struct reading *r, yaml_node_t *map, const char *const *known)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *key = document_node(&r->d, p->key);
		const char *name = document_text(key);
		size_t i = 0;
		while (known[i] && strcasecmp(known[i], name) != 0)
			i++;
		if (known[i])
			continue;
		const char *near = text_nearest(name, known);
		return document_refuse(&r->d, key, "unknown key \"%.64s\"%s%s%s", name,
			near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	return 0;
}

static int take_text(struct reading *r, yaml_node_t *map, const char *name, const char **out)
{
	yaml_node_t *n = field(r, map, name);
	*out = "";
	if (!n)
		return 0;
	if (!document_text(n))
		return document_refuse(&r->d, n, "%s must be a text", name);
	*out = arena_strdup(r->a, document_text(n));
	return *out ? 0 : -ENOMEM;
}

static int take_number(struct reading *r, yaml_node_t *map, const char *name, int32_t min, int32_t *out)
{
	yaml_node_t *n = field(r, map, name);
	const char *text = document_text(n);
	uint64_t v;
	if (!n)
		return 0;
	if (text && *text == '-' && min < 0 && text_u64(text + 1, 1, (uint64_t)-min, &v)) {
		*out = -(int32_t)v;
		return 0;
	}
	if (!text || !text_u64(text, 0, REGION_MAX, &v))
		return document_refuse(&r->d, n, "%s must be a number from %d to %d", name, min, REGION_MAX);
	*out = (int32_t)v;
	return 0;
}

static int take_bool(struct reading *r, yaml_node_t *map, const char *name, bool *out)
{
	yaml_node_t *n = field(r, map, name);
	const char *text = document_text(n);
	if (!n)
		return 0;
	if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
		return document_refuse(&r->d, n, "%s must be true or false", name);
	*out = !strcmp(text, "true");
	return 0;
}

/* Of its city: clients judge by it how far an exit is that has no relay of its own. */
static int take_degrees(struct reading *r, yaml_node_t *map, const char *name, double most, double *out)
{
	yaml_node_t *n = field(r, map, name);
	const char *text = document_text(n);
	char *end = NULL;
	if (!n)
		return 0;
	double v = text && *text && !text[strspn(text, "-0123456789.")] ? strtod(text, &end) : 0;
	if (!end || *end || v < -most || v > most)
		return document_refuse(&r->d, n, "%s must be degrees from %g to %g", name, -most, most);
	*out = v;
	return 0;
}

static bool is_address(const char *text, bool v4)
{
	struct addr a;
	return !*text || !strcmp(text, "none") || (addr_parse(text, &a) && addr_is_v4(&a) == v4);
}

static bool is_pin(const char *text)
{
	static const char prefix[] = "sha256-raw:";
	const char *hex = text + sizeof(prefix) - 1;
	return strncmp(text, prefix, sizeof(prefix) - 1) != 0 ||
	       (strlen(hex) == 64 && strspn(hex, "0123456789abcdefABCDEF") == 64);
}

/* A mistake here would show on every node, as a relay that nobody reaches. */
static int check_relay(struct reading *r, yaml_node_t *n, const struct ctl_derp_node *out)
{
	if (!*out->host)
		return document_refuse(&r->d, n, "a relay needs a hostname (a name or an address)");
	if (strspn(out->host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") !=
		strlen(out->host))
		return document_refuse(
			&r->d, field(r, n, "hostname"), "hostname is not a name or an address");
	if (!is_address(out->ipv4, true))
		return document_refuse(&r->d, field(r, n, "ipv4"),
			"ipv4: \"%.64s\" is not an IPv4 address, nor none", out->ipv4);
	if (!is_address(out->ipv6, false))
		return document_refuse(&r->d, field(r, n, "ipv6"),
			"ipv6: \"%.64s\" is not an IPv6 address, nor none", out->ipv6);
	if (!is_pin(out->cert_name))
		return document_refuse(&r->d, field(r, n, "certname"),
			"certname: behind sha256-raw: come 64 hex digits, as ropewalk-relay prints them");
	return 0;
}

static int take_node(struct reading *r, yaml_node_t *n, int32_t region, struct ctl_derp_node *out)
{
	int32_t id = region;
	int err;
	if (n->type != YAML_MAPPING_NODE)
		return document_refuse(&r->d, n, "a relay must be a mapping");
	if ((err = check_keys(r, n, node_keys)) || (err = take_text(r, n, "name", &out->name)) ||
		(err = take_text(r, n, "hostname", &out->host)) ||
		(err = take_text(r, n, "certname", &out->cert_name)) ||
		(err = take_text(r, n, "ipv4", &out->ipv4)) || (err = take_text(r, n, "ipv6", &out->ipv6)) ||
		(err = take_text(r, n, "stuntestip", &out->stun_test_ip)) ||
		(err = take_number(r, n, "regionid", 0, &id)) ||
		(err = take_number(r, n, "stunport", -1, &out->stun_port)) ||
		(err = take_number(r, n, "derpport", 0, &out->derp_port)) ||
		(err = take_bool(r, n, "stunonly", &out->stun_only)) ||
		(err = take_bool(r, n, "insecurefortests", &out->insecure)))
		return err;
	if (id != region)
		return document_refuse(&r->d, n, "regionid %d of a relay in region %d", id, region);
	if ((err = check_relay(r, n, out)))
		return err;
	out->region = region;
	if (!*out->name)
		out->name = out->host;
	return 0;
}

static int take_region(struct reading *r, yaml_node_t *key, yaml_node_t *n, struct ctl_derp_region *out)
{
	uint64_t id;
	int err;
	if (!text_u64(document_text(key), 1, REGION_MAX, &id))
		return document_refuse(&r->d, key, "a region's key must be its number, 1 to %d", REGION_MAX);
	if (n->type != YAML_MAPPING_NODE)
		return document_refuse(&r->d, n, "a region must be a mapping");
	int32_t said = (int32_t)id;
	*out = (struct ctl_derp_region) { .id = said };
	if ((err = check_keys(r, n, region_keys)) || (err = take_number(r, n, "regionid", 0, &said)) ||
		(err = take_text(r, n, "regioncode", &out->code)) ||
		(err = take_text(r, n, "regionname", &out->name)) ||
		(err = take_degrees(r, n, "latitude", 90, &out->latitude)) ||
		(err = take_degrees(r, n, "longitude", 180, &out->longitude)) ||
		(err = take_bool(r, n, "nomeasurenohome", &out->no_measure)))
		return err;
	if (said != out->id)
		return document_refuse(
			&r->d, field(r, n, "regionid"), "regionid %d of region %d", said, out->id);
	yaml_node_t *nodes = field(r, n, "nodes");
	if (!nodes)
		return 0;
	if (nodes->type != YAML_SEQUENCE_NODE)
		return document_refuse(&r->d, nodes, "nodes must be a list");
	size_t count = (size_t)(nodes->data.sequence.items.top - nodes->data.sequence.items.start);
	out->nodes = arena_array(r->a, count, sizeof(*out->nodes));
	for (size_t i = 0; i < count && out->nodes && !err; i++)
		err = take_node(r, document_node(&r->d, nodes->data.sequence.items.start[i]), out->id,
			&out->nodes[out->n_nodes++]);
	return err;
}

struct placed {
	struct ctl_derp_region region;
	size_t at; /* among all that were said */
};

static int by_id(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	if (x->region.id != y->region.id)
		return x->region.id < y->region.id ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* By number, each once, as it was said last. */
static int settle_regions(struct reading *r, struct placed *v, size_t n, struct ctl_derp_map *out)
{
	struct ctl_derp_region *to = arena_array(r->a, n, sizeof(*to));
	if (!to)
		return -ENOMEM;
	qsort(v, n, sizeof(*v), by_id);
	out->regions = to;
	out->n_regions = 0;
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || v[i].region.id != v[i + 1].region.id)
			to[out->n_regions++] = v[i].region;
	return 0;
}

/* Those of the mapping, behind those that are known. */
static int take_regions(struct reading *r, yaml_node_t *regions, struct ctl_derp_map *out)
{
	size_t count = (size_t)(regions->data.mapping.pairs.top - regions->data.mapping.pairs.start);
	size_t n = 0, most = out->n_regions + count;
	struct placed *v = most ? calloc(most, sizeof(*v)) : NULL;
	int err = 0;
	if (!most)
		return 0;
	if (!v)
		return -ENOMEM;
	for (; n < out->n_regions; n++)
		v[n] = (struct placed) { out->regions[n], n };
	for (yaml_node_pair_t *p = regions->data.mapping.pairs.start;
		p < regions->data.mapping.pairs.top && !err; p++, n++) {
		v[n].at = n;
		err = take_region(
			r, document_node(&r->d, p->key), document_node(&r->d, p->value), &v[n].region);
	}
	if (!err)
		err = settle_regions(r, v, n, out);
	free(v);
	return err;
}

static int take_map(struct reading *r, yaml_node_t *root, struct ctl_derp_map *out)
{
	bool mapping = root && root->type == YAML_MAPPING_NODE;
	yaml_node_t *regions = mapping ? field(r, root, "regions") : NULL;
	int err = mapping ? check_keys(r, root, map_keys) : 0;
	if (err)
		return err;
	if (!regions && has_key(r, root, "regions")) /* nothing below it: no relays */
		return 0;
	if (!regions || regions->type != YAML_MAPPING_NODE)
		return document_refuse(
			&r->d, root, "a DERP map needs \"regions\": a mapping from number to region");
	return take_regions(r, regions, out);
}

int config_derp_parse(const char *path, const char *text, size_t len, struct arena *a,
	struct ctl_derp_map *out, struct errbuf *eb)
{
	struct reading r = { .a = a };
	struct ctl_derp_map map = *out;
	int err = document_open(&r.d, path, text, len, eb);
	if (err)
		return err;
	err = take_map(&r, yaml_document_get_root_node(&r.d.yaml), &map);
	document_close(&r.d);
	if (!err && a->failed)
		err = -ENOMEM;
	if (err == -ENOMEM)
		return err_set(eb, err, "read %s", path);
	if (!err)
		*out = map;
	return err;
}

int config_derp_read(
	const struct ctl_strings *paths, struct arena *a, struct ctl_derp_map *out, struct errbuf *eb)
{
	int err = 0;
	*out = (struct ctl_derp_map) { .omit_default = true };
	for (size_t i = 0; i < paths->n && !err; i++) {
		struct buf text = { 0 };
		err = file_read_given(paths->v[i], DERP_FILE_BYTES_MAX, false, &text, eb);
		if (!err)
			err = config_derp_parse(
				paths->v[i], (const char *)buf_data(&text), text.len, a, out, eb);
		buf_free(&text);
	}
	return err;
}

const struct ctl_derp_region *config_derp_region(const struct ctl_derp_map *map, int64_t id)
{
	size_t low = 0, high = map->n_regions;
	while (low < high) {
		size_t at = low + (high - low) / 2;
		if (map->regions[at].id == id)
			return &map->regions[at];
		if (map->regions[at].id < id)
			low = at + 1;
		else
			high = at;
	}
	return NULL;
}
