/* Logins in a browser: `oidc`, with Headscale's names, one provider or a list of them, and the proxies that are believed
 * when they say who has come. ecosystem.md 2.3. */
#include "mesh/control/config/config.h"

#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include "mesh/control/config/config_env.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/document.h"
#include "mesh/os/file.h"
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PROVIDERS_MAX = 8, SECRET_MAX = 4096, DOMAIN_MAX = 253, EXPANDED_MAX = 4096 };

enum login_kind {
	LOGIN_TEXT,
	LOGIN_ISSUER,
	LOGIN_DOMAIN,
	LOGIN_PATH,
	LOGIN_BOOL,
	LOGIN_LIFETIME,
	LOGIN_TEXTS,
	LOGIN_SCOPE,
	LOGIN_EXTRA,
	LOGIN_PKCE,
	LOGIN_GONE
};
#define AT(field) offsetof(struct config_provider, field)
static const struct login_row {
	const char *key;
	enum login_kind kind;
	size_t at;
} login_rows[] = {
	{ "issuer", LOGIN_ISSUER, AT(s.issuer) },
	{ "name", LOGIN_TEXT, AT(s.name) },
	{ "client_id", LOGIN_TEXT, AT(s.client) },
	{ "client_secret", LOGIN_TEXT, AT(s.secret) },
	{ "client_secret_path", LOGIN_PATH, AT(secret_path) },
	{ "scope", LOGIN_SCOPE, AT(s.scope) },
	{ "extra_params", LOGIN_EXTRA, 0 },
	{ "groups_claim", LOGIN_TEXT, AT(s.groups_claim) },
	{ "groups_domain", LOGIN_DOMAIN, AT(s.groups_domain) },
	{ "allowed_domains", LOGIN_TEXTS, AT(s.domains) },
	{ "allowed_users", LOGIN_TEXTS, AT(s.users) },
	{ "allowed_groups", LOGIN_TEXTS, AT(s.groups) },
	{ "email_verified_required", LOGIN_BOOL, AT(s.verified_email) },
	{ "use_expiry_from_token", LOGIN_BOOL, AT(s.token_expiry) },
	{ "expiry", LOGIN_LIFETIME, AT(s.expiry_ms) },
	{ "only_start_if_oidc_is_available", LOGIN_BOOL, AT(s.must_answer) },
	{ "pkce", LOGIN_PKCE, 0 },
	{ "map_legacy_users", LOGIN_GONE, 0 },
	{ "strip_email_domain", LOGIN_GONE, 0 },
};

struct login_reading {
	struct document *d;
	struct arena *mem;
	const char *folder;
	struct config_provider *p;
	bool environment;
};

static const struct login_row *find_row(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(login_rows); i++)
		if (!strcmp(login_rows[i].key, key))
			return &login_rows[i];
	return NULL;
}

static size_t length_of(const yaml_node_t *n)
{
	return n->type == YAML_SEQUENCE_NODE
		       ? (size_t)(n->data.sequence.items.top - n->data.sequence.items.start)
		       : 0;
}

/* NULL, or what the value should be. */
static const char *take_texts(struct login_reading *r, yaml_node_t *n, struct oidc_texts *out)
{
	size_t len = length_of(n);
	if (n->type != YAML_SEQUENCE_NODE)
		return "a list";
	*out = (struct oidc_texts) { .v = arena_array(r->mem, len, sizeof(*out->v)) };
	for (size_t i = 0; i < len && out->v; i++) {
		const char *text = document_text(document_node(r->d, n->data.sequence.items.start[i]));
		if (!text || !*text)
			return "a list of texts";
		out->v[out->n++] = arena_strdup(r->mem, text);
	}
	return NULL;
}

