#include "mesh/control/config/config.h"

#include "mesh/base/text.h"
#include "mesh/control/config/config_env.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/document.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* BASE_MAX: with the longest label before it that a node can have, a name of 253 characters, the most of DNS. */
enum { CONFIG_BYTES_MAX = 1024 * 1024, PATH_DEPTH_TEXT = 128, HTTP_PORT = 80, BASE_MAX = 253 - 64 };

enum kind {
	TEXT,
	NAME,
	URL,
	LISTEN,
	PATH,
	PATHS,
	TEXTS,
	DOMAIN,
	DOMAINS,
	BOOL,
	NET4,
	NET6,
	DURATION,
	MODE,
	LEVEL,
	FORMAT,
	SERVERS,
	SPLIT,
	RECORDS,
	BLOCKING,
	SQLITE,
	CHALLENGE,
	RELAY,
	POLICY_MODE,
	LOGIN,
	PROXIES,
	UNUSED,
	MISSING,
	RENAMED
};

#define AT(field) offsetof(struct control_config, field)
/* Names, types and places. UNUSED: a setting of Headscale that has no meaning here, accepted so that its file
 * works; advice: what serves instead. MISSING: the same, but the network is another one without it. RENAMED:
 * one of an older Headscale; advice: what it is now. */
static const struct row {
	const char *key;
	enum kind kind;
	size_t at;
	const char *advice;
} rows[] = {
	{ "server_url", URL, AT(server_url), NULL },
	{ "listen_addr", LISTEN, AT(listen), NULL },
	{ "tls_listen_addr", LISTEN, AT(tls_listen), NULL },
	{ "tls_cert_path", PATH, AT(tls_cert), NULL },
	{ "tls_key_path", PATH, AT(tls_key), NULL },
	{ "tls_letsencrypt_hostname", DOMAIN, AT(acme_host), NULL },
	{ "tls_letsencrypt_challenge_type", CHALLENGE, AT(acme_alpn), NULL },
	{ "tls_letsencrypt_listen", LISTEN, AT(acme_listen), NULL },
	{ "tls_letsencrypt_cache_dir", PATH, AT(acme_dir), NULL },
	{ "acme_url", URL, AT(acme_url), NULL },
	{ "acme_email", TEXT, AT(acme_email), NULL },
	{ "noise.private_key_path", PATH, AT(noise_key_path), NULL },
	{ "network_name", NAME, AT(network_name), NULL },
	{ "prefixes.v4", NET4, AT(v4), NULL },
	{ "prefixes.v6", NET6, AT(v6), NULL },
	{ "prefixes.allocation", UNUSED, 0, "addresses are given in sequence" },
	{ "derp.paths", PATHS, AT(derp_paths), NULL },
	{ "derp.server", RELAY, AT(relay), NULL },
	{ "derp.urls", MISSING, 0, "name relays in a file of derp.paths" },
	{ "derp.auto_update_enabled", UNUSED, 0, NULL },
	{ "derp.update_frequency", UNUSED, 0, NULL },
	{ "dns.magic_dns", BOOL, AT(magic_dns), NULL },
	{ "dns.base_domain", DOMAIN, AT(base_domain), NULL },
	{ "dns.override_local_dns", BOOL, AT(override_local_dns), NULL },
	{ "dns.nameservers.global", SERVERS, AT(nameservers), NULL },
	{ "dns.nameservers.split", SPLIT, AT(split), NULL },
	{ "dns.search_domains", DOMAINS, AT(search_domains), NULL },
	{ "dns.extra_records", RECORDS, AT(records), NULL },
	{ "dns.extra_records_path", PATH, AT(records_path), NULL },
	{ "dns.blocking", BLOCKING, AT(blocking), NULL },
	{ "policy.path", PATH, AT(policy_path), NULL },
	{ "policy.mode", POLICY_MODE, AT(policy_database), NULL },
	{ "database.type", SQLITE, 0, NULL },
	{ "database.sqlite.path", PATH, AT(database_path), NULL },
	{ "database.sqlite.write_ahead_log", UNUSED, 0, NULL },
	{ "database.sqlite.wal_autocheckpoint", UNUSED, 0, NULL },
	{ "database.postgres", UNUSED, 0, NULL },
	{ "database.gorm", UNUSED, 0, NULL },
	{ "database.debug", UNUSED, 0, NULL },
	{ "unix_socket", PATH, AT(unix_socket), NULL },
	{ "unix_socket_permission", MODE, AT(unix_socket_mode), NULL },
	{ "ephemeral_node_inactivity_timeout", DURATION, AT(ephemeral_ms), NULL },
	{ "node.ephemeral.inactivity_timeout", DURATION, AT(ephemeral_ms), NULL },
	{ "node.expiry", DURATION, AT(expiry_ms), NULL },
	{ "node.routes", UNUSED, 0, NULL },
	{ "log.level", LEVEL, AT(log_level), NULL },
	{ "log.format", FORMAT, AT(log_json), NULL },
	{ "metrics_listen_addr", UNUSED, 0, NULL },
	{ "grpc_listen_addr", UNUSED, 0, NULL },
	{ "grpc_allow_insecure", UNUSED, 0, NULL },
	{ "trusted_proxies", PROXIES, AT(proxies), NULL },
	{ "disable_check_updates", UNUSED, 0, NULL },
	{ "randomize_client_port", MISSING, 0, NULL },
	{ "oidc", LOGIN, AT(login), NULL },
	{ "logtail", UNUSED, 0, "nodes are told to send their logs nowhere" },
	{ "taildrop", UNUSED, 0, NULL },
	{ "auto_update", UNUSED, 0, NULL },
	{ "tuning", UNUSED, 0, NULL },
	{ "cli", UNUSED, 0, NULL },
	{ "private_key_path", UNUSED, 0, NULL },
	{ "node_update_check_interval", UNUSED, 0, NULL },
	{ "ip_prefixes", RENAMED, 0, "prefixes.v4 and prefixes.v6" },
	{ "db_type", RENAMED, 0, "database.type" },
	{ "db_path", RENAMED, 0, "database.sqlite.path" },
	{ "acl_policy_path", RENAMED, 0, "policy.path" },
	{ "dns_config", RENAMED, 0, "dns, with nameservers.global, nameservers.split and search_domains" },
};

