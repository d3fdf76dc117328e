/* The official service's REST API: auth keys, keys of the API, and OAuth clients. The id of each is the public part of
 * its text. */
#include "mesh/control/http/v2.h"

#include <stdio.h>
#include <string.h>

enum { DAY_S = 24 * 3600, DEFAULT_DAYS = 90 };

/* --- values --- */

static json_t *auth_key_value(const struct preauth *k, int64_t now_ms, const char *secret)
{
	bool expired = k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= now_ms;
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:s}", "id", k->prefix, "keyType",
		"auth", "description", k->about, "created", value_time(k->created_ms), "updated",
		value_time(k->created_ms), "invalid", expired || (k->used && !k->reusable), "tags",
		value_tags(k->tags), "capabilities",
		json_pack("{s:{s:{s:b, s:b, s:b, s:o}}}", "devices", "create", "reusable", k->reusable,
			"ephemeral", k->ephemeral, "preauthorized", !k->unapproved, "tags",
			value_tags(k->tags)),
		"userId", "");
	if (k->expiry_ms != FLEET_NO_TIME) {
		json_object_set_new(o, "expires", value_time(k->expiry_ms));
		json_object_set_new(o, "expirySeconds", json_integer((k->expiry_ms - k->created_ms) / 1000));
	}
	if (secret)
		json_object_set_new(o, "key", json_string(secret));
	return o;
}

static json_t *words_value(const char *words)
{
	json_t *list = json_array();
	for (size_t len; *words; words += len + (words[len] == ' ')) {
		len = strcspn(words, " ");
		if (len)
			json_array_append_new(list, json_stringn(words, len));
	}
	return list;
}

static json_t *api_key_value(const struct api_key *k, int64_t now_ms, const char *secret)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:s}", "id", k->prefix, "keyType",
		k->kind == API_KEY_CLIENT ? "client" : "api", "description", k->about, "created",
		value_time(k->created_ms), "updated",
		value_time(k->updated_ms == FLEET_NO_TIME ? k->created_ms : k->updated_ms), "invalid",
		registry_api_key_is_expired(k, now_ms), "userId", "");
	if (k->expiry_ms != FLEET_NO_TIME)
		json_object_set_new(o, "expires", value_time(k->expiry_ms));
	if (k->kind == API_KEY_CLIENT) {
		json_object_set_new(o, "scopes", words_value(k->scopes));
		json_object_set_new(o, "tags", value_tags(k->tags));
	}
	if (secret)
		json_object_set_new(o, "key", json_string(secret));
	return o;
}

/* --- which --- */

/* Keys of programs take another right than those of nodes. */
static bool may_see(const struct api_call *c)
{
	return api_has_scope(c, &(struct api_row) { .method = c->method, .scope = "oauth_keys" });
}

void v2_keys_list(struct api_call *c)
{
	const struct keyring *k = &c->api->reg->keys;
	const struct api_keys *programs = &c->api->reg->api_keys;
	json_t *list = json_array();
	for (size_t i = 0; i < k->n; i++)
		json_array_append_new(list, auth_key_value(k->v[i], c->now_ms, NULL));
	for (size_t i = 0; i < programs->n && may_see(c); i++)
		json_array_append_new(list, api_key_value(&programs->v[i], c->now_ms, NULL));
	api_reply_json(&c->way, 200, json_pack("{s:o}", "keys", list));
}

void v2_keys_get(struct api_call *c)
{
	const struct preauth *k = keyring_by_prefix(&c->api->reg->keys, c->part[1]);
	const struct api_key *p = may_see(c) ? api_keys_by_prefix(&c->api->reg->api_keys, c->part[1]) : NULL;
	if (k)
		api_reply_json(&c->way, 200, auth_key_value(k, c->now_ms, NULL));
	else if (p)
		api_reply_json(&c->way, 200, api_key_value(p, c->now_ms, NULL));
	else
		api_reply_error(&c->way, 404, "no key has this id");
}

