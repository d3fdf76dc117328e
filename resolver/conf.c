#include "resolver/conf.h"

#include "mesh/base/text.h"
#include "resolver/present.h"
#include "resolver/suffix.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { DNS_PORT = 53, RDATA_MAX = 4096, SEQUENCE_MAX = 65536, ALLOW_MAX = 1024 };

struct reader {
	const char *file;
	yaml_document_t doc;
	struct conf *c;
	struct errbuf *eb;
};

static int bad(const struct reader *r, const yaml_node_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int bad(const struct reader *r, const yaml_node_t *at, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_say(r->eb, ERR_MALFORMED, "%s:%zu:%zu: %s", r->file, at->start_mark.line + 1,
		at->start_mark.column + 1, text);
}

static yaml_node_t *node(struct reader *r, int number)
{
	return yaml_document_get_node(&r->doc, number);
}

/* A scalar without a NUL inside, or NULL. */
static const char *scalar(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE ||
		strlen((const char *)n->data.scalar.value) != n->data.scalar.length)
		return NULL;
	return (const char *)n->data.scalar.value;
}

/* ---- values ---- */

static int read_string(struct reader *r, const yaml_node_t *n, const char *what, const char **out)
{
	const char *s = scalar(n);
	if (!s || !*s)
		return bad(r, n, "%s: text is wanted here", what);
	*out = arena_strdup(&r->c->arena, s);
	return *out ? 0 : bad(r, n, "out of memory");
}

static int read_number(struct reader *r, const yaml_node_t *n, const char *what, uint64_t max, uint64_t *out)
{
	const char *s = scalar(n);
	if (!s || !text_u64(s, 1, max, out))
		return bad(r, n, "%s: a number from 1 to %llu is wanted here", what, (unsigned long long)max);
	return 0;
}

/* One endpoint or a list of them. */
static int read_endpoints(struct reader *r, yaml_node_t *n, size_t max, struct endpoint **out, size_t *count)
{
	bool list = n->type == YAML_SEQUENCE_NODE;
	size_t total = list ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start) : 1;
	if (n->type == YAML_MAPPING_NODE)
		return bad(r, n, "an address or a list of addresses is wanted here");
	if (total > max)
		return bad(r, n, "%zu addresses; at most %zu are possible", total, max);
	*out = arena_array(&r->c->arena, total, sizeof(**out));
	if (!*out)
		return bad(r, n, "out of memory");
	for (size_t i = 0; i < total; i++) {
		yaml_node_t *item = list ? node(r, n->data.sequence.items.start[i]) : n;
		const char *s = scalar(item);
		if (!s || !endpoint_parse_or(s, DNS_PORT, &(*out)[i]))
			return bad(r, item,
				"\"%s\" is not an address; write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53",
				s ? s : "");
	}
	*count = total;
	return 0;
}

static int read_upstreams(struct reader *r, yaml_node_t *n, struct resolver_route *out)
{
	struct endpoint *at = NULL;
	size_t count = 0;
	int err = read_endpoints(r, n, RESOLVER_UPSTREAMS_MAX, &at, &count);
	if (err)
		return err;
	struct resolver_upstream *u = arena_array(&r->c->arena, count, sizeof(*u));
	if (!u)
		return bad(r, n, "out of memory");
	for (size_t i = 0; i < count; i++)
		u[i].at = at[i];
	out->upstreams = u;
	out->n_upstreams = count;
	return 0;
}

/* ---- keys ---- */

struct key {
	const char *name;
	int (*read)(struct reader *r, yaml_node_t *value, void *into);
};

/* Every mapping goes through here: known keys, each once, values by their reader. */
static int read_keys(struct reader *r, const yaml_node_t *map, const struct key *keys, void *into)
{
	uint64_t seen = 0;
	if (map->type != YAML_MAPPING_NODE)
		return bad(r, map, "\"key: value\" pairs are wanted here");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = node(r, p->key);
		const char *name = scalar(k);
		const char *names[16] = { NULL };
		size_t i = 0;
		for (; keys[i].name && (!name || strcmp(keys[i].name, name) != 0); i++)
			names[i] = keys[i].name;
		if (!keys[i].name) {
			const char *near = name ? text_nearest(name, names) : NULL;
			return bad(r, k, "unknown key \"%s\"%s%s%s", name ? name : "",
				near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
		}
		if (seen >> i & 1)
			return bad(r, k, "\"%s\" is given twice", name);
		seen |= UINT64_C(1) << i;
		int err = keys[i].read(r, node(r, p->value), into);
		if (err)
			return err;
	}
	return 0;
}