struct reading {
	struct document d;
	struct control_config *c;
	struct arena *mem;
	const char *folder;
	bool environment; /* it is asked as well */
	struct buf *all;  /* as in struct document */
};

static int refuse_type(struct reading *r, const yaml_node_t *n, const char *key, const char *want)
{
	const char *text = document_text(n);
	if (text)
		return document_refuse(&r->d, n, "%s: \"%.64s\" is not %s", key, text, want);
	return document_refuse(&r->d, n, "%s must be %s", key, want);
}

static const char *keep(struct reading *r, const char *text)
{
	return arena_strdup(r->mem, text);
}

static const char *keep_path(struct reading *r, const char *text)
{
	return *text == '/' || !*text ? keep(r, text) : arena_printf(r->mem, "%s/%s", r->folder, text);
}

static const char *keep_domain(struct reading *r, const char *text)
{
	char low[CONFIG_DOMAIN_TEXT];
	return config_value_domain(text, low) ? arena_strdup(r->mem, low) : NULL;
}

static bool parse_url(struct reading *r, const char *text, const char **out)
{
	size_t len = strlen(text), scheme = !strncmp(text, "https://", 8)  ? 8
					    : !strncmp(text, "http://", 7) ? 7
									   : 0;
	while (len && text[len - 1] == '/')
		len--;
	if (!scheme || len <= scheme || strpbrk(text, " \"<>'&?#"))
		return false;
	*out = arena_strndup(r->mem, text, len);
	return true;
}