static const char *take_scope(struct login_reading *r, yaml_node_t *n, const char **out)
{
	struct oidc_texts words;
	const char *want = take_texts(r, n, &words), *joined = "";
	bool openid = false;
	for (size_t i = 0; !want && i < words.n; i++) {
		if (!words.v[i] || strpbrk(words.v[i], " \t\"\\"))
			return "a list of words";
		openid |= !strcmp(words.v[i], "openid");
		joined = arena_printf(r->mem, "%s%s%s", joined, i ? " " : "", words.v[i]);
		if (!joined)
			return NULL;
	}
	if (want || !openid)
		return want ? want : "a list that has `openid`";
	*out = joined;
	return NULL;
}

static const char *take_extra(struct login_reading *r, yaml_node_t *n)
{
	struct oidc_settings *s = &r->p->s;
	if (n->type != YAML_MAPPING_NODE)
		return "a mapping";
	size_t len = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
	s->extra = arena_array(r->mem, len, sizeof(*s->extra));
	for (size_t i = 0; i < len && s->extra; i++) {
		const char *name = document_text(document_node(r->d, n->data.mapping.pairs.start[i].key)),
			   *value = document_text(document_node(r->d, n->data.mapping.pairs.start[i].value));
		if (!value || oidc_is_own_parameter(name))
			return "a mapping of texts, without the parameters that the flow has by itself";
		s->extra[s->n_extra++] =
			(struct oidc_extra) { arena_strdup(r->mem, name), arena_strdup(r->mem, value) };
	}
	return NULL;
}

/* PKCE is always used, by S256; that a file leaves it out or turns it off changes nothing. */
static const char *check_pkce(struct login_reading *r, yaml_node_t *n)
{
	if (n->type != YAML_MAPPING_NODE)
		return "a mapping";
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const char *key = document_text(document_node(r->d, p->key)),
			   *value = document_text(document_node(r->d, p->value));
		bool on;
		if (!value || (strcmp(key, "enabled") != 0 && strcmp(key, "method") != 0))
			return "a mapping with `enabled` and `method`";
		if (!strcmp(key, "method") ? strcmp(value, "S256") != 0 : !config_value_bool(value, &on))
			return !strcmp(key, "method") ? "S256 (method): `plain` shows the secret to whoever "
							"sees the first request"
						      : "true or false (enabled)";
	}
	return NULL;
}

/* https, or plain to a machine that cannot be anybody's on the way. */
static bool is_issuer(const char *text)
{
	struct addr a;
	uint16_t port;
	char host[CONFIG_HOST_TEXT];
	if (strpbrk(text, " \t\"<>?#") || strlen(text) > OIDC_TEXT_MAX)
		return false;
	if (!strncmp(text, "https://", 8))
		return text[8];
	if (strncmp(text, "http://", 7) != 0)
		return false;
	config_value_host(text, host, &port);
	return !strcmp(host, "localhost") || (addr_parse(host, &a) && addr_is_loopback(&a));
}

static bool take_lifetime(const char *text, uint64_t *out)
{
	*out = 0;
	return !strcmp(text, "0") || text_duration_ms(text, out);
}

/* Rules name groups by it, in small letters. */
static const char *take_domain(struct login_reading *r, const char *text, const char **out)
{
	char *domain = arena_strdup(r->mem, text);
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ||
		strlen(text) > DOMAIN_MAX)
		return "a domain such as example.com";
	for (char *p = domain; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	*out = domain;
	return NULL;
}

static const char *take_one(struct login_reading *r, const struct login_row *row, yaml_node_t *n)
{
	void *field = (char *)r->p + row->at;
	const char *text = document_text(n);
	const struct oidc_quirk *q;
	switch (row->kind) {
	case LOGIN_TEXTS: return take_texts(r, n, field);
	case LOGIN_SCOPE: return take_scope(r, n, field);
	case LOGIN_EXTRA: return take_extra(r, n);
	case LOGIN_PKCE: return check_pkce(r, n);
	case LOGIN_GONE: return NULL;
	default: break;
	}
	if (!text)
		return "a single value";
	switch (row->kind) {
	case LOGIN_BOOL: return config_value_bool(text, field) ? NULL : "true or false";
	case LOGIN_LIFETIME: return take_lifetime(text, field) ? NULL : "a time such as 180d";
	case LOGIN_ISSUER:
		if (*text && !is_issuer(text))
			return "a URL such as https://id.example.com";
		q = oidc_quirk_of(text);
		if (q && q->refused)
			return q->refused;
		*(const char **)field = arena_strdup(r->mem, text);
		return NULL;
	case LOGIN_DOMAIN: return take_domain(r, text, field);
	case LOGIN_PATH:
		*(const char **)field = !*text || *text == '/' || *text == '$'
						? arena_strdup(r->mem, text)
						: arena_printf(r->mem, "%s/%s", r->folder, text);
		return NULL;
	default: *(const char **)field = arena_strdup(r->mem, text); return NULL;
	}
}

