/* Upstreams as a configuration names them. */
#include "resolver/conf_reader.h"
#include "resolver/providers.h"

enum { DNS_PORT = 53 };

/* { server: TEXT, addresses: [...], pins: [...] } */
struct given {
	const yaml_node_t *server, *addresses_at, *pins_at;
	struct dns_secure secure;
	struct endpoint at;
	bool plain;
	struct addr addresses[RESOLVER_UPSTREAMS_MAX];
	size_t n_addresses;
};

static int key_server(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct given *g = into;
	const char *s = conf_scalar(n);
	uint8_t pins[DNS_SECURE_PINS][32];
	size_t n_pins = g->secure.n_pins;
	memcpy(pins, g->secure.pins, sizeof(pins)); /* they may stand before it */
	g->server = n;
	g->plain = s && endpoint_parse_or(s, DNS_PORT, &g->at);
	if (!g->plain && (!s || !dns_secure_parse(s, &g->secure, &g->at)))
		return conf_bad(r, n,
			"\"%.80s\" is not an address, nor a server by TLS or HTTPS; write 192.0.2.1, "
			"192.0.2.1:53, "
			"[2001:db8::1]:53, tls://192.0.2.1#dns.example or https://192.0.2.1/dns-query",
			s ? s : "");
	memcpy(g->secure.pins, pins, sizeof(pins));
	g->secure.n_pins = n_pins;
	return 0;
}

static int key_addresses(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct given *g = into;
	g->addresses_at = n;
	if (n->type != YAML_SEQUENCE_NODE)
		return conf_bad(r, n, "addresses: a list is wanted here");
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		const yaml_node_t *item = conf_node(r, *i);
		const char *s = conf_scalar(item);
		if (g->n_addresses == RESOLVER_UPSTREAMS_MAX)
			return conf_bad(
				r, item, "addresses: at most %d are possible", RESOLVER_UPSTREAMS_MAX);
		if (!s || !addr_parse(s, &g->addresses[g->n_addresses++]))
			return conf_bad(r, item, "\"%.80s\" is not an address", s ? s : "");
	}
	return 0;
}

static int key_pins(struct conf_reader *r, yaml_node_t *n, void *into)
{
	struct given *g = into;
	g->pins_at = n;
	if (n->type != YAML_SEQUENCE_NODE)
		return conf_bad(r, n, "pins: a list is wanted here");
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		const yaml_node_t *item = conf_node(r, *i);
		const char *s = conf_scalar(item);
		if (g->secure.n_pins == DNS_SECURE_PINS)
			return conf_bad(r, item, "pins: at most %d are possible", DNS_SECURE_PINS);
		if (!s || !dns_secure_pin_parse(s, g->secure.pins[g->secure.n_pins++]))
			return conf_bad(r, item,
				"\"%.80s\" is not the SHA-256 hash of a key in base64 (44 characters)",
				s ? s : "");
	}
	return 0;
}

static bool is_named(const struct given *g)
{
	return !g->plain && addr_is_unspecified(&g->at.ip);
}

static int given_check(const struct conf_reader *r, const yaml_node_t *item, const struct given *g)
{
	if (!g->server)
		return conf_bad(r, item, "\"server\" is missing: say who is meant");
	bool named = is_named(g);
	if (g->plain && (g->pins_at || g->addresses_at))
		return conf_bad(r, g->pins_at ? g->pins_at : g->addresses_at,
			"only servers by TLS or HTTPS have pins and addresses: in clear nobody can show a "
			"key");
	if (named && !g->n_addresses)
		return conf_bad(r, g->server,
			"this server has a name, and who should be asked for it? Give its addresses: "
			"{ server: \"%.80s\", addresses: [ 192.0.2.1 ] }",
			conf_scalar(g->server));
	if (!named && g->n_addresses)
		return conf_bad(r, g->addresses_at, "the server has an address already");
	return 0;
}

static int read_item(struct conf_reader *r, yaml_node_t *item, struct given *g)
{
	static const struct conf_key keys[] = { { "server", key_server }, { "addresses", key_addresses },
		{ "pins", key_pins }, { 0 } };
	*g = (struct given) { 0 };
	int err = item->type == YAML_MAPPING_NODE ? conf_keys(r, item, keys, g) : key_server(r, item, g);
	if (!err && g->server && is_named(g) && !g->addresses_at)
		g->n_addresses = provider_addresses(&g->secure, g->addresses);
	return err ? err : given_check(r, item, g);
}

/* As many as it has addresses, behind those there are. */
static int upstreams_add(struct conf_reader *r, const yaml_node_t *item, const struct given *g,
	struct resolver_upstream *u, size_t *n)
{
	size_t count = g->n_addresses ? g->n_addresses : 1;
	struct dns_secure *secure = g->plain ? NULL : arena_alloc(&r->c->arena, sizeof(*secure));
	if (!g->plain && !secure)
		return conf_bad(r, item, "out of memory");
	if (secure)
		*secure = g->secure;
	for (size_t i = 0; i < count; i++) {
		if (*n == RESOLVER_UPSTREAMS_MAX)
			return conf_bad(r, item, "at most %d upstreams are possible, each address counts",
				RESOLVER_UPSTREAMS_MAX);
		u[*n] = (struct resolver_upstream) { .at = g->at, .secure = secure };
		if (g->n_addresses)
			u[*n].at.ip = g->addresses[i];
		++*n;
	}
	return 0;
}

int conf_upstreams(struct conf_reader *r, yaml_node_t *n, struct resolver_route *out)
{
	bool list = n->type == YAML_SEQUENCE_NODE;
	size_t total = list ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start) : 1,
	       count = 0;
	struct resolver_upstream u[RESOLVER_UPSTREAMS_MAX], *kept;
	struct given g;
	int err = 0;
	for (size_t i = 0; i < total; i++) {
		yaml_node_t *item = list ? conf_item(r, n, i) : n;
		int wrong = read_item(r, item, &g);
		err = err_first(err, wrong ? wrong : upstreams_add(r, item, &g, u, &count));
	}
	if (err)
		return err;
	kept = arena_array(&r->c->arena, count, sizeof(*kept));
	if (!kept)
		return conf_bad(r, n, "out of memory");
	if (count)
		memcpy(kept, u, count * sizeof(*kept));
	out->upstreams = kept;
	out->n_upstreams = count;
	return 0;
}