static int take_list(
	struct reading *r, const char *key, yaml_node_t *n, enum kind kind, struct ctl_strings *out)
{
	if (document_is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return refuse_type(r, n, key, "a list");
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	*out = (struct ctl_strings) { .v = arena_array(r->mem, count, sizeof(*out->v)) };
	for (size_t i = 0; i < count && out->v; i++) {
		yaml_node_t *item = document_node(&r->d, n->data.sequence.items.start[i]);
		const char *text = document_text(item);
		if (!text || !*text)
			return refuse_type(r, item, key, "a text");
		const char *kept = kind == PATHS     ? keep_path(r, text)
				   : kind == DOMAINS ? keep_domain(r, text)
						     : keep(r, text);
		if (!kept)
			return refuse_type(r, item, key, "a domain name");
		out->v[out->n++] = kept;
	}
	return 0;
}

static int take_split(struct reading *r, const char *key, yaml_node_t *n, struct config_splits *out)
{
	if (document_is_null(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return refuse_type(r, n, key, "a mapping from domain to a list of servers");
	size_t count = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
	int err = 0;
	*out = (struct config_splits) { .v = arena_array(r->mem, count, sizeof(*out->v)) };
	for (size_t i = 0; i < count && out->v; i++) {
		yaml_node_t *name = document_node(&r->d, n->data.mapping.pairs.start[i].key);
		struct config_split *s = &out->v[out->n++];
		s->suffix = keep_domain(r, document_text(name));
		int wrong = s->suffix ? config_servers_take(&r->d, key,
						document_node(&r->d, n->data.mapping.pairs.start[i].value),
						r->mem, &s->servers)
				      : refuse_type(r, name, key, "a domain name");
		err = err_first(err, wrong);
	}
	return err;
}

static int take_net(struct reading *r, const struct row *row, yaml_node_t *n, const char *text, void *field)
{
	struct prefix all, net;
	bool v4 = row->kind == NET4;
	(void)prefix_parse(v4 ? "100.64.0.0/10" : "fd7a:115c:a1e0::/48", &all);
	if (!prefix_parse(text, &net) || !prefix_contains(&all, &net.ip) || net.bits < all.bits ||
		net.bits > (v4 ? 30 : 126))
		return refuse_type(r, n, row->key,
			v4 ? "a prefix inside 100.64.0.0/10 (clients use no other)"
			   : "a prefix inside fd7a:115c:a1e0::/48 (clients use no other)");
	prefix_mask(&net);
	*(struct prefix *)field = net;
	*(v4 ? &r->c->has_v4 : &r->c->has_v6) = true;
	return 0;
}

static int take_scalar(struct reading *r, const struct row *row, yaml_node_t *n, void *field)
{
	const char *text = document_text(n);
	if (!text)
		return refuse_type(r, n, row->key, "a single value");
	switch (row->kind) {
	case TEXT: *(const char **)field = keep(r, text); return 0;
	case NAME:
		*(const char **)field = config_value_name(text) ? keep(r, text) : NULL;
		return *(const char **)field || !*text
			       ? 0
			       : refuse_type(r, n, row->key, "a name: one line, at most 63 letters");
	case URL:
		return parse_url(r, text, field)
			       ? 0
			       : refuse_type(r, n, row->key, "a URL such as https://mesh.example.com");
	case LISTEN:
		return config_value_listen(text, field)
			       ? 0
			       : refuse_type(r, n, row->key, "an address such as 0.0.0.0:8080 or :8080");
	case PATH:
		if (*text)
			*(const char **)field = keep_path(r, text);
		return 0;
	case DOMAIN:
		if (!*text)
			return 0;
		*(const char **)field = keep_domain(r, text);
		return *(const char **)field
			       ? 0
			       : refuse_type(r, n, row->key, "a domain name such as mesh.example.com");
	case BOOL: return config_value_bool(text, field) ? 0 : refuse_type(r, n, row->key, "true or false");
	case NET4:
	case NET6: return *text ? take_net(r, row, n, text, field) : 0;
	case DURATION:
		return config_value_duration(text, field) ? 0
							  : refuse_type(r, n, row->key, "a time such as 30m");
	case MODE:
		return config_value_mode(text, field)
			       ? 0
			       : refuse_type(r, n, row->key, "a mode such as \"0770\"");
	case LEVEL:
		return config_value_level(text, field)
			       ? 0
			       : refuse_type(r, n, row->key, "error, warn, info or debug");
	case FORMAT:
		*(bool *)field = !strcmp(text, "json");
		return *(bool *)field || !strcmp(text, "text") ? 0
							       : refuse_type(r, n, row->key, "text or json");
	case CHALLENGE:
		*(bool *)field = !strcmp(text, "TLS-ALPN-01");
		return *(bool *)field || !strcmp(text, "HTTP-01")
			       ? 0
			       : refuse_type(r, n, row->key, "HTTP-01 or TLS-ALPN-01");
	case SQLITE:
		return !strncmp(text, "sqlite", 6)
			       ? 0
			       : refuse_type(
					 r, n, row->key, "sqlite: this server keeps its data in SQLite only");
	case POLICY_MODE:
		*(bool *)field = !strcmp(text, "database");
		return *(bool *)field || !strcmp(text, "file")
			       ? 0
			       : refuse_type(r, n, row->key, "file or database");
	default: return 0;
	}
}

/* Says as much as not being there, or what is done here anyway. */
static bool is_off(struct reading *r, const yaml_node_t *n)
{
	const char *text = document_text(n);
	bool on;
	if (text)
		return !*text || document_is_null(n) || (config_value_bool(text, &on) && !on) ||
		       !strcmp(text, "sequential");
	if (n->type == YAML_SEQUENCE_NODE)
		return n->data.sequence.items.top == n->data.sequence.items.start;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (!strcmp(document_text(document_node(&r->d, p->key)), "enabled"))
			return is_off(r, document_node(&r->d, p->value));
	return n->data.mapping.pairs.top == n->data.mapping.pairs.start;
}

static void add_unused(struct reading *r, const struct row *row, const yaml_node_t *n)
{
	for (size_t i = 0; i < r->c->n_unused; i++)
		if (r->c->unused[i].key == row->key)
			return; /* file and environment have it */
	if (r->c->n_unused < ARRAY_LEN(rows) && !is_off(r, n))
		r->c->unused[r->c->n_unused++] =
			(struct config_unused) { row->key, row->advice, row->kind == MISSING };
}

static int config_take(struct reading *r, const struct row *row, const yaml_node_t *key, yaml_node_t *n)
{
	void *field = (char *)r->c + row->at;
	switch (row->kind) {
	case PATHS:
	case TEXTS:
	case DOMAINS: return take_list(r, row->key, n, row->kind, field);
	case SERVERS: return config_servers_take(&r->d, row->key, n, r->mem, field);
	case SPLIT: return take_split(r, row->key, n, field);
	case RECORDS: return config_records_take(&r->d, row->key, n, r->mem, field);
	case BLOCKING: return config_blocking_take(&r->d, n, r->mem, field);
	case RELAY: return config_relay_take(&r->d, n, r->mem, r->folder, field);
	case LOGIN: return config_login_take(&r->d, n, r->mem, r->folder, r->environment, field);
	case PROXIES: return config_proxies_take(&r->d, n, r->mem, field);
	case UNUSED:
	case MISSING: add_unused(r, row, n); return 0;
	case RENAMED:
		return document_refuse(&r->d, key, "%s is the name of an older Headscale: it is %s now",
			row->key, row->advice);
	default: return document_is_null(n) ? 0 : take_scalar(r, row, n, field);
	}
}

/* "did you mean" among the keys of one level. */
static int refuse_key(struct reading *r, yaml_node_t *key, const char *prefix)
{
	const char *names[ARRAY_LEN(rows) + 1];
	char levels[ARRAY_LEN(rows)][48];
	size_t n = 0, skip = strlen(prefix);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strncmp(rows[i].key, prefix, skip) != 0)
			continue;
		snprintf(levels[n], sizeof(levels[n]), "%.*s", (int)strcspn(rows[i].key + skip, "."),
			rows[i].key + skip);
		names[n] = levels[n];
		n++;
	}
	names[n] = NULL;
	const char *near = text_nearest(document_text(key), names);
	return document_refuse(&r->d, key, "unknown key \"%s%s\"%s%s%s%s", prefix, document_text(key),
		near ? "; did you mean \"" : "", near ? prefix : "", near ? near : "", near ? "\"?" : "");
}

/* How long keys that were taken back stay in lists: Headscale has it for several kinds of keys, each in a
 * section of its own. Here they stay for good. */
static const struct row retention = { "revoked_retention", UNUSED, 0, "keys stay in their list" };

static bool is_retention(struct reading *r, const yaml_node_t *key, const yaml_node_t *value)
{
	if (!strcmp(document_text(key), retention.key))
		return true;
	if (value->type != YAML_MAPPING_NODE ||
		value->data.mapping.pairs.top != value->data.mapping.pairs.start + 1)
		return false;
	return !strcmp(
		document_text(document_node(&r->d, value->data.mapping.pairs.start->key)), retention.key);
}

static int take_level(struct reading *r, yaml_node_t *map, const char *prefix)
{
	int err = 0;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		int wrong = 0;
		yaml_node_t *key = document_node(&r->d, p->key), *value = document_node(&r->d, p->value);
		char name[PATH_DEPTH_TEXT];
		const struct row *exact = NULL, *inside = NULL;
		if ((size_t)snprintf(name, sizeof(name), "%s%s", prefix, document_text(key)) >=
			sizeof(name) - 1) {
			err = err_first(
				err, document_refuse(&r->d, key, "this key is too long to be one of ours"));
			continue;
		}
		size_t len = strlen(name);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if (!strcmp(rows[i].key, name))
				exact = &rows[i];
			else if (!strncmp(rows[i].key, name, len) && rows[i].key[len] == '.')
				inside = &rows[i];
		}
		if (exact) {
			wrong = config_take(r, exact, key, value);
		} else if (!inside && is_retention(r, key, value)) {
			add_unused(r, &retention, value);
		} else if (!inside) {
			wrong = refuse_key(r, key, prefix);
		} else if (value->type == YAML_MAPPING_NODE) {
			memcpy(name + len, ".", 2);
			wrong = take_level(r, value, name);
		} else if (!document_is_null(value)) {
			wrong = document_refuse(&r->d, value, "%s must be a mapping", name);
		}
		err = err_first(err, wrong);
	}
	return err;
}

