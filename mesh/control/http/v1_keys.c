/* Headscale's REST API: keys of nodes that join, and of programs. */
#include "mesh/control/http/v1.h"

#include <stdio.h>
#include <string.h>

/* --- of nodes --- */

void v1_preauth_list(struct api_call *c)
{
	const struct keyring *k = &c->api->reg->keys;
	char name[FLEET_USER_NAME];
	bool one = asked_text(c, "user", name, sizeof(name)); /* up to 0.27: those of one */
	const struct user *u = one ? v1_user_of(c->api, name) : NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < k->n; i++)
		if (!one || (u && k->v[i]->user == u->id))
			json_array_append_new(list, v1_preauth(c->api, k->v[i], NULL));
	api_reply_json(&c->way, 200, v1_one("preAuthKeys", list));
}

static json_t *preauth_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct preauth *k = keyring_by_id(&a->reg->keys, res->id);
	(void)text;
	return k ? v1_one("preAuthKey", v1_preauth(a, k, res->key)) : NULL;
}

void v1_preauth_create(struct api_call *c)
{
	char tags[STORE_TAGS], user[FLEET_USER_NAME] = "";
	int64_t expiry;
	if (!asked_when(c, "expiration", FLEET_NO_TIME, &expiry))
		return;
	bool some = asked_text(c, "user", user, sizeof(user)) && *user && strcmp(user, "0") != 0;
	const struct user *u = some ? v1_user_of(c->api, user) : NULL;
	if (some && !u) {
		api_reply_error(&c->way, 404, "no user has this number");
		return;
	}
	if (!asked_list(c, "aclTags", tags, sizeof(tags))) {
		api_reply_error(&c->way, 400, "too many tags for one key");
		return;
	}
	if (expiry != FLEET_NO_TIME && expiry <= c->now_ms) {
		api_reply_error(&c->way, 400, "expiration: this time has passed");
		return;
	}
	const struct preauth_wish wish = { .user = u ? u->name : "",
		.reusable = asked_flag(c, "reusable"),
		.ephemeral = asked_flag(c, "ephemeral"),
		.tags = tags,
		.lifetime_ms = expiry == FLEET_NO_TIME ? 0 : (uint64_t)(expiry - c->now_ms),
		.by = api_rank(c) };
	struct registry_wait *w = api_later(c, preauth_made, "");
	if (w)
		registry_preauth_create(c->api->reg, &wish, c->now_ms, w);
}

/* The key itself, or as lists show it, which is all that a console still has: V1_AUTH_SHOWN. NULL: none. */
static const struct preauth *preauth_of(const struct api *a, const char *text)
{
	uint8_t hash[STORE_HASH];
	char prefix[STORE_PREFIX], again[REGISTRY_KEY_TEXT];
	registry_key_hash(text, hash);
	const struct preauth *k = keyring_by_hash(&a->reg->keys, hash);
	if (k || sscanf(text, V1_AUTH_WORD "%12[A-Za-z0-9_-]", prefix) != 1)
		return k;
	snprintf(again, sizeof(again), V1_AUTH_SHOWN, prefix);
	return strcmp(text, again) ? NULL : keyring_by_prefix(&a->reg->keys, prefix);
}

/* By number, or (up to 0.27, and consoles made for that) by the key. 0: answered, none is meant. */
static int64_t which_preauth(struct api_call *c)
{
	char text[REGISTRY_KEY_TEXT];
	int64_t id = asked_number(c, "id");
	if (!id && asked_text(c, "key", text, sizeof(text))) {
		const struct preauth *k = preauth_of(c->api, text);
		id = k ? k->id : 0;
		key_wipe(text, sizeof(text));
	}
	if (!id)
		api_reply_error(&c->way, 400, "id: say which key, by the number that the list shows");
	return id;
}

void v1_preauth_expire(struct api_call *c)
{
	int64_t id = which_preauth(c);
	struct registry_wait *w = id ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_preauth_expire(c->api->reg, id, c->now_ms, w);
}

void v1_preauth_delete(struct api_call *c)
{
	int64_t id = which_preauth(c);
	struct registry_wait *w = id ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_preauth_delete(c->api->reg, id, w);
}

/* --- of programs --- */

void v1_api_keys_list(struct api_call *c)
{
	const struct api_keys *k = &c->api->reg->api_keys;
	json_t *list = json_array();
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].kind == API_KEY_ADMIN)
			json_array_append_new(list, v1_api_key(&k->v[i], &k->v[i] == c->key));
	api_reply_json(&c->way, 200, v1_one("apiKeys", list));
}

static json_t *api_key_made(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)text;
	return json_pack("{s:s}", "apiKey", res->key);
}

void v1_api_keys_create(struct api_call *c)
{
	struct api_key_wish wish = { .kind = API_KEY_ADMIN, .about = "", .scopes = "", .tags = "" };
	if (!asked_when(c, "expiration", FLEET_NO_TIME, &wish.expiry_ms))
		return;
	struct registry_wait *w = api_later(c, api_key_made, "");
	if (w)
		registry_api_key_create(c->api->reg, &wish, c->now_ms, w);
}

/* By its number or its prefix. */
static const struct api_key *which_api_key(struct api_call *c, const char *shown)
{
	const struct api_keys *keys = &c->api->reg->api_keys;
	char prefix[STORE_PREFIX];
	int64_t id = asked_number(c, "id");
	const struct api_key *k = id ? api_keys_by_id(keys, id) : NULL;
	if (!k && shown && api_key_parse_prefix(shown, prefix))
		k = api_keys_by_prefix(keys, prefix);
	if (!k)
		api_reply_error(&c->way, 404, "no such API key: the list shows \"id\" and \"prefix\"");
	return k;
}

void v1_api_keys_expire(struct api_call *c)
{
	char prefix[REGISTRY_KEY_TEXT] = "";
	(void)asked_text(c, "prefix", prefix, sizeof(prefix));
	const struct api_key *k = which_api_key(c, prefix);
	struct registry_wait *w = k ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_api_key_expire(c->api->reg, k->id, c->now_ms, w);
}

void v1_api_keys_delete(struct api_call *c)
{
	const struct api_key *k = which_api_key(c, c->part[0]);
	struct registry_wait *w = k ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_api_key_delete(c->api->reg, k->id, w);
}
