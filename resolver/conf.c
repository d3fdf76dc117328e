#include "resolver/conf.h"

#include "mesh/base/yaml_fault.h"
#include "resolver/conf_reader.h"
#include "resolver/present.h"
#include "resolver/report.h"
#include "resolver/suffix.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	DNS_PORT = 53,
	RDATA_MAX = 4096,
	SEQUENCE_MAX = 65536,
	ALLOW_MAX = 1024,
	STALE_MAX_S = 3 * 86400,
	NAMES_FROM_MAX = 64
};

int conf_endpoints(struct conf_reader *r, yaml_node_t *n, size_t max, uint16_t port, struct endpoint **out,
	size_t *count)
{
	bool list = n->type == YAML_SEQUENCE_NODE;
	size_t total = list ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start) : 1;
	if (n->type == YAML_MAPPING_NODE)
		return conf_bad(r, n, "an address or a list of addresses is wanted here");
	if (total > max)
		return conf_bad(r, n, "%zu addresses; at most %zu are possible", total, max);
	*out = arena_array(&r->c->arena, total, sizeof(**out));
	if (!*out)
		return conf_bad(r, n, "out of memory");
	int err = 0;
	for (size_t i = 0; i < total; i++) {
		yaml_node_t *item = list ? conf_node(r, n->data.sequence.items.start[i]) : n;
		const char *s = conf_scalar(item);
		if (!s || !endpoint_parse_or(s, port, &(*out)[i]))
			err = conf_bad(r, item,
				"\"%s\" is not an address; write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53",
				s ? s : "");
	}
	*count = total;
	return err;
}

/* ---- keys ---- */

static int key_listen(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	return conf_endpoints(r, n, 8, DNS_PORT, &c->listen, &c->n_listen);
}

static int key_upstreams(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	c->routes[0].suffix = "";
	return conf_upstreams(r, n, &c->routes[0]);
}

static int key_order(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	const char *s = conf_scalar(n);
	for (unsigned i = RESOLVER_PREFERRED; s && i <= RESOLVER_RACE; i++)
		if (strcmp(s, resolver_order_text((enum resolver_order)i)) == 0) {
			c->routes[0].order = (enum resolver_order)i;
			return 0;
		}
	return conf_bad(r, n, "order: preferred, strict or race is wanted here");
}

/* The key of a route: a name, or a network, which stands for its reverse zones. */
static bool is_network(const yaml_node_t *key, struct prefix *out)
{
	const char *s = conf_scalar(key);
	return s && prefix_parse(s, out);
}

static size_t routes_of(struct conf_reader *r, const yaml_node_pair_t *p)
{
	struct prefix net;
	return is_network(conf_node(r, p->key), &net) ? dns_reverse_zones(&net) : 1;
}

/* Into out[routes_of]. */
static int read_route(
	struct conf_reader *r, const yaml_node_pair_t *p, struct resolver_route *out, struct dns_name *names)
{
	const yaml_node_t *key = conf_node(r, p->key);
	char text[DNS_NAME_TEXT];
	struct prefix net;
	size_t n = routes_of(r, p);
	bool network = is_network(key, &net);
	int err = network ? 0 : conf_suffix(r, key, "route", &out->suffix);
	if (!err)
		err = conf_upstreams(r, conf_node(r, p->value), out);
	for (size_t i = 0; !err && i < n; i++) {
		out[i] = out[0];
		if (network) {
			dns_reverse_zone(&net, (unsigned)i, &names[i]);
			out[i].suffix = arena_strdup(&r->c->arena, dns_name_format(&names[i], text));
		} else {
			(void)dns_name_parse(out->suffix, &names[i]);
		}
		dns_name_fold(&names[i]);
		err = out[i].suffix ? 0 : conf_bad(r, key, "out of memory");
	}
	return err;
}

/* Which key a route came from. */
static const yaml_node_t *key_of(struct conf_reader *r, const yaml_node_t *map, size_t route)
{
	const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	for (size_t n; p < map->data.mapping.pairs.top; p++, route -= n)
		if (route < (n = routes_of(r, p)))
			break;
	return conf_node(r, p->key);
}