/* The host of server_url is the domain, or a name in it. */
static bool covers_server(const struct control_config *c)
{
	char host[CONFIG_HOST_TEXT];
	uint16_t port;
	config_value_host(c->server_url, host, &port);
	size_t n = strlen(host), domain = strlen(c->base_domain);
	return n >= domain && !strcasecmp(host + n - domain, c->base_domain) &&
	       (n == domain || host[n - domain - 1] == '.');
}

static int check_whole(struct control_config *c, struct errbuf *eb)
{
	if (!c->server_url)
		return err_say(eb, ERR_MALFORMED,
			"%s: server_url is missing: the address nodes reach this server at, such as "
			"https://mesh.example.com",
			c->file);
	if (c->records.n && *c->records_path)
		return err_say(eb, ERR_MALFORMED,
			"%s: dns.extra_records and dns.extra_records_path are both set: keep one", c->file);
	if (!c->tls_cert != !c->tls_key)
		return err_say(eb, ERR_MALFORMED,
			"%s: tls_cert_path and tls_key_path go together: set both or neither", c->file);
	struct addr literal;
	if (strpbrk(c->acme_email, "\"\\ "))
		return err_say(eb, ERR_MALFORMED, "%s: acme_email is no address", c->file);
	if (c->acme_host && c->tls_cert)
		return err_say(eb, ERR_MALFORMED,
			"%s: tls_letsencrypt_hostname and tls_cert_path are both set: keep one", c->file);
	if (c->acme_host && addr_parse(c->acme_host, &literal))
		return err_say(eb, ERR_MALFORMED,
			"%s: tls_letsencrypt_hostname is an address: it must be the name that the "
			"certificate is for",
			c->file);
	int err = config_relay_check(c, eb);
	if (err)
		return err;
	if (strlen(c->base_domain) > BASE_MAX)
		return err_say(eb, ERR_MALFORMED,
			"%s: dns.base_domain has more than %d characters: the name of a node in it would be "
			"too "
			"long",
			c->file, BASE_MAX);
	if (covers_server(c))
		return err_say(eb, ERR_MALFORMED,
			"%s: dns.base_domain %s covers the host of server_url: nodes would look for this "
			"server inside the mesh; choose another domain",
			c->file, c->base_domain);
	return 0;
}

