/* The admin's verbs: POST /v1/<noun>/<verb> with a JSON object of arguments, answered with JSON. */
#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
#include "mesh/control/http/machine.h"
#include <errno.h>
#include <string.h>

static const char *text_arg(const struct api_call *c, const char *name)
{
	const char *t = json_string_value(json_object_get(c->args, name));
	return t ? t : "";
}
static bool bool_arg(const struct api_call *c, const char *name)
{
	return json_is_true(json_object_get(c->args, name));
}
static int64_t int_arg(const struct api_call *c, const char *name)
{
	return json_integer_value(json_object_get(c->args, name));
}

static json_t *time_value(int64_t ms)
{
	char text[40];
	return ms == FLEET_NO_TIME ? json_null() : json_string(text_time_format(ms, text));
}

static json_t *addresses_value(const struct member *m)
{
	json_t *list = json_array();
	char text[ADDR_TEXT];
	if (m->has_v4)
		json_array_append_new(list, json_string(addr_format(&m->v4, text)));
	if (m->has_v6)
		json_array_append_new(list, json_string(addr_format(&m->v6, text)));
	return list;
}

static json_t *tags_value(const struct ctl_strings *tags)
{
	json_t *list = json_array();
	for (size_t i = 0; i < tags->n; i++)
		json_array_append_new(list, json_string(tags->v[i]));
	return list;
}

static json_t *prefixes_value(const struct ctl_prefixes *p)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT];
	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(list, json_string(prefix_format(&p->v[i], text)));
	return list;
}

static json_t *node_value(const struct api *a, const struct member *m)
{
	const struct user *u = fleet_user(&a->reg->fleet, m->user);
	char key[KEY_TEXT];
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(m->id));
	json_object_set_new(o, "name", json_string(m->name));
	json_object_set_new(o, "fqdn", json_sprintf("%s.%s", m->name, a->cfg->base_domain));
	json_object_set_new(o, "hostname", json_string(m->hostname));
	json_object_set_new(o, "user", json_string(u ? u->name : ""));
	json_object_set_new(o, "addresses", addresses_value(m));
	json_object_set_new(o, "tags", tags_value(&m->tags));
	json_object_set_new(o, "available_routes", prefixes_value(&m->hostinfo.routable_ips));
	json_object_set_new(o, "approved_routes", tags_value(&m->routes));
	json_object_set_new(o, "subnet_routes", prefixes_value(&m->served));
	json_object_set_new(o, "online", json_boolean(m->online));
	json_object_set_new(o, "expired", json_boolean(member_is_expired(m, clock_unix_ms())));
	json_object_set_new(o, "ephemeral", json_boolean(m->ephemeral));
	json_object_set_new(o, "home_derp", json_integer(m->home_derp));
	json_object_set_new(o, "node_key", json_string(key_format(m->key.b, "nodekey:", key)));
	json_object_set_new(o, "os", json_string(m->hostinfo.os ? m->hostinfo.os : ""));
	json_object_set_new(
		o, "version", json_string(m->hostinfo.ipn_version ? m->hostinfo.ipn_version : ""));
	json_object_set_new(o, "created", time_value(m->created_ms));
	json_object_set_new(o, "last_seen", time_value(m->last_seen_ms));
	json_object_set_new(o, "expiry", time_value(m->expiry_ms));
	return o;
}

static json_t *user_value(const struct user *u)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(u->id));
	json_object_set_new(o, "name", json_string(u->name));
	json_object_set_new(o, "created", time_value(u->created_ms));
	return o;
}

static json_t *preauth_value(const struct api *a, const struct preauth *k)
{
	const struct user *u = fleet_user(&a->reg->fleet, k->user);
	bool expired = k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= clock_unix_ms();
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(k->id));
	json_object_set_new(o, "prefix", json_string(k->prefix));
	json_object_set_new(o, "user", json_string(u ? u->name : ""));
	json_object_set_new(o, "reusable", json_boolean(k->reusable));
	json_object_set_new(o, "ephemeral", json_boolean(k->ephemeral));
	json_object_set_new(o, "used", json_boolean(k->used));
	json_object_set_new(o, "usable", json_boolean(!expired && (k->reusable || !k->used)));
	json_object_set_new(o, "tags", json_string(k->tags));
	json_object_set_new(o, "created", time_value(k->created_ms));
	json_object_set_new(o, "expiry", time_value(k->expiry_ms));
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

static json_t *node_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, res->id);
	(void)text;
	return m ? node_value(a, m) : NULL;
}