void v2_keys_delete(struct api_call *c)
{
	const struct preauth *k = keyring_by_prefix(&c->api->reg->keys, c->part[1]);
	const struct api_key *p = may_see(c) ? api_keys_by_prefix(&c->api->reg->api_keys, c->part[1]) : NULL;
	if (!k && !p) {
		api_reply_error(&c->way, 404, "no key has this id");
		return;
	}
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w && k)
		registry_preauth_delete(c->api->reg, k->id, w);
	else if (w)
		registry_api_key_delete(c->api->reg, p->id, w);
}

/* --- made --- */

static json_t *auth_key_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct preauth *k = keyring_by_id(&a->reg->keys, res->id);
	(void)text;
	return k ? auth_key_value(k, clock_unix_ms(), res->key) : NULL;
}

static json_t *client_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct api_key *k = api_keys_by_id(&a->reg->api_keys, res->id);
	(void)text;
	return k ? api_key_value(k, clock_unix_ms(), *res->key ? res->key : NULL) : NULL;
}

/* A list of texts, joined. false: answered, it is too long or none. */
static bool take_words(
	struct api_call *c, const json_t *list, const char *name, char mark, char *out, size_t cap)
{
	char say[96];
	const json_t *item;
	size_t i, len = 0;
	out[0] = 0;
	json_array_foreach(list, i, item)
	{
		const char *word = json_string_value(item);
		if (!word || !*word || strpbrk(word, ", "))
			break;
		len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? (char[2]) { mark, 0 } : "", word);
		if (len >= cap)
			break;
	}
	if (i == json_array_size(list))
		return true;
	snprintf(say, sizeof(say), "%s: a list of words is wanted, and not so many", name);
	api_reply_error(&c->way, 400, say);
	return false;
}