static int set_defaults(const char *path, struct control_config *c)
{
	*c = (struct control_config) { .noise_key_path = "/var/lib/ropewalk-control/noise_private.key",
		.database_path = "/var/lib/ropewalk-control/db.sqlite",
		.unix_socket = CONFIG_SOCKET,
		.policy_path = "",
		.records_path = "",
		.unix_socket_mode = 0600,
		.magic_dns = true,
		.override_local_dns = true,
		.base_domain = "rope.internal",
		.relay = config_relay_defaults(),
		.acme_url = "https://acme-v02.api.letsencrypt.org/directory",
		.acme_email = "",
		.acme_listen = { .ip = addr_any6, .port = HTTP_PORT },
		.ephemeral_ms = 30 * 60 * 1000,
		.log_level = LOG_INFO };
	(void)config_value_listen("0.0.0.0:8080", &c->listen);
	c->file = arena_strdup(&c->mem, path);
	c->unused = arena_array(&c->mem, ARRAY_LEN(rows), sizeof(*c->unused));
	return c->mem.failed ? -ENOMEM : 0;
}

static void default_prefixes(struct control_config *c)
{
	if (c->has_v4 || c->has_v6)
		return;
	c->has_v4 = prefix_parse("100.64.0.0/10", &c->v4);
	c->has_v6 = prefix_parse("fd7a:115c:a1e0::/48", &c->v6);
}