static int key_listen(struct reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	return read_endpoints(r, n, 8, &c->listen, &c->n_listen);
}

static int key_upstreams(struct reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	c->routes[0].suffix = "";
	return read_upstreams(r, n, &c->routes[0]);
}

static int key_order(struct reader *r, yaml_node_t *n, void *into)
{
	static const char *const orders[] = {
		[RESOLVER_PREFERRED] = "preferred", [RESOLVER_STRICT] = "strict", [RESOLVER_RACE] = "race"
	};
	struct conf *c = into;
	const char *s = scalar(n);
	for (size_t i = 0; s && i < ARRAY_LEN(orders); i++)
		if (strcmp(s, orders[i]) == 0) {
			c->routes[0].order = (enum resolver_order)i;
			return 0;
		}
	return bad(r, n, "order: preferred, strict or race is wanted here");
}

/* A domain name as a client asks for it. */
static int read_name(struct reader *r, const yaml_node_t *n, const char *what, const char **out)
{
	struct dns_name name;
	int err = read_string(r, n, what, out);
	if (err)
		return err;
	if (!dns_text_is_ascii(*out))
		return bad(r, n,
			"\"%s\": clients ask for the ASCII form of such a name; write that (xn--...)", *out);
	return dns_name_parse(*out, &name) ? 0 : bad(r, n, "\"%s\" is not a domain name", *out);
}

/* The key of a route: a name, or a network, which stands for its reverse zones. */
static bool is_network(const yaml_node_t *key, struct prefix *out)
{
	const char *s = scalar(key);
	return s && prefix_parse(s, out);
}

static size_t routes_of(struct reader *r, const yaml_node_pair_t *p)
{
	struct prefix net;
	return is_network(node(r, p->key), &net) ? dns_reverse_zones(&net) : 1;
}

/* Into out[routes_of]. */
static int read_route(
	struct reader *r, const yaml_node_pair_t *p, struct resolver_route *out, struct dns_name *names)
{
	const yaml_node_t *key = node(r, p->key);
	char text[DNS_NAME_TEXT];
	struct prefix net;
	size_t n = routes_of(r, p);
	bool network = is_network(key, &net);
	int err = network ? 0 : read_name(r, key, "route", &out->suffix);
	if (!err)
		err = read_upstreams(r, node(r, p->value), out);
	for (size_t i = 0; !err && i < n; i++) {
		out[i] = out[0];
		if (network) {
			dns_reverse_zone(&net, (unsigned)i, &names[i]);
			out[i].suffix = arena_strdup(&r->c->arena, dns_name_format(&names[i], text));
		} else {
			(void)dns_name_parse(out->suffix, &names[i]);
		}
		dns_name_fold(&names[i]);
		err = out[i].suffix ? 0 : bad(r, key, "out of memory");
	}
	return err;
}

/* Which key a route came from. */
static const yaml_node_t *key_of(struct reader *r, const yaml_node_t *map, size_t route)
{
	const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	for (size_t n; p < map->data.mapping.pairs.top; p++, route -= n)
		if (route < (n = routes_of(r, p)))
			break;
	return node(r, p->key);
}

/* Lists of domains can be long: no pair by pair. */
static int repeats_check(struct reader *r, const yaml_node_t *n, const struct dns_name *names, size_t total)
{
	static const uint64_t seed[2] = { 0 };
	struct suffixes *index = suffixes_new(names, total, seed);
	int err = index ? 0 : bad(r, n, "out of memory");
	for (size_t i = total; !err && i-- > 0;) {
		int last = suffixes_exact(index, &names[i]);
		if (last == (int)i)
			continue;
		const yaml_node_t *key = key_of(r, n, (size_t)last);
		err = bad(r, key, "\"%s\" is given twice", scalar(key));
	}
	suffixes_free(index);
	return err;
}

