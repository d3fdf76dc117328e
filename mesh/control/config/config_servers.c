/* Nameservers as the settings name them: a text, or { server: TEXT, use_with_exit_node: true }; of one by TLS or HTTPS
 * also addresses: [...] and pins: [...], in the words of ropewalk-resolver. */
#include "mesh/control/config/config.h"

#include "mesh/base/dns_secure.h"
#include "mesh/base/text.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/document.h"
#include <string.h>

enum { ADDRESSES_MAX = 4 }; /* as many as nodes take of one */

struct servers_reading {
	struct document *d;
	struct arena *mem;
	const char *key; /* of the settings, for what is refused */
};

static int refuse(struct servers_reading *r, const yaml_node_t *n, const char *want)
{
	const char *text = document_text(n);
	if (text)
		return document_refuse(r->d, n, "%s: \"%.64s\" is not %s", r->key, text, want);
	return document_refuse(r->d, n, "%s must be %s", r->key, want);
}

static bool is_address(const char *text)
{
	struct addr a;
	return addr_parse(text, &a);
}

static bool is_pin(const char *text)
{
	uint8_t hash[32];
	return dns_secure_pin_parse(text, hash);
}

static int take_texts(struct servers_reading *r, yaml_node_t *n, size_t most, bool (*is)(const char *text),
	const char *want, struct ctl_strings *out)
{
	if (n->type != YAML_SEQUENCE_NODE)
		return refuse(r, n, "a list");
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (count > most)
		return document_refuse(r->d, n, "%s: at most %zu are possible here", r->key, most);
	*out = (struct ctl_strings) { .v = arena_array(r->mem, count, sizeof(*out->v)) };
	for (size_t i = 0; i < count && out->v; i++) {
		yaml_node_t *item = document_node(r->d, n->data.sequence.items.start[i]);
		const char *text = document_text(item);
		if (!text || !is(text))
			return refuse(r, item, want);
		out->v[out->n++] = arena_strdup(r->mem, text);
	}
	return 0;
}

/* secure: by TLS or HTTPS; named: without an address. */
static int take_server(
	struct servers_reading *r, const yaml_node_t *n, bool *secure, bool *named, const char **out)
{
	const char *text = document_text(n);
	struct dns_secure s;
	struct endpoint at = { 0 };
	bool plain = text && (is_address(text) || endpoint_parse(text, &at));
	*secure = text && !plain && dns_secure_parse(text, &s, &at);
	if (!plain && !*secure)
		return refuse(r, n, "an address, address:port, tls://ADDRESS#NAME or https:// URL");
	*named = *secure && addr_is_unspecified(&at.ip);
	*out = arena_strdup(r->mem, text);
	return 0;
}

static int take_map(struct servers_reading *r, yaml_node_t *map, struct ctl_resolver *out)
{
	static const char *const names[] = { "server", "addresses", "pins", "use_with_exit_node", NULL };
	yaml_node_t *given[4] = { NULL };
	bool secure = false, named = false;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *k = document_node(r->d, p->key);
		size_t i = 0;
		while (names[i] && strcmp(names[i], document_text(k)) != 0)
			i++;
		if (!names[i])
			return document_refuse(r->d, k,
				"%s: unknown key \"%s\": server, addresses, pins and use_with_exit_node are "
				"known",
				r->key, document_text(k));
		given[i] = document_node(r->d, p->value);
	}
	if (!given[0])
		return document_refuse(r->d, map, "%s: \"server\" is missing: say who is meant", r->key);
	int err = take_server(r, given[0], &secure, &named, &out->addr);
	if (!err && !secure && (given[1] || given[2]))
		err = document_refuse(r->d, given[0],
			"%s: only servers by TLS or HTTPS have pins and addresses: in clear nobody can show "
			"a key",
			r->key);
	if (!err && given[1] && !named)
		err = document_refuse(r->d, given[1], "%s: the server has an address already", r->key);
	if (!err && given[1])
		err = take_texts(r, given[1], ADDRESSES_MAX, is_address, "an address", &out->bootstrap);
	if (!err && given[2])
		err = take_texts(r, given[2], DNS_SECURE_PINS, is_pin,
			"the SHA-256 hash of a key in base64 (44 characters)", &out->pins);
	if (!err && given[3] && !config_value_bool(document_text(given[3]), &out->with_exit))
		err = refuse(r, given[3], "true or false");
	return err;
}

int config_servers_take(
	struct document *d, const char *key, void *list, struct arena *mem, struct config_servers *out)
{
	struct servers_reading r = { .d = d, .mem = mem, .key = key };
	yaml_node_t *n = list;
	bool secure, named;
	int err = 0;
	if (document_is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return refuse(&r, n, "a list");
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	*out = (struct config_servers) { .v = arena_array(mem, count, sizeof(*out->v)) };
	for (size_t i = 0; i < count && out->v && !err; i++) {
		yaml_node_t *item = document_node(d, n->data.sequence.items.start[i]);
		struct ctl_resolver *s = &out->v[out->n++];
		*s = (struct ctl_resolver) { 0 };
		err = item->type == YAML_MAPPING_NODE ? take_map(&r, item, s)
						      : take_server(&r, item, &secure, &named, &s->addr);
	}
	return err;
}