/* --- the environment --- */

static int take_value(struct login_reading *r, const struct login_row *row, yaml_node_t *value)
{
	const char *want = document_is_null(value) ? NULL : take_one(r, row, value);
	return want ? document_refuse(r->d, value, "oidc.%s: must be %s", row->key, want) : 0;
}

/* Wipes the item. */
static int take_item(struct login_reading *r, const struct login_row *row, struct config_env_item *item)
{
	struct document d, *file = r->d;
	int err = 0;
	if (item->text.len && !(err = document_open(&d, item->name, (const char *)buf_data(&item->text),
					item->text.len, file->eb))) {
		yaml_node_t *value = yaml_document_get_root_node(&d.yaml);
		r->d = &d;
		err = value ? take_value(r, row, value) : 0;
		r->d = file;
		document_close(&d);
	}
	buf_wipe(&item->text);
	return err;
}

static int get_item(const struct login_row *row, struct config_env_item *out, struct errbuf *eb)
{
	char key[64];
	const enum config_env_form form = row->kind == LOGIN_TEXTS || row->kind == LOGIN_SCOPE
						  ? CONFIG_ENV_LIST
					  : row->kind == LOGIN_EXTRA ? CONFIG_ENV_JSON
					  : row->kind == LOGIN_PKCE  ? CONFIG_ENV_BELOW
								     : CONFIG_ENV_TEXT;
	snprintf(key, sizeof(key), "oidc.%s", row->key);
	return config_env_get(key, form, out, eb);
}

static int take_environment(struct login_reading *r)
{
	struct config_env_item item;
	int err = 0;
	for (size_t i = 0; i < ARRAY_LEN(login_rows) && !err; i++)
		if (!(err = get_item(&login_rows[i], &item, r->d->eb)))
			err = take_item(r, &login_rows[i], &item);
	return err;
}

/* Of several providers it is not said which one a variable is for. */
static int refuse_environment(struct login_reading *r, const yaml_node_t *list)
{
	struct config_env_item item;
	int err = 0;
	for (size_t i = 0; i < ARRAY_LEN(login_rows) && !err; i++) {
		err = get_item(&login_rows[i], &item, r->d->eb);
		if (!err && item.text.len)
			err = document_refuse(r->d, list,
				"oidc is a list here, and %s is for one provider: put it into the list",
				item.name);
		buf_wipe(&item.text);
	}
	return err;
}

static int refuse_login_key(struct login_reading *r, yaml_node_t *key)
{
	const char *names[ARRAY_LEN(login_rows) + 1] = { NULL };
	for (size_t i = 0; i < ARRAY_LEN(login_rows); i++)
		names[i] = login_rows[i].key;
	const char *near = text_nearest(document_text(key), names);
	return document_refuse(r->d, key, "unknown key \"oidc.%.64s\"%s%s%s", document_text(key),
		near ? "; did you mean \"oidc." : "", near ? near : "", near ? "\"?" : "");
}

