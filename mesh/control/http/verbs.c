/* The admin's verbs: POST /v1/<noun>/<verb> with a JSON object of arguments, answered with JSON. */
#include "mesh/control/http/verbs.h"

#include "mesh/control/http/asked.h"
#include "mesh/control/http/certificate_fault.h"
#include "mesh/control/http/log_ring.h"
#include "mesh/control/http/values.h"

const char *verb_text(const struct api_call *c, const char *name)
{
	const char *t = json_string_value(json_object_get(c->args, name));
	return t ? t : "";
}

bool verb_flag(const struct api_call *c, const char *name)
{
	return json_is_true(json_object_get(c->args, name));
}

int64_t verb_number(const struct api_call *c, const char *name)
{
	return json_integer_value(json_object_get(c->args, name));
}

json_t *verb_deleted(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)text;
	return json_pack("{s:I}", "deleted", (json_int_t)res->id);
}

static json_t *user_value(const struct user *u)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(u->id));
	json_object_set_new(o, "name", json_string(u->name));
	json_object_set_new(o, "role", json_string(user_role_name(u->role)));
	json_t *groups = json_array();
	for (size_t i = 0; u->groups && i < u->groups->n; i++)
		json_array_append_new(groups, json_string(u->groups->v[i]));
	json_object_set_new(o, "groups", groups);
	json_object_set_new(o, "created", value_time(u->created_ms));
	return o;
}

static json_t *preauth_value(const struct api *a, const struct preauth *k)
{
	const struct user *u = fleet_user(&a->reg->fleet, k->user);
	struct errbuf why;
	bool usable = !registry_auth_check(a->reg, k, clock_unix_ms(), &why);
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(k->id));
	json_object_set_new(o, "prefix", json_string(k->prefix));
	json_object_set_new(o, "user", json_string(u ? u->name : ""));
	json_object_set_new(o, "reusable", json_boolean(k->reusable));
	json_object_set_new(o, "ephemeral", json_boolean(k->ephemeral));
	json_object_set_new(o, "used", json_boolean(k->used));
	json_object_set_new(o, "usable", json_boolean(usable));
	json_object_set_new(o, "tags", json_string(k->tags));
	json_object_set_new(o, "created", value_time(k->created_ms));
	json_object_set_new(o, "expiry", value_time(k->expiry_ms));
	return o;
}

static json_t *api_key_value(const struct api_key *k)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(k->id));
	json_object_set_new(o, "prefix", json_string(k->prefix));
	json_object_set_new(o, "kind", json_string(k->kind == API_KEY_CLIENT ? "client" : "api"));
	json_object_set_new(o, "usable", json_boolean(!registry_api_key_is_expired(k, clock_unix_ms())));
	json_object_set_new(o, "created", value_time(k->created_ms));
	json_object_set_new(o, "expiry", value_time(k->expiry_ms));
	json_object_set_new(o, "last_seen", value_time(k->seen_ms));
	json_object_set_new(o, "scopes", json_string(k->kind == API_KEY_ADMIN ? "all" : k->scopes));
	json_object_set_new(o, "description", json_string(k->about));
	return o;
}

/* --- answers of changes that are stored --- */

static json_t *user_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct user *u = fleet_user(&a->reg->fleet, res->id);
	(void)text;
	return u ? user_value(u) : NULL;
}

static json_t *user_destroyed(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)res;
	return json_pack("{s:s}", "destroyed", text);
}

static json_t *key_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct preauth *k = keyring_by_id(&a->reg->keys, res->id);
	json_t *o = k ? preauth_value(a, k) : NULL;
	(void)text;
	if (o)
		json_object_set_new(o, "key", json_string(res->key));
	return o;
}

static json_t *key_expired(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)text;
	return json_pack("{s:I}", "expired", (json_int_t)res->id);
}

/* --- users and keys --- */

void admin_users_create(struct api_call *c)
{
	struct registry_wait *w = api_later(c, user_made, "");
	if (w)
		registry_user_create(c->api->reg, verb_text(c, "name"), c->now_ms, w);
}