static int key_routes(struct reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_MAPPING_NODE)
		return bad(r, n, "routes: \"suffix: upstreams\" pairs are wanted here");
	size_t total = 0, at = 0;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		total += routes_of(r, p);
	struct resolver_route *routes = arena_array(&c->arena, total + 1, sizeof(*routes));
	struct dns_name *names = calloc(total + 1, sizeof(*names));
	int err = 0;
	if (!routes || !names) {
		free(names);
		return bad(r, n, "out of memory");
	}
	routes[0] = c->routes[0];
	c->routes = routes;
	c->n_routes = total;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; !err && p < n->data.mapping.pairs.top; p++) {
		err = read_route(r, p, &routes[at + 1], &names[at]);
		at += routes_of(r, p);
	}
	if (!err)
		err = repeats_check(r, n, names, total);
	free(names);
	return err;
}

static int key_record_name(struct reader *r, yaml_node_t *n, void *into)
{
	return read_name(r, n, "name", &((struct conf_record *)into)->name);
}
static int key_record_type(struct reader *r, yaml_node_t *n, void *into)
{
	return read_string(r, n, "type", &((struct conf_record *)into)->type);
}
static int key_record_value(struct reader *r, yaml_node_t *n, void *into)
{
	return read_string(r, n, "value", &((struct conf_record *)into)->value);
}

static int key_records(struct reader *r, yaml_node_t *n, void *into)
{
	static const struct key keys[] = { { "name", key_record_name }, { "type", key_record_type },
		{ "value", key_record_value }, { 0 } };
	struct conf *c = into;
	if (n->type != YAML_SEQUENCE_NODE)
		return bad(r, n, "records: a list of {name, type, value} is wanted here");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > SEQUENCE_MAX || !(c->records = arena_array(&c->arena, total, sizeof(*c->records))))
		return bad(r, n, "too many records");
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
		struct conf_record *rec = &c->records[i];
		int err = read_keys(r, item, keys, rec);
		if (err)
			return err;
		if (!rec->name || !rec->value)
			return bad(r, item, "a record needs a name and a value");
		rec->line = (uint32_t)item->start_mark.line + 1;
		rec->column = (uint32_t)item->start_mark.column + 1;
	}
	c->n_records = total;
	return 0;
}

static int key_authority(struct reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_SEQUENCE_NODE)
		return bad(r, n, "authority: a list of domain names is wanted here");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (total > SEQUENCE_MAX || !(c->authority = arena_array(&c->arena, total, sizeof(*c->authority))))
		return bad(r, n, "too many names");
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
		int err = read_name(r, item, "authority", &c->authority[i]);
		if (err)
			return err;
	}
	c->n_authority = total;
	return 0;
}

static int key_allow(struct reader *r, yaml_node_t *n, void *into)
{
	struct conf *c = into;
	if (n->type != YAML_SEQUENCE_NODE)
		return bad(r, n, "allow: a list of networks is wanted here, as 192.0.2.0/24");
	size_t total = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	c->allow = arena_array(&c->arena, total, sizeof(*c->allow));
	if (total > ALLOW_MAX || !c->allow)
		return bad(r, n, "at most %d networks", ALLOW_MAX);
	for (size_t i = 0; i < total; i++) {
		const yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
		const char *s = scalar(item);
		if (!s || !prefix_parse(s, &c->allow[i]))
			return bad(r, item, "\"%s\" is not a network; write 192.0.2.0/24 or 2001:db8::/32",
				s ? s : "");
	}
	c->n_allow = total;
	return 0;
}

/* This machine, its private networks and its mesh. A resolver that answers everybody is a tool of attacks on
 * others. */
static int allow_default(struct reader *r, const yaml_node_t *root)
{
	static const char *const networks[] = { "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10" };
	struct conf *c = r->c;
	if (c->allow)
		return 0;
	c->n_allow = ARRAY_LEN(networks);
	c->allow = arena_array(&c->arena, c->n_allow, sizeof(*c->allow));
	if (!c->allow)
		return bad(r, root, "out of memory");
	for (size_t i = 0; i < c->n_allow; i++)
		(void)prefix_parse(networks[i], &c->allow[i]);
	return 0;
}

static int key_cache(struct reader *r, yaml_node_t *n, void *into)
{
	return read_number(r, n, "cache-bytes", UINT64_C(1) << 40, &((struct conf *)into)->cache_bytes);
}