static bool has_word(const char *words, const char *word, size_t len)
{
	for (const char *at = words; (at = strstr(at, word)); at++)
		if ((at == words || at[-1] == ',') && !strncmp(at, word, len) && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static bool is_client(const struct api_call *c)
{
	return c->key && c->key->kind == API_KEY_CLIENT;
}

static bool is_among(const struct ctl_strings *tags, const char *tag)
{
	for (size_t i = 0; tags && i < tags->n; i++)
		if (!strcmp(tags->v[i], tag))
			return true;
	return false;
}

bool v2_may_give(const struct api_call *c, const char *tags, const struct ctl_strings *had)
{
	char one[STORE_TAGS];
	if (!is_client(c))
		return true;
	for (size_t len; *tags; tags += len + (tags[len] == ',')) {
		len = strcspn(tags, ",");
		snprintf(one, sizeof(one), "%.*s", (int)len, tags);
		if (!has_word(c->key->tags, one, len) && !is_among(had, one))
			return false;
	}
	return true;
}

static void create_auth_key(struct api_call *c)
{
	const json_t *wish = json_object_get(
		json_object_get(json_object_get(c->args, "capabilities"), "devices"), "create");
	const struct fleet *f = &c->api->reg->fleet;
	const char *about = json_string_value(json_object_get(c->args, "description"));
	int64_t seconds = json_integer_value(json_object_get(c->args, "expirySeconds"));
	char tags[STORE_TAGS], say[192];
	if (!take_words(c, json_object_get(wish, "tags"), "tags", ',', tags, sizeof(tags)))
		return;
	if ((is_client(c) && !*tags) || !v2_may_give(c, tags, NULL)) {
		api_reply_error(
			&c->way, 403, "tags: a client makes keys with tags that it has itself, one at least");
		return;
	}
	if (!*tags && f->n_users != 1) {
		snprintf(say, sizeof(say),
			"a key without tags is a user's, and there %s: name tags "
			"(capabilities.devices.create.tags), or %s",
			f->n_users ? "are several" : "is none",
			f->n_users ? "make the key with `ropewalk-control preauthkeys create --user NAME`"
				   : "make a user first");
		api_reply_error(&c->way, 400, say);
		return;
	}
	if (seconds <= 0)
		seconds = (int64_t)DEFAULT_DAYS * DAY_S;
	const struct preauth_wish made = { .user = *tags ? "" : f->users[0].name,
		.reusable = json_is_true(json_object_get(wish, "reusable")),
		.ephemeral = json_is_true(json_object_get(wish, "ephemeral")),
		.unapproved = !json_is_true(json_object_get(wish, "preauthorized")),
		.tags = tags,
		.lifetime_ms = (uint64_t)(seconds < INT32_MAX ? seconds : INT32_MAX) * 1000,
		.about = about ? about : "",
		.by = api_rank(c) };
	struct registry_wait *w = api_later(c, auth_key_made, "");
	if (w)
		registry_preauth_create(c->api->reg, &made, c->now_ms, w);
}

struct client_asked {
	char scopes[API_KEY_SCOPES], tags[STORE_TAGS];
	struct api_key_wish wish; /* its texts are those above */
};

/* What a client shall be. false: answered, the body is no such thing, or whoever asks may not have it. */
static bool client_asked(struct api_call *c, struct client_asked *out)
{
	const char *about = json_string_value(json_object_get(c->args, "description"));
	char unknown[64];
	uint32_t bits;
	if (!take_words(
		    c, json_object_get(c->args, "scopes"), "scopes", ' ', out->scopes, sizeof(out->scopes)) ||
		!take_words(c, json_object_get(c->args, "tags"), "tags", ',', out->tags, sizeof(out->tags)))
		return false;
	if (!may_see(c)) {
		api_reply_error(&c->way, 403, "the key is good, but its scopes do not reach this");
		return false;
	}
	if (!*out->scopes || !api_scopes_read(out->scopes, &bits, unknown, sizeof(unknown))) {
		api_reply_error(&c->way, 400,
			*out->scopes ? unknown : "scopes: a client without any could do nothing");
		return false;
	}
	if (!api_may_pass_on(c, bits) || !v2_may_give(c, out->tags, NULL)) {
		api_reply_error(&c->way, 403, "a client makes none that has scopes or tags which it has not");
		return false;
	}
	out->wish = (struct api_key_wish) { .kind = API_KEY_CLIENT,
		.expiry_ms = FLEET_NO_TIME,
		.about = about ? about : "",
		.scopes = out->scopes,
		.tags = out->tags };
	return true;
}

static void create_client(struct api_call *c)
{
	struct client_asked a;
	struct registry_wait *w = client_asked(c, &a) ? api_later(c, client_made, "") : NULL;
	if (w)
		registry_api_key_create(c->api->reg, &a.wish, c->now_ms, w);
}

/* A client as a whole: what is not in the body is no more. Its secret stays. */
void v2_keys_set(struct api_call *c)
{
	const struct api_key *k = may_see(c) ? api_keys_by_prefix(&c->api->reg->api_keys, c->part[1]) : NULL;
	const char *kind = json_string_value(json_object_get(c->args, "keyType"));
	struct client_asked a;
	if (!k || k->kind != API_KEY_CLIENT || (kind && strcmp(kind, "client") != 0)) {
		api_reply_error(&c->way, k ? 400 : 404,
			k ? "keyType: only clients can be set anew" : "no client has this id");
		return;
	}
	struct registry_wait *w = client_asked(c, &a) ? api_later(c, client_made, "") : NULL;
	if (w)
		registry_api_key_set(c->api->reg, k->id, &a.wish, c->now_ms, w);
}

void v2_keys_create(struct api_call *c)
{
	const char *kind = json_string_value(json_object_get(c->args, "keyType"));
	if (!kind || !*kind || !strcmp(kind, "auth"))
		create_auth_key(c);
	else if (!strcmp(kind, "client"))
		create_client(c);
	else
		api_reply_error(&c->way, 501, "keyType: auth and client are here");
}
