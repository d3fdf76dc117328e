/* DERP map files. tailscale-protocol.md 2.5; names as in Headscale's files (lower case) or in the map's own
 * JSON. */
#include "mesh/control/config.h"

#include "mesh/base/text.h"
#include "mesh/control/document.h"
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

static int take_node(struct reading *r, yaml_node_t *n, int32_t region, struct ctl_derp_node *out)
{
	int32_t id = region;
	int err;
	if (n->type != YAML_MAPPING_NODE)
		return document_refuse(&r->d, n, "a relay must be a mapping");
	if ((err = take_text(r, n, "name", &out->name)) || (err = take_text(r, n, "hostname", &out->host)) ||
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
	if (!*out->host)
		return document_refuse(&r->d, n, "a relay needs a hostname (a name or an address)");
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
	*out = (struct ctl_derp_region) { .id = (int32_t)id };
	if ((err = take_text(r, n, "regioncode", &out->code)) ||
		(err = take_text(r, n, "regionname", &out->name)) ||
		(err = take_bool(r, n, "nomeasurenohome", &out->no_measure)))
		return err;
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

static int by_id(const void *a, const void *b)
{
	const struct ctl_derp_region *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Adds the region, in the place of one with the same id. */
static void put_region(struct ctl_derp_map *map, const struct ctl_derp_region *region)
{
	for (size_t i = 0; i < map->n_regions; i++)
		if (map->regions[i].id == region->id) {
			map->regions[i] = *region;
			return;
		}
	map->regions[map->n_regions++] = *region;
}

static int take_map(struct reading *r, yaml_node_t *root, struct ctl_derp_map *out)
{
	yaml_node_t *regions = root && root->type == YAML_MAPPING_NODE ? field(r, root, "regions") : NULL;
	if (!regions && has_key(r, root, "regions")) /* nothing below it: no relays */
		return 0;
	if (!regions || regions->type != YAML_MAPPING_NODE)
		return document_refuse(
			&r->d, root, "a DERP map needs \"regions\": a mapping from number to region");
	size_t count = (size_t)(regions->data.mapping.pairs.top - regions->data.mapping.pairs.start);
	struct ctl_derp_region *v = arena_array(r->a, out->n_regions + count, sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (out->n_regions)
		memcpy(v, out->regions, out->n_regions * sizeof(*v));
	out->regions = v;
	for (size_t i = 0; i < count; i++) {
		struct ctl_derp_region region;
		yaml_node_pair_t *p = &regions->data.mapping.pairs.start[i];
		int err =
			take_region(r, document_node(&r->d, p->key), document_node(&r->d, p->value), &region);
		if (err)
			return err;
		put_region(out, &region);
	}
	qsort(out->regions, out->n_regions, sizeof(*out->regions), by_id);
	return 0;
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
		err = file_read(paths->v[i], DERP_FILE_BYTES_MAX, &text, eb);
		if (!err)
			err = config_derp_parse(
				paths->v[i], (const char *)buf_data(&text), text.len, a, out, eb);
		buf_free(&text);
	}
	return err;
}