/* What is missing is said at the provider's place. */
static int check_provider(struct login_reading *r, yaml_node_t *map)
{
	struct config_provider *p = r->p;
	const struct oidc_quirk *q = oidc_quirk_of(p->s.issuer);
	if (!*p->s.client)
		return document_refuse(
			r->d, map, "oidc: client_id is missing: the provider gave it with the secret");
	if (*p->s.secret && *p->secret_path)
		return document_refuse(
			r->d, map, "oidc: client_secret and client_secret_path are both set: keep one");
	if (!*p->s.name)
		p->s.name =
			q ? q->name
			  : arena_printf(r->mem, "%.*s", (int)strcspn(strstr(p->s.issuer, "://") + 3, "/"),
				    strstr(p->s.issuer, "://") + 3);
	return 0;
}

static int take_provider(struct login_reading *r, yaml_node_t *map)
{
	*r->p = (struct config_provider) { .secret_path = "",
		.s = { .name = "",
			.issuer = "",
			.client = "",
			.secret = "",
			.scope = "openid profile email",
			.groups_claim = "groups",
			.groups_domain = "",
			.verified_email = true,
			.must_answer = true } };
	if (map->type != YAML_MAPPING_NODE)
		return document_refuse(r->d, map, "oidc must be a mapping, or a list of them");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *key = document_node(r->d, p->key), *value = document_node(r->d, p->value);
		const struct login_row *row = find_row(document_text(key));
		if (!row)
			return refuse_login_key(r, key);
		int err = take_value(r, row, value);
		if (err)
			return err;
	}
	int err = r->environment ? take_environment(r) : 0;
	return err || !*r->p->s.issuer ? err : check_provider(r, map);
}

int config_login_take(struct document *d, void *node, struct arena *mem, const char *folder, bool environment,
	struct config_login *out)
{
	yaml_node_t *n = node;
	bool list = n->type == YAML_SEQUENCE_NODE;
	struct login_reading r = {
		.d = d, .mem = mem, .folder = folder, .environment = environment && !list
	};
	size_t len = list ? length_of(n) : 1;
	int err = list && environment ? refuse_environment(&r, n) : 0;
	if (err || document_is_null(n))
		return err;
	if (len > PROVIDERS_MAX)
		return document_refuse(d, n, "oidc: more than %d providers", PROVIDERS_MAX);
	*out = (struct config_login) { .v = arena_array(mem, len, sizeof(*out->v)) };
	for (size_t i = 0; i < len && out->v; i++) {
		r.p = &out->v[out->n];
		err = take_provider(&r, list ? document_node(d, n->data.sequence.items.start[i]) : n);
		if (err)
			return err;
		out->n += *r.p->s.issuer != 0; /* without one it is only a section of remarks */
	}
	return 0;
}

int config_login_environment(
	struct arena *mem, const char *folder, struct config_login *out, struct errbuf *eb)
{
	static const char none[] = "{}";
	struct document d;
	int err = document_open(&d, "HEADSCALE_OIDC_ISSUER", none, sizeof(none) - 1, eb);
	if (err)
		return err;
	err = config_login_take(&d, yaml_document_get_root_node(&d.yaml), mem, folder, true, out);
	document_close(&d);
	return err;
}

/* "$NAME" and "${NAME}" in front stand for what the environment says, as systemd's $CREDENTIALS_DIRECTORY. */
static bool expand(const char *path, char out[static EXPANDED_MAX])
{
	char name[64];
	bool brace = path[0] == '$' && path[1] == '{';
	const char *from = path + (brace ? 2 : 1);
	size_t len = strspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
	if (*path != '$')
		return snprintf(out, EXPANDED_MAX, "%s", path) < EXPANDED_MAX;
	snprintf(name, sizeof(name), "%.*s", (int)len, from);
	const char *value = getenv(name);
	if (!value || !len || len >= sizeof(name) || (brace && from[len] != '}'))
		return false;
	return snprintf(out, EXPANDED_MAX, "%s%s", value, from + len + brace) < EXPANDED_MAX;
}

