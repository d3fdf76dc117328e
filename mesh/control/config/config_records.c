/* DNS records that the settings add, of any type and with wildcards: read here, made right or refused at
 * their line, and sent to nodes as text. What they mean is found out by the code that nodes have for it. */
#include "mesh/control/config/config.h"

#include "mesh/control/config/document.h"
#include "mesh/os/file.h"
#include "resolver/present.h"
#include "resolver/resolver.h"
#include "resolver/zone.h"
#include <errno.h>
#include <string.h>

enum { RECORDS_BYTES_MAX = 1024 * 1024, RDATA_MAX = 4096 };

struct reading {
	struct document *d;
	const char *key;
	struct arena *mem;
	struct zone *zone; /* all records so far: what contradicts itself is seen */
};

static int config_records_refuse(
	const struct reading *r, const yaml_node_t *at, const char *name, const char *why)
{
	return document_refuse(r->d, at, "%s: %.64s: %s", r->key, name, why);
}

/* As nodes take it: an address, or a record of any type as in a zone file. */
static int add_record(const struct reading *r, const yaml_node_t *at, const struct ctl_record *rec)
{
	uint8_t rdata[RDATA_MAX];
	struct errbuf eb = { 0 };
	struct dns_name name;
	struct addr ip;
	uint16_t type;
	size_t len;
	int err;
	if (!dns_name_parse(rec->name, &name))
		return config_records_refuse(r, at, rec->name, "not a domain name");
	dns_name_fold(&name);
	bool v4 = !strcmp(rec->type, "A"), v6 = !strcmp(rec->type, "AAAA");
	if (!*rec->type || v4 || v6) {
		if (!addr_parse(rec->value, &ip) || (v4 && !addr_is_v4(&ip)) || (v6 && addr_is_v4(&ip)))
			return config_records_refuse(r, at, rec->name,
				"type A needs an IPv4 address as value, AAAA an IPv6 one; other types have "
				"to be "
				"named");
		err = zone_add_address(r->zone, rec->name, &ip, false);
	} else {
		if (present_rdata_parse(rec->type, rec->value, rdata, sizeof(rdata), &len, &type, &eb))
			return config_records_refuse(r, at, rec->name, eb.text);
		err = zone_add_record(r->zone, &name, type, rdata, len);
	}
	if (err == ERR_REFUSED)
		return config_records_refuse(
			r, at, rec->name, "it is an alias (CNAME): no other record may have its name");
	return err ? config_records_refuse(r, at, rec->name, "out of memory") : 0;
}

static const char *keep_name(const struct reading *r, const char *text)
{
	size_t len = strlen(text);
	char *name = arena_strdup(r->mem, text);
	while (name && len && name[len - 1] == '.')
		name[--len] = 0;
	for (char *p = name; p && *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	return name;
}

static int take_record(const struct reading *r, yaml_node_t *n, struct ctl_record *out)
{
	*out = (struct ctl_record) { .type = "" };
	if (n->type != YAML_MAPPING_NODE)
		return document_refuse(r->d, n, "%s must be a list of { name, type, value }", r->key);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *k = document_node(r->d, p->key), *v = document_node(r->d, p->value);
		const char *name = document_text(k), *text = document_text(v);
		if (!text)
			return document_refuse(r->d, v, "%s must be a text", r->key);
		if (!strcmp(name, "name"))
			out->name = keep_name(r, text);
		else if (!strcmp(name, "type"))
			out->type = arena_strdup(r->mem, text);
		else if (!strcmp(name, "value"))
			out->value = arena_strdup(r->mem, text);
		else
			return document_refuse(
				r->d, k, "unknown key \"%s\" in %s: name, type and value are", name, r->key);
	}
	if (r->mem->failed)
		return document_refuse(r->d, n, "%s: out of memory", r->key);
	if (!out->name || !*out->name || !out->value)
		return document_refuse(r->d, n, "%s: a record needs a name and a value", r->key);
	return add_record(r, n, out);
}

int config_records_take(
	struct document *d, const char *key, void *list, struct arena *mem, struct config_records *out)
{
	yaml_node_t *n = list;
	struct reading r = { .d = d, .key = key, .mem = mem };
	int err = 0;
	if (document_is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return document_refuse(d, n, "%s must be a list of { name, type, value }", key);
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	*out = (struct config_records) { .v = arena_array(mem, count, sizeof(*out->v)) };
	r.zone = zone_new();
	if (!out->v || !r.zone)
		err = document_refuse(d, n, "%s: out of memory", key);
	for (size_t i = 0; i < count && !err; i++)
		err = take_record(&r, document_node(d, n->data.sequence.items.start[i]), &out->v[out->n++]);
	zone_put(r.zone);
	return err;
}

int config_records_read(const char *path, struct arena *a, struct config_records *out, struct errbuf *eb)
{
	struct document d;
	struct buf text = { 0 };
	*out = (struct config_records) { 0 };
	int err = file_read_given(path, RECORDS_BYTES_MAX, false, &text, eb);
	if (!err && !(err = document_open(&d, path, (const char *)buf_data(&text), text.len, eb))) {
		yaml_node_t *root = yaml_document_get_root_node(&d.yaml);
		err = root ? config_records_take(&d, "extra records", root, a, out) : 0;
		document_close(&d);
	}
	buf_free(&text);
	if (!err && a->failed)
		err = err_set(eb, -ENOMEM, "read %s", path);
	return err;
}