/* Lists of domains can be long: no pair by pair. */
static int repeats_check(
	struct conf_reader *r, const yaml_node_t *n, const struct dns_name *names, size_t total)
{
	static const uint64_t seed[2] = { 0 };
	struct suffixes *index = suffixes_new(names, total, seed);
	int err = index ? 0 : conf_bad(r, n, "out of memory");
	for (size_t i = total; !err && i-- > 0;) {
		int last = suffixes_exact(index, &names[i]);
		if (last == (int)i)
			continue;
		const yaml_node_t *key = key_of(r, n, (size_t)last);
		err = conf_bad(r, key, "\"%s\" is given twice", conf_scalar(key));
	}
	suffixes_free(index);
	return err;
}

static int key_routes(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_MAPPING_NODE)
		return conf_bad(r, n, "routes: \"suffix: upstreams\" pairs are wanted here");
	size_t total = 0, at = 0;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		total += routes_of(r, p);
	struct resolver_route *routes = arena_array(&c->arena, total + 1, sizeof(*routes));
	struct dns_name *names = calloc(total + 1, sizeof(*names));
	int err = 0;
	if (!routes || !names) {
		free(names);
		return conf_bad(r, n, "out of memory");
	}
	routes[0] = c->routes[0];
	c->routes = routes;
	c->n_routes = total;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		err = err_first(err, read_route(r, p, &routes[at + 1], &names[at]));
		at += routes_of(r, p);
	}
	if (!err)
		err = repeats_check(r, n, names, total);
	free(names);
	return err;
}

static int key_record_name(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_name(r, n, "name", &((struct conf_record *)into)->name);
}
static int key_record_type(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "type", &((struct conf_record *)into)->type);
}
static int key_record_value(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "value", &((struct conf_record *)into)->value);
}

static int key_records(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "name", key_record_name }, { "type", key_record_type },
		{ "value", key_record_value }, { 0 } };
	struct conf *c = into;
	if (n->type != YAML_SEQUENCE_NODE)
		return conf_bad(r, n, "records: a list of {name, type, value} is wanted here");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > SEQUENCE_MAX || !(c->records = arena_array(&c->arena, total, sizeof(*c->records))))
		return conf_bad(r, n, "too many records");
	int err = 0;
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = conf_node(r, n->data.sequence.items.start[i]);
		struct conf_record rec = { .line = (uint32_t)item->start_mark.line + 1,
			.column = (uint32_t)item->start_mark.column + 1 };
		int wrong = conf_keys(r, item, keys, &rec);
		if (!wrong && (!rec.name || !rec.value))
			wrong = conf_bad(r, item, "a record needs a name and a value");
		if (!wrong)
			c->records[c->n_records++] = rec;
		err = err_first(err, wrong);
	}
	return err;
}

static int key_authority(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	int err = conf_items(
		r, n, "authority", SEQUENCE_MAX, sizeof(*c->authority), &c->authority, &c->n_authority);
	for (size_t i = 0; i < c->n_authority; i++)
		err = err_first(err, conf_suffix(r, conf_item(r, n, i), "authority", &c->authority[i]));
	return err;
}

static int key_authorities(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "upstream-authorities", &((struct conf *)into)->authorities);
}

static int key_rebinding_refuse(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "refuse", &((struct conf *)into)->refuse_private);
}

static int key_rebinding_except(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	int err = conf_items(
		r, n, "except", SEQUENCE_MAX, sizeof(*c->private_ok), &c->private_ok, &c->n_private_ok);
	for (size_t i = 0; i < c->n_private_ok; i++)
		err = err_first(err, conf_suffix(r, conf_item(r, n, i), "except", &c->private_ok[i]));
	return err;
}

static int key_rebinding(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "refuse", key_rebinding_refuse },
		{ "except", key_rebinding_except }, { 0 } };
	return conf_keys(r, n, keys, into);
}

static int key_mixed_case(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_bool(r, n, "mixed-case", &((struct conf *)into)->mixed_case);
}

