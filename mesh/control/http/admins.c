/* The admin's verbs about local admins. Passwords come hashed: the command line does that, so that they are in one process
 * alone. */
#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
#include "mesh/web/password.h"

static const char *member(const struct api_call *c, const char *name)
{
	const char *text = json_string_value(json_object_get(c->args, name));
	return text ? text : "";
}

static json_t *admin_value(const struct admin *a)
{
	char created[40];
	return json_pack("{s:I,s:s,s:s}", "id", (json_int_t)a->id, "name", a->name, "created",
		text_time_format(a->created_ms, created));
}

static json_t *admin_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct admin *who = admins_by_id(&a->reg->admins, res->id);
	(void)text;
	return who ? admin_value(who) : NULL;
}

static json_t *admin_deleted(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)res;
	return json_pack("{s:s}", "deleted", text);
}

static bool has_hash(const struct api_call *c)
{
	if (password_hash_is_ours(member(c, "hash")))
		return true;
	api_reply_error(
		&c->way, 400, "the password must come as a hash of ours: use `ropewalk-control admins`");
	return false;
}

void admin_admins_create(struct api_call *c)
{
	struct registry_wait *w = has_hash(c) ? api_later(c, admin_made, "") : NULL;
	if (w)
		registry_admin_create(c->api->reg, member(c, "name"), member(c, "hash"), c->now_ms, w);
}

void admin_admins_password(struct api_call *c)
{
	struct registry_wait *w = has_hash(c) ? api_later(c, admin_made, "") : NULL;
	if (w)
		registry_admin_password(c->api->reg, member(c, "name"), member(c, "hash"), w);
}

void admin_admins_delete(struct api_call *c)
{
	struct registry_wait *w = api_later(c, admin_deleted, member(c, "name"));
	if (w)
		registry_admin_delete(c->api->reg, member(c, "name"), w);
}

void admin_admins_list(struct api_call *c)
{
	const struct admins *a = &c->api->reg->admins;
	json_t *list = json_array();
	for (size_t i = 0; i < a->n; i++)
		json_array_append_new(list, admin_value(&a->v[i]));
	api_reply_json(&c->way, 200, list);
}