int config_login_secrets(struct control_config *c, struct errbuf *eb)
{
	for (size_t i = 0; i < c->login.n; i++) {
		struct config_provider *p = &c->login.v[i];
		struct buf text = { 0 };
		char path[EXPANDED_MAX];
		if (!*p->secret_path)
			continue;
		if (!expand(p->secret_path, path))
			return err_say(eb, ERR_MALFORMED,
				"%s: oidc.client_secret_path: nothing in the environment is called as in "
				"\"%.128s\"",
				c->file, p->secret_path);
		int err = file_read_given(path, SECRET_MAX, true, &text, eb);
		while (text.len && strchr(" \r\n\t", buf_data(&text)[text.len - 1]))
			text.len--;
		if (!err && (!text.len || memchr(buf_data(&text), 0, text.len)))
			err = err_say(
				eb, ERR_MALFORMED, "%s: the secret of %s is not in it", path, p->s.name);
		if (!err) {
			p->s.secret = arena_strndup(&c->mem, (const char *)buf_data(&text), text.len);
			err = p->s.secret ? 0 : err_set(eb, -ENOMEM, "read %s", path);
		}
		buf_wipe(&text);
		if (err)
			return err;
	}
	return 0;
}

void config_login_wipe(struct config_login *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].s.secret)
			key_wipe((char *)l->v[i].s.secret, strlen(l->v[i].s.secret));
}

static bool texts_equal(const struct oidc_texts *a, const struct oidc_texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool provider_equal(const struct config_provider *a, const struct config_provider *b)
{
	if (a->s.n_extra != b->s.n_extra)
		return false;
	for (size_t i = 0; i < a->s.n_extra; i++)
		if (strcmp(a->s.extra[i].name, b->s.extra[i].name) != 0 ||
			strcmp(a->s.extra[i].value, b->s.extra[i].value) != 0)
			return false;
	for (size_t i = 0; i < ARRAY_LEN(login_rows); i++) {
		const struct login_row *row = &login_rows[i];
		const void *x = (const char *)a + row->at, *y = (const char *)b + row->at;
		bool same = true;
		switch (row->kind) {
		case LOGIN_TEXT:
		case LOGIN_ISSUER:
		case LOGIN_DOMAIN:
		case LOGIN_PATH:
		case LOGIN_SCOPE: same = !strcmp(*(const char *const *)x, *(const char *const *)y); break;
		case LOGIN_BOOL: same = *(const bool *)x == *(const bool *)y; break;
		case LOGIN_LIFETIME: same = *(const uint64_t *)x == *(const uint64_t *)y; break;
		case LOGIN_TEXTS: same = texts_equal(x, y); break;
		case LOGIN_EXTRA:
		case LOGIN_PKCE:
		case LOGIN_GONE: break;
		}
		if (!same)
			return false;
	}
	return true;
}

const char *config_groups_domain(const struct config_login *l, const char *issuer)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].s.issuer, issuer) && *l->v[i].s.groups_domain)
			return l->v[i].s.groups_domain;
	return NULL;
}

bool config_login_equal(const struct config_login *a, const struct config_login *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!provider_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* --- proxies --- */

int config_proxies_take(struct document *d, void *node, struct arena *mem, struct ctl_prefixes *out)
{
	yaml_node_t *n = node;
	if (document_is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return document_refuse(d, n, "trusted_proxies must be a list");
	size_t len = length_of(n);
	*out = (struct ctl_prefixes) { .v = arena_array(mem, len, sizeof(*out->v)) };
	for (size_t i = 0; i < len && out->v; i++) {
		yaml_node_t *item = document_node(d, n->data.sequence.items.start[i]);
		const char *text = document_text(item);
		struct prefix net = { 0 };
		if (text && addr_parse(text, &net.ip))
			net.bits = addr_is_v4(&net.ip) ? 32 : 128;
		else if (!text || !prefix_parse(text, &net) || !net.bits)
			return document_refuse(d, item,
				"trusted_proxies: \"%.64s\" is not an address or prefix such as 10.0.0.0/8 "
				"(and not all of them)",
				text ? text : "");
		prefix_mask(&net);
		out->v[out->n++] = net;
	}
	return 0;
}

bool config_proxies_equal(const struct ctl_prefixes *a, const struct ctl_prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}