static int key_allow(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_SEQUENCE_NODE)
		return conf_bad(r, n, "allow: a list of networks is wanted here, as 192.0.2.0/24");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	c->allow = arena_array(&c->arena, total, sizeof(*c->allow));
	if (total > ALLOW_MAX || !c->allow)
		return conf_bad(r, n, "at most %d networks", ALLOW_MAX);
	int err = 0;
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = conf_node(r, n->data.sequence.items.start[i]);
		const char *s = conf_scalar(item);
		if (!s || !prefix_parse(s, &c->allow[i]))
			err = conf_bad(r, item,
				"\"%s\" is not a network; write 192.0.2.0/24 or 2001:db8::/32", s ? s : "");
	}
	c->n_allow = total;
	return err;
}

/* This machine, its private networks and its mesh. A resolver that answers everybody is a tool of attacks on
 * others. */
static int allow_default(struct conf_reader *r, const yaml_node_t *root)
{
	static const char *const networks[] = { "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10" };
	struct conf *c = r->c;
	if (c->allow)
		return 0;
	c->n_allow = ARRAY_LEN(networks);
	c->allow = arena_array(&c->arena, c->n_allow, sizeof(*c->allow));
	if (!c->allow)
		return conf_bad(r, root, "out of memory");
	for (size_t i = 0; i < c->n_allow; i++)
		(void)prefix_parse(networks[i], &c->allow[i]);
	return 0;
}

static int key_cache(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_number(r, n, "cache-bytes", (struct conf_range) { 1, UINT64_C(1) << 40 },
		&((struct conf *)into)->cache_bytes);
}

static int key_ttl(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_number(r, n, "ttl", (struct conf_range) { 1, 86400 }, &((struct conf *)into)->ttl_s);
}

static int key_stale(struct conf_reader *r, yaml_node_t *n, void *into)
{
	uint64_t s = 0;
	int err = conf_number(r, n, "serve-stale", (struct conf_range) { 0, STALE_MAX_S }, &s);
	((struct conf *)into)->stale_s = s ? (uint32_t)s : UINT32_MAX;
	return err;
}

static int key_names_hosts(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_string(r, n, "hosts", &((struct local_source *)into)->path);
}
static int key_names_leases(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct local_source *s = into;
	if (s->path)
		return conf_bad(r, n, "either \"hosts\" or \"leases\"");
	s->leases = true;
	return conf_string(r, n, "leases", &s->path);
}
static int key_names_domain(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_suffix(r, n, "domain", &((struct local_source *)into)->domain);
}

static int key_names_from(struct conf_reader *r, yaml_node_t *n, void *into)
{
	static const struct conf_key keys[] = { { "hosts", key_names_hosts }, { "leases", key_names_leases },
		{ "domain", key_names_domain }, { 0 } };
	struct conf *c = into;
	int err = conf_items(
		r, n, "names-from", NAMES_FROM_MAX, sizeof(*c->names_from), &c->names_from, &c->n_names_from);
	for (size_t i = 0; i < c->n_names_from; i++) {
		const yaml_node_t *item = conf_item(r, n, i);
		int wrong = conf_keys(r, item, keys, &c->names_from[i]);
		if (!wrong && !c->names_from[i].path)
			wrong = conf_bad(
				r, item, "\"hosts\" or \"leases\" is wanted here: a file or a folder");
		err = err_first(err, wrong);
	}
	return err;
}

static int key_rate(struct conf_reader *r, yaml_node_t *n, void *into)
{
	return conf_number(
		r, n, "rate-limit", (struct conf_range) { 1, 1000000 }, &((struct conf *)into)->rate);
}

static int key_dns64(struct conf_reader *r, yaml_node_t *n, void *into)
{
	const char *text = NULL;
	int err = conf_string(r, n, "dns64", &text);
	struct conf *c = into;
	c->dns64_find = !err && strcmp(text, "discover") == 0;
	if (err || c->dns64_find || nat64_parse(text, &c->dns64))
		return err;
	return conf_bad(r, n,
		"the translator's prefix is wanted here, 64:ff9b::/96 say: of 32, 40, 48, 56, 64 or 96 bits; "
		"or "
		"\"discover\"");
}