void admin_users_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n_users; i++)
		json_array_append_new(list, user_value(&f->users[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_users_role(struct api_call *c)
{
	struct registry_wait *w = api_later(c, user_made, "");
	if (w)
		registry_user_role(c->api->reg, verb_text(c, "name"), verb_text(c, "role"), api_rank(c), w);
}

void admin_users_destroy(struct api_call *c)
{
	struct registry_wait *w = api_later(c, user_destroyed, verb_text(c, "name"));
	if (w)
		registry_user_destroy(c->api->reg, verb_text(c, "name"), api_rank(c), w);
}

void admin_keys_create(struct api_call *c)
{
	uint64_t life;
	if (!asked_lifetime(c, "expiration_ms", 0, &life))
		return;
	const struct preauth_wish wish = { .user = verb_text(c, "user"),
		.create_user = verb_flag(c, "create_user"),
		.reusable = verb_flag(c, "reusable"),
		.ephemeral = verb_flag(c, "ephemeral"),
		.tags = verb_text(c, "tags"),
		.lifetime_ms = life,
		.by = api_rank(c) };
	struct registry_wait *w = api_later(c, key_made, "");
	if (w)
		registry_preauth_create(c->api->reg, &wish, c->now_ms, w);
}

void admin_keys_list(struct api_call *c)
{
	const struct keyring *k = &c->api->reg->keys;
	json_t *list = json_array();
	for (size_t i = 0; i < k->n; i++)
		json_array_append_new(list, preauth_value(c->api, k->v[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_keys_expire(struct api_call *c)
{
	struct registry_wait *w = api_later(c, key_expired, "");
	if (w)
		registry_preauth_expire(c->api->reg, verb_number(c, "id"), c->now_ms, w);
}

/* --- keys of programs --- */

static json_t *api_key_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct api_key *k = api_keys_by_id(&a->reg->api_keys, res->id);
	json_t *o = k ? api_key_value(k) : NULL;
	(void)text;
	if (o)
		json_object_set_new(o, "key", json_string(res->key));
	return o;
}

void admin_api_keys_create(struct api_call *c)
{
	uint64_t life;
	if (!asked_lifetime(c, "expiration_ms", 0, &life))
		return;
	const struct api_key_wish wish = { .kind = API_KEY_ADMIN,
		.expiry_ms = life ? c->now_ms + (int64_t)life : FLEET_NO_TIME,
		.about = verb_text(c, "description"),
		.scopes = "",
		.tags = "" };
	struct registry_wait *w = api_later(c, api_key_made, "");
	if (w)
		registry_api_key_create(c->api->reg, &wish, c->now_ms, w);
}

void admin_api_keys_list(struct api_call *c)
{
	const struct api_keys *k = &c->api->reg->api_keys;
	json_t *list = json_array();
	for (size_t i = 0; i < k->n; i++)
		json_array_append_new(list, api_key_value(&k->v[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_api_keys_expire(struct api_call *c)
{
	struct registry_wait *w = api_later(c, key_expired, "");
	if (w)
		registry_api_key_expire(c->api->reg, verb_number(c, "id"), c->now_ms, w);
}

void admin_api_keys_delete(struct api_call *c)
{
	struct registry_wait *w = api_later(c, verb_deleted, "");
	if (w)
		registry_api_key_delete(c->api->reg, verb_number(c, "id"), w);
}

/* --- the log --- */

/* after: the number of the last line that is known. */
void admin_log_show(struct api_call *c)
{
	struct log_ring *r = c->api->log;
	uint64_t last = log_ring_last(r), after = (uint64_t)verb_number(c, "after");
	struct log_ring_line l;
	json_t *list = json_array();
	if (after > last) /* of a run before */
		after = 0;
	if (last - after > LOG_RING_LINES)
		after = last - LOG_RING_LINES;
	while (after++ < last)
		if (log_ring_get(r, after, &l))
			json_array_append_new(
				list, json_pack("{s:I, s:o, s:s, s:s}", "seq", (json_int_t)after, "time",
					      value_time(l.at_ms), "level", log_level_name(l.level), "text",
					      l.text));
	api_reply_json(&c->way, 200, list);
}

/* --- the server --- */

static void answer_health(const struct api *a, const struct api_way *w, const char *trouble)
{
	struct errbuf why;
	const bool refused = certificate_fault(a->cfg, &why) != 0;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "status",
		*trouble  ? "fail"
		: refused ? "warn"
			  : "pass",
		"database", *trouble ? trouble : "ok", "version", RW_VERSION, "url", a->cfg->server_url,
		"nodes", (int)a->reg->fleet.n, "streams", (int)streams_count(a->streams), "pending",
		(int)a->reg->n_pending, "relay_regions", (int)a->streams->set->derp.n_regions, "turned_away",
		(json_int_t)a->guests->turned_away);
	if (refused)
		json_object_set_new(o, "certificate", json_string(why.text));
	api_reply_json(w, *trouble ? 500 : 200, o);
}

void admin_health(struct api_call *c)
{
	api_probe(c, answer_health);
}

/* The first mistake as the message, and all of them. */
static void reply_wrong(struct api_call *c, struct buf *wrong, const struct errbuf *eb)
{
	json_t *all = json_array(), *say = api_sentence(eb->text);
	char *text = wrong->len ? (char *)buf_cstr(wrong) : NULL, *rest = NULL;
	for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(all, api_sentence(line));
	api_reply_json(&c->way, 400, json_pack("{s:{s:o, s:o}}", "error", "message", say, "all", all));
	buf_wipe(wrong); /* secrets may stand in it */
}

void admin_reload(struct api_call *c)
{
	char restart[API_KEYS_TEXT];
	struct errbuf eb = { 0 };
	struct buf wrong = { .secret = true };
	if (c->api->reload(c->api->arg, restart, &wrong, &eb)) {
		reply_wrong(c, &wrong, &eb);
		return;
	}
	json_t *o = json_pack("{s:s}", "reloaded", c->api->cfg->file);
	if (*restart)
		json_object_set_new(o, "needs_restart", json_string(restart));
	api_reply_json(&c->way, 200, o);
}