static int take_document(struct reading *r, const char *path, const char *text, size_t len, struct errbuf *eb)
{
	int err = document_open(&r->d, path, text, len, eb);
	if (err)
		return err;
	r->d.all = r->all;
	yaml_node_t *root = yaml_document_get_root_node(&r->d.yaml);
	if (root && root->type == YAML_MAPPING_NODE)
		err = take_level(r, root, "");
	else if (root && !document_is_null(root))
		err = document_refuse(&r->d, root, "the file must be a mapping: key: value");
	document_close(&r->d);
	return err;
}

/* --- the environment: what it says of a setting holds instead of the file's word --- */

static enum config_env_form form_of(const struct row *row)
{
	switch (row->kind) {
	case PATHS:
	case TEXTS:
	case DOMAINS:
	case SERVERS:
	case PROXIES: return CONFIG_ENV_LIST;
	case SPLIT:
	case RECORDS:
	case BLOCKING: return CONFIG_ENV_JSON;
	default: return CONFIG_ENV_TEXT;
	}
}

/* Wipes the item. */
static int take_item(
	struct reading *r, const struct row *row, struct config_env_item *item, struct errbuf *eb)
{
	int err = 0;
	if (item->text.len && !(err = document_open(&r->d, item->name, (const char *)buf_data(&item->text),
					item->text.len, eb))) {
		yaml_node_t *value = yaml_document_get_root_node(&r->d.yaml);
		err = value ? config_take(r, row, value, value) : 0;
		document_close(&r->d);
	}
	buf_wipe(&item->text);
	return err;
}

static int take_environment(struct reading *r, struct errbuf *eb)
{
	struct config_env_item item;
	const char *member;
	int err = 0;
	for (const struct row *row = rows; row < rows + ARRAY_LEN(rows) && !err; row++) {
		if (row->kind == LOGIN) { /* else it is read where the file's provider is */
			err = r->c->login.v ? 0
					    : config_login_environment(r->mem, r->folder, &r->c->login, eb);
			continue;
		}
		for (size_t i = 0; row->kind == RELAY && !err && (member = config_relay_key(i)); i++)
			if (!(err = config_env_member(row->key, member, &item, eb)))
				err = take_item(r, row, &item, eb);
		if (!err && row->kind != RELAY && !(err = config_env_get(row->key, form_of(row), &item, eb)))
			err = take_item(r, row, &item, eb);
		if (!err && row->kind >= UNUSED &&
			!(err = config_env_get(row->key, CONFIG_ENV_BELOW, &item, eb)))
			err = take_item(r, row, &item, eb);
	}
	return err;
}