static bool has_key(struct conf_reader *r, const yaml_node_t *map, const char *name)
{
	if (map->type != YAML_MAPPING_NODE)
		return true; /* that is what is wrong */
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const char *key = conf_scalar(conf_node(r, p->key));
		if (key && strcmp(key, name) == 0)
			return true;
	}
	return false;
}

static int top_read(struct conf_reader *r)
{
	static const struct conf_key keys[] = { { "listen", key_listen }, { "upstreams", key_upstreams },
		{ "order", key_order }, { "routes", key_routes }, { "records", key_records },
		{ "authority", key_authority }, { "allow", key_allow }, { "cache-bytes", key_cache },
		{ "ttl", key_ttl }, { "serve-stale", key_stale }, { "blocking", conf_block_key },
		{ "rebinding", key_rebinding }, { "rate-limit", key_rate }, { "dns64", key_dns64 },
		{ "names-from", key_names_from }, { "local-zones", conf_local_zones_key },
		{ "mixed-case", key_mixed_case }, { "query-log", conf_query_log_key },
		{ "state", conf_state_key }, { "keep-cache", conf_keep_cache_key }, { "page", conf_page_key },
		{ "secure", conf_secure_key }, { "upstream-authorities", key_authorities },
		{ "dnssec", conf_dnssec_key }, { 0 } };
	struct conf *c = r->c;
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	if (!root)
		return conf_fault(r->faults, ERR_MALFORMED,
			"%s: the file is empty; \"listen\" is needed at least", r->file);
	c->mixed_case = true;
	c->routes = arena_array(&c->arena, 1, sizeof(*c->routes));
	if (!c->routes)
		return conf_bad(r, root, "out of memory");
	int err = conf_keys(r, root, keys, c);
	if (!c->n_listen && !has_key(r, root, "listen"))
		err = err_first(
			err, conf_bad(r, root, "\"listen\" is missing: say at which addresses to answer"));
	if (err)
		return err;
	if (!c->n_listen)
		return conf_bad(r, root, "\"listen\" is empty: say at which addresses to answer");
	if (c->keep_cache && !c->state)
		return conf_bad(r, root, "\"keep-cache\" needs a folder: \"state\"");
	err = allow_default(r, root);
	err = err ? err : conf_own_lists(r, root);
	if (err)
		return err;
	if (!c->routes[0].suffix) /* no default: drop its place */
		c->routes++;
	else
		c->n_routes++;
	return conf_dnssec_finish(r);
}

/* The resolver would leave such an upstream out; who wrote it meant something else. */
static int loops_check(const struct conf_reader *r)
{
	int err = 0;
	const struct conf *c = r->c;
	const struct resolver_config own = { .own = c->listen, .n_own = c->n_listen };
	char text[ENDPOINT_TEXT];
	for (size_t i = 0; i < c->n_routes; i++)
		for (size_t j = 0; j < c->routes[i].n_upstreams; j++)
			if (resolver_is_own(&own, &c->routes[i].upstreams[j].at))
				err = conf_fault(r->faults, ERR_MALFORMED,
					"%s: the upstream %s is where this resolver listens: it would ask "
					"itself",
					r->file, endpoint_format(&c->routes[i].upstreams[j].at, text));
	return err;
}

static int document_load(struct conf_reader *r, yaml_parser_t *parser)
{
	if (yaml_parser_load(parser, &r->doc))
		return 0;
	struct yaml_fault f = YAML_FAULT(parser);
	char what[YAML_FAULT_TEXT];
	yaml_fault_say(&f, r->text, r->len, what);
	return conf_fault(r->faults, ERR_MALFORMED, "%s:%zu:%zu: %s", r->file, f.line, f.column, what);
}

/* Keys after a "---" would be read by nobody. */
static int end_check(struct conf_reader *r, yaml_parser_t *parser)
{
	int err = document_load(r, parser);
	if (err)
		return err;
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	err = root ? conf_fault(r->faults, ERR_MALFORMED,
			     "%s:%zu:%zu: a second document; all keys stand in one", r->file,
			     r->doc.start_mark.line + 1, r->doc.start_mark.column + 1)
		   : 0;
	yaml_document_delete(&r->doc);
	return err;
}

