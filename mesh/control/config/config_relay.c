/* derp.server: the relay inside the server, with Headscale's names. tailscale-protocol.md 2.5. */
#include "mesh/control/config/config.h"

#include "mesh/base/text.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/document.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REGION_DEFAULT = 999, REGION_MAX = 65535, HTTPS_PORT = 443, STUN_PORT = 3478 };

struct config_relay config_relay_defaults(void)
{
	return (struct config_relay) { .verify_clients = true,
		.region = REGION_DEFAULT,
		.code = "ropewalk",
		.name = "Relay of the server",
		.stun = { .ip = addr_any6, .port = STUN_PORT },
		.ipv4 = "",
		.ipv6 = "" };
}

enum relay_kind {
	RELAY_BOOL,
	RELAY_NOT,
	RELAY_REGION,
	RELAY_TEXT,
	RELAY_STUN,
	RELAY_PATH,
	RELAY_IPV4,
	RELAY_IPV6
};
#define AT(field) offsetof(struct config_relay, field)
static const struct relay_row {
	const char *key;
	enum relay_kind kind;
	size_t at;
} relay_rows[] = {
	{ "enabled", RELAY_BOOL, AT(enabled) },
	{ "verify_clients", RELAY_BOOL, AT(verify_clients) },
	{ "automatically_add_embedded_derp_region", RELAY_NOT, AT(no_region) },
	{ "region_id", RELAY_REGION, AT(region) },
	{ "region_code", RELAY_TEXT, AT(code) },
	{ "region_name", RELAY_TEXT, AT(name) },
	{ "stun_listen_addr", RELAY_STUN, AT(stun) },
	{ "private_key_path", RELAY_PATH, AT(key_path) },
	{ "ipv4", RELAY_IPV4, AT(ipv4) },
	{ "ipv6", RELAY_IPV6, AT(ipv6) },
};

const char *config_relay_key(size_t i)
{
	return i < ARRAY_LEN(relay_rows) ? relay_rows[i].key : NULL;
}

static bool parse_address(const char *text, bool v4)
{
	struct addr a;
	return !*text || (addr_parse(text, &a) && addr_is_v4(&a) == v4);
}

/* NULL, or what the value should be. */
static const char *take_value(const struct relay_row *row, const char *text, struct arena *mem,
	const char *folder, struct config_relay *out)
{
	void *field = (char *)out + row->at;
	uint64_t n;
	bool on;
	switch (row->kind) {
	case RELAY_BOOL:
	case RELAY_NOT:
		if (!config_value_bool(text, &on))
			return "true or false";
		*(bool *)field = on != (row->kind == RELAY_NOT);
		return NULL;
	case RELAY_REGION:
		if (!text_u64(text, 1, REGION_MAX, &n))
			return "a number from 1 to 65535";
		*(int32_t *)field = (int32_t)n;
		return NULL;
	case RELAY_STUN:
		*(struct endpoint *)field = (struct endpoint) { 0 };
		return !*text || config_value_listen(text, field)
			       ? NULL
			       : "an address such as 0.0.0.0:3478 or :3478";
	case RELAY_IPV4:
	case RELAY_IPV6:
		if (!parse_address(text, row->kind == RELAY_IPV4))
			return row->kind == RELAY_IPV4 ? "an IPv4 address" : "an IPv6 address";
		*(const char **)field = arena_strdup(mem, text);
		return NULL;
	case RELAY_TEXT: *(const char **)field = arena_strdup(mem, text); return NULL;
	case RELAY_PATH:
		if (*text)
			*(const char **)field = *text == '/' ? arena_strdup(mem, text)
							     : arena_printf(mem, "%s/%s", folder, text);
		return NULL;
	}
	return NULL;
}