static json_t *node_deleted(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)text;
	return json_pack("{s:I}", "deleted", (json_int_t)res->id);
}

/* --- users and keys --- */

void admin_users_create(struct api_call *c)
{
	struct registry_wait *w = api_later(c, user_made, "");
	if (w)
		registry_user_create(c->api->reg, text_arg(c, "name"), c->now_ms, w);
}

void admin_users_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n_users; i++)
		json_array_append_new(list, user_value(&f->users[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_users_destroy(struct api_call *c)
{
	struct registry_wait *w = api_later(c, user_destroyed, text_arg(c, "name"));
	if (w)
		registry_user_destroy(c->api->reg, text_arg(c, "name"), w);
}

void admin_keys_create(struct api_call *c)
{
	const struct preauth_wish wish = { .user = text_arg(c, "user"),
		.create_user = bool_arg(c, "create_user"),
		.reusable = bool_arg(c, "reusable"),
		.ephemeral = bool_arg(c, "ephemeral"),
		.tags = text_arg(c, "tags"),
		.lifetime_ms = (uint64_t)int_arg(c, "expiration_ms") };
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
		registry_preauth_expire(c->api->reg, int_arg(c, "id"), c->now_ms, w);
}

/* --- nodes --- */

static void add_pending(void *arg, const struct pending_info *p)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_string(p->id));
	json_object_set_new(o, "hostname", json_string(p->hostname));
	json_object_set_new(o, "os", json_string(p->os));
	json_object_set_new(o, "since", time_value(p->since_ms));
	json_array_append_new(arg, o);
}

void admin_nodes_pending(struct api_call *c)
{
	json_t *list = json_array();
	registry_pending_each(c->api->reg, add_pending, list);
	api_reply_json(&c->way, 200, list);
}

void admin_nodes_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	const char *name = text_arg(c, "user");
	const struct user *only = *name ? fleet_user_named(f, name) : NULL;
	char text[FLEET_USER_NAME + 64];
	if (*name && !only) {
		snprintf(text, sizeof(text), "no user \"%.*s\": `users list` shows them", FLEET_USER_NAME,
			name);
		api_reply_error(&c->way, 400, text);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if (!only || f->v[i]->user == only->id)
			json_array_append_new(list, node_value(c->api, f->v[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_nodes_list_routes(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->routes.n || f->v[i]->hostinfo.routable_ips.n)
			json_array_append_new(list, node_value(c->api, f->v[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_nodes_approve(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	machines_recall(c->api->machines, text_arg(c, "id"));
	if (w)
		registry_approve(c->api->reg, text_arg(c, "id"), text_arg(c, "user"), c->now_ms, w);
}

void admin_nodes_delete(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_deleted, "");
	if (w)
		registry_node_delete(c->api->reg, int_arg(c, "id"), w);
}

void admin_nodes_expire(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_expire(c->api->reg, int_arg(c, "id"), c->now_ms, c->now_ms, w);
}

void admin_nodes_rename(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_rename(c->api->reg, int_arg(c, "id"), text_arg(c, "name"), w);
}

void admin_nodes_tag(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_tag(c->api->reg, int_arg(c, "id"), text_arg(c, "tags"), w);
}

void admin_nodes_approve_routes(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_routes(c->api->reg, int_arg(c, "id"), text_arg(c, "routes"), w);
}

/* --- the server --- */

static void answer_health(const struct api *a, const struct api_way *w, const char *trouble)
{
	api_reply_json(w, *trouble ? 500 : 200,
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "status",
			*trouble ? "fail" : "pass", "database", *trouble ? trouble : "ok", "version",
			RW_VERSION, "url", a->cfg->server_url, "nodes", (int)a->reg->fleet.n, "streams",
			(int)streams_count(a->streams), "pending", (int)a->reg->n_pending, "relay_regions",
			(int)a->streams->set->derp.n_regions, "turned_away",
			(json_int_t)a->guests->turned_away));
}

void admin_health(struct api_call *c)
{
	api_probe(c, answer_health);
}

void admin_reload(struct api_call *c)
{
	char restart[API_KEYS_TEXT];
	struct errbuf eb = { 0 };
	if (c->api->reload(c->api->arg, restart, &eb)) {
		api_reply_error(&c->way, 400, eb.text);
		return;
	}
	json_t *o = json_pack("{s:s}", "reloaded", c->api->cfg->file);
	if (*restart)
		json_object_set_new(o, "needs_restart", json_string(restart));
	api_reply_json(&c->way, 200, o);
}