static int key_ttl(struct reader *r, yaml_node_t *n, void *into)
{
	return read_number(r, n, "ttl", 86400, &((struct conf *)into)->ttl_s);
}

static int top_read(struct reader *r)
{
	static const struct key keys[] = { { "listen", key_listen }, { "upstreams", key_upstreams },
		{ "order", key_order }, { "routes", key_routes }, { "records", key_records },
		{ "authority", key_authority }, { "allow", key_allow }, { "cache-bytes", key_cache },
		{ "ttl", key_ttl }, { 0 } };
	struct conf *c = r->c;
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	if (!root)
		return err_say(r->eb, ERR_MALFORMED, "%s: the file is empty; \"listen\" is needed at least",
			r->file);
	c->routes = arena_array(&c->arena, 1, sizeof(*c->routes));
	if (!c->routes)
		return bad(r, root, "out of memory");
	int err = read_keys(r, root, keys, c);
	if (err)
		return err;
	if (!c->n_listen)
		return bad(r, root, "\"listen\" is missing: say at which addresses to answer");
	err = allow_default(r, root);
	if (err)
		return err;
	if (!c->routes[0].suffix) /* no default: drop its place */
		c->routes++;
	else
		c->n_routes++;
	return 0;
}

/* The resolver would leave such an upstream out; who wrote it meant something else. */
static int loops_check(const struct reader *r)
{
	const struct conf *c = r->c;
	const struct resolver_config own = { .own = c->listen, .n_own = c->n_listen };
	char text[ENDPOINT_TEXT];
	for (size_t i = 0; i < c->n_routes; i++)
		for (size_t j = 0; j < c->routes[i].n_upstreams; j++)
			if (resolver_is_own(&own, &c->routes[i].upstreams[j].at))
				return err_say(r->eb, ERR_MALFORMED,
					"%s: the upstream %s is where this resolver listens: it would ask "
					"itself",
					r->file, endpoint_format(&c->routes[i].upstreams[j].at, text));
	return 0;
}

static int document_load(struct reader *r, yaml_parser_t *parser)
{
	if (yaml_parser_load(parser, &r->doc))
		return 0;
	return err_say(r->eb, ERR_MALFORMED, "%s:%zu:%zu: %s", r->file, parser->problem_mark.line + 1,
		parser->problem_mark.column + 1, parser->problem ? parser->problem : "not YAML");
}

/* Keys after a "---" would be read by nobody. */
static int end_check(struct reader *r, yaml_parser_t *parser)
{
	int err = document_load(r, parser);
	if (err)
		return err;
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	err = root ? err_say(r->eb, ERR_MALFORMED, "%s:%zu:%zu: a second document; all keys stand in one",
			     r->file, r->doc.start_mark.line + 1, r->doc.start_mark.column + 1)
		   : 0;
	yaml_document_delete(&r->doc);
	return err;
}

int conf_read(const char *file, const char *text, size_t len, struct conf *c, struct errbuf *eb)
{
	struct reader r = { .file = file, .c = c, .eb = eb };
	yaml_parser_t parser;
	*c = (struct conf) { 0 };
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
	if (err)
		conf_free(c);
	return err;
}

void conf_free(struct conf *c)
{
	arena_free(&c->arena);
	*c = (struct conf) { 0 };
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
			: zone_add_address(z, rec->name, &ip, true);
	if (err == ERR_REFUSED)
		return err_say(eb, ERR_MALFORMED,
			"\"%s\" is an alias (CNAME): no other record may have its name", rec->name);
	return err ? err_say(eb, err, "out of memory") : 0;
}

struct zone *conf_zone(const char *file, const struct conf *c, struct errbuf *eb)
{
	struct zone *z = zone_new();
	struct errbuf why;
	bool ok = z;
	for (size_t i = 0; ok && i < c->n_authority; i++)
		ok = !zone_add_authority(z, c->authority[i]);
	if (!ok)
		err_say(eb, -ENOMEM, "out of memory for DNS records");
	for (size_t i = 0; ok && i < c->n_records; i++) {
		const struct conf_record *rec = &c->records[i];
		ok = !record_add(rec, z, &why);
		if (!ok)
			err_say(eb, why.code, "%s:%u:%u: %s", file, rec->line, rec->column, why.text);
	}
	if (ok)
		return z;
	zone_put(z);
	return NULL;
}