static int parse_whole(const char *path, const char *text, size_t len, bool environment,
	struct control_config *out, struct buf *all, struct errbuf *eb)
{
	struct control_config c;
	struct reading r = { .c = &c, .mem = &c.mem, .environment = environment, .all = all };
	const char *slash = strrchr(path, '/');
	if (set_defaults(path, &c)) {
		config_free(&c);
		return err_set(eb, -ENOMEM, "read %s", path);
	}
	r.folder = slash == path ? "" : slash ? arena_strndup(&c.mem, path, (size_t)(slash - path)) : ".";
	int err = take_document(&r, path, text, len, eb);
	if (!err && environment)
		err = take_environment(&r, eb);
	default_prefixes(&c);
	if (!err && c.mem.failed)
		err = err_set(eb, -ENOMEM, "read %s", path);
	if (!err)
		err = check_whole(&c, eb);
	if (err)
		config_free(&c);
	else
		*out = c;
	return err;
}

int config_parse(
	const char *path, const char *text, size_t len, struct control_config *out, struct errbuf *eb)
{
	return parse_whole(path, text, len, false, out, NULL, eb);
}

int config_read_all(const char *path, struct control_config *out, struct buf *all, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read_given(path, CONFIG_BYTES_MAX, false, &text, eb);
	if (!err)
		err = parse_whole(path, (const char *)buf_data(&text), text.len, true, out, all, eb);
	else if (err == -ENOENT)
		err = err_say(eb, err, "%s is not there: -c FILE says where the settings are", path);
	buf_wipe(&text); /* secrets may stand in it */
	if (!err && (err = config_login_secrets(out, eb)))
		config_free(out);
	if (err && all && !all->len)
		(void)buf_printf(all, "%s\n", eb->text);
	return err;
}

int config_read(const char *path, struct control_config *out, struct errbuf *eb)
{
	return config_read_all(path, out, NULL, eb);
}

void config_free(struct control_config *c)
{
	config_login_wipe(&c->login);
	arena_free(&c->mem);
	*c = (struct control_config) { 0 };
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* What of a row a running server holds fast; the rest it takes from a new file, or nothing comes of it. */
static bool is_same(const struct row *row, const struct control_config *a, const struct control_config *b)
{
	const void *x = (const char *)a + row->at, *y = (const char *)b + row->at;
	switch (row->kind) {
	case URL:
	case DOMAIN: return same_text(*(const char *const *)x, *(const char *const *)y);
	case PATH:
		return row->at == AT(policy_path) || row->at == AT(records_path) ||
		       same_text(*(const char *const *)x, *(const char *const *)y);
	case LISTEN: return endpoint_equal(x, y);
	case NET4: return a->has_v4 == b->has_v4 && prefix_equal(&a->v4, &b->v4);
	case NET6: return a->has_v6 == b->has_v6 && prefix_equal(&a->v6, &b->v6);
	case RELAY: return config_relay_equal(x, y);
	case LOGIN: return config_login_equal(x, y);
	case PROXIES: return config_proxies_equal(x, y);
	case CHALLENGE: return a->acme_alpn == b->acme_alpn;
	case MODE: return a->unix_socket_mode == b->unix_socket_mode;
	case POLICY_MODE: return a->policy_database == b->policy_database;
	default: return true;
	}
}

char *config_fixed_differ(
	const struct control_config *a, const struct control_config *b, char *out, size_t cap)
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows) && len < cap; i++)
		if (!is_same(&rows[i], a, b))
			len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? ", " : "", rows[i].key);
	return out;
}