static int record_add(const struct conf_record *rec, struct zone *z, struct errbuf *eb)
{
	uint8_t rdata[RDATA_MAX];
	struct dns_name name;
	struct addr ip;
	uint16_t type;
	size_t len;
	if (!dns_name_parse(rec->name, &name))
		return err_say(eb, ERR_MALFORMED, "\"%s\" is not a domain name", rec->name);
	if (!rec->type && !addr_parse(rec->value, &ip))
		return err_say(eb, ERR_MALFORMED,
			"\"%s\" is not an address; records of other kinds need a \"type\"", rec->value);
	int err = rec->type
			  ? present_rdata_parse(rec->type, rec->value, rdata, sizeof(rdata), &len, &type, eb)
			  : 0;
	if (err)
		return err;
	err = rec->type ? zone_add_record(z, &name, type, rdata, len)
			: zone_add_address(
				  z, rec->name, &ip, rec->name[0] != '*'); /* no address has such a name */
	if (err == ERR_REFUSED)
		return err_say(eb, ERR_MALFORMED,
			"\"%s\" is an alias (CNAME): no other record may have its name", rec->name);
	return err ? err_say(eb, err, "out of memory") : 0;
}

/* NULL: said. */
static struct zone *records_read(const char *file, const struct conf *c, struct conf_faults *faults)
{
	struct zone *z = zone_new();
	struct errbuf why;
	int err = z ? 0 : -ENOMEM;
	for (size_t i = 0; !err && i < c->n_authority; i++)
		err = c->authority[i] ? zone_add_authority(z, c->authority[i]) : 0;
	for (size_t i = 0; !err && i < c->n_statics; i++)
		err = zone_add_authority(z, c->statics[i]);
	if (err)
		conf_fault(faults, -ENOMEM, "out of memory for DNS records");
	for (size_t i = 0; err != -ENOMEM && i < c->n_records; i++) {
		const struct conf_record *rec = &c->records[i];
		int wrong = record_add(rec, z, &why);
		if (wrong)
			err = conf_fault(
				faults, wrong, "%s:%u:%u: %s", file, rec->line, rec->column, why.text);
	}
	if (!err)
		return z;
	zone_put(z);
	return NULL;
}

int conf_read_all(
	const char *file, const char *text, size_t len, struct conf *c, struct buf *all, struct errbuf *eb)
{
	struct conf_faults faults = { .eb = eb, .all = all };
	struct conf_reader r = { .file = file, .text = text, .len = len, .c = c, .faults = &faults };
	yaml_parser_t parser;
	*c = (struct conf) { .block.pause_ms = CONF_PAUSE_MS };
	if (!yaml_parser_initialize(&parser))
		return err_say(eb, ERR_TOO_LARGE, "%s: out of memory", file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	int err = document_load(&r, &parser);
	if (!err) {
		err = top_read(&r);
		yaml_document_delete(&r.doc);
	}
	if (!err)
		err = loops_check(&r);
	if (!err)
		err = end_check(&r, &parser);
	yaml_parser_delete(&parser);
	if (err && all)
		zone_put(records_read(file, c, &faults));
	if (err)
		conf_free(c);
	return err;
}

int conf_read(const char *file, const char *text, size_t len, struct conf *c, struct errbuf *eb)
{
	return conf_read_all(file, text, len, c, NULL, eb);
}

void conf_free(struct conf *c)
{
	arena_free(&c->arena);
	*c = (struct conf) { 0 };
}

struct zone *conf_zone_all(const char *file, const struct conf *c, struct buf *all, struct errbuf *eb)
{
	return records_read(file, c, &(struct conf_faults) { .eb = eb, .all = all });
}

struct zone *conf_zone(const char *file, const struct conf *c, struct errbuf *eb)
{
	return conf_zone_all(file, c, NULL, eb);
}