int config_relay_take(
	struct document *d, void *mapping, struct arena *mem, const char *folder, struct config_relay *out)
{
	yaml_node_t *map = mapping;
	const char *names[ARRAY_LEN(relay_rows) + 1] = { NULL };
	for (size_t i = 0; i < ARRAY_LEN(relay_rows); i++)
		names[i] = relay_rows[i].key;
	if (document_is_null(map))
		return 0;
	if (map->type != YAML_MAPPING_NODE)
		return document_refuse(d, map, "derp.server must be a mapping");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *key = document_node(d, p->key), *value = document_node(d, p->value);
		const char *text = document_text(value), *near;
		size_t i = 0;
		while (i < ARRAY_LEN(relay_rows) && strcmp(relay_rows[i].key, document_text(key)) != 0)
			i++;
		if (i == ARRAY_LEN(relay_rows)) {
			near = text_nearest(document_text(key), names);
			return document_refuse(d, key, "unknown key \"derp.server.%.64s\"%s%s%s",
				document_text(key), near ? "; did you mean \"derp.server." : "",
				near ? near : "", near ? "\"?" : "");
		}
		const char *want = document_is_null(value) ? NULL
				   : text ? take_value(&relay_rows[i], text, mem, folder, out)
					  : "a single value";
		if (want)
			return document_refuse(
				d, value, "derp.server.%s: must be %s", relay_rows[i].key, want);
	}
	return 0;
}

int config_relay_check(const struct control_config *c, struct errbuf *eb)
{
	if (!c->relay.enabled || endpoint_is_set(&c->tls_listen) ||
		strncmp(c->server_url, "https://", 8) == 0)
		return 0;
	return err_say(eb, ERR_MALFORMED,
		"%s: derp.server: nodes come to a relay by TLS, and nothing here speaks it: set "
		"tls_listen_addr "
		"(such as \":443\"; a certificate is made when none is given)",
		c->file);
}

bool config_relay_equal(const struct config_relay *a, const struct config_relay *b)
{
	bool keys =
		a->key_path && b->key_path ? !strcmp(a->key_path, b->key_path) : a->key_path == b->key_path;
	return keys && a->enabled == b->enabled && a->verify_clients == b->verify_clients &&
	       endpoint_equal(&a->stun, &b->stun);
}

bool config_relay_region(const struct control_config *c, const struct endpoint *at,
	const struct endpoint *stun, const char *pin, struct arena *a, struct ctl_derp_map *map)
{
	const struct config_relay *r = &c->relay;
	struct ctl_derp_region *v = arena_array(a, map->n_regions + 1, sizeof(*v));
	struct ctl_derp_node *node = arena_array(a, 1, sizeof(*node));
	char name[CONFIG_HOST_TEXT];
	uint16_t url_port;
	config_value_host(c->server_url, name, &url_port);
	const char *host = arena_strdup(a, name);
	struct addr literal;
	size_t n = 0, k = 0;
	if (!v || !node || !host)
		return false;
	/* Behind a proxy that speaks TLS for it, the server is reached where its URL says. */
	bool by_url = strncmp(c->server_url, "https://", 8) == 0;
	uint16_t port = by_url ? (url_port ? url_port : HTTPS_PORT) : at->port;
	bool ours = port == at->port; /* not a proxy's certificate */
	bool is_ip = addr_parse(host, &literal);
	*node = (struct ctl_derp_node) { .name = arena_printf(a, "%d", r->region),
		.region = r->region,
		.host = host,
		.cert_name = arena_strdup(a, ours ? pin : ""),
		.ipv4 = *r->ipv4			? r->ipv4
			: is_ip && addr_is_v4(&literal) ? host
							: "",
		.ipv6 = *r->ipv6			 ? r->ipv6
			: is_ip && !addr_is_v4(&literal) ? host
							 : "",
		.stun_test_ip = "",
		.derp_port = port == HTTPS_PORT ? 0 : port,
		.stun_port = endpoint_is_set(stun) ? stun->port : -1 };
	struct ctl_derp_region region = { .id = r->region,
		.code = arena_strdup(a, r->code),
		.name = arena_strdup(a, r->name),
		.nodes = node,
		.n_nodes = 1 };
	/* By id, in the place of one with the same. */
	while (k < map->n_regions && map->regions[k].id < region.id)
		v[n++] = map->regions[k++];
	v[n++] = region;
	k += k < map->n_regions && map->regions[k].id == region.id;
	while (k < map->n_regions)
		v[n++] = map->regions[k++];
	map->regions = v;
	map->n_regions = n;
	return !a->failed;
}
