/* Headscale's REST API: health and users. */
#include "mesh/control/http/v1.h"

#include "mesh/base/text.h"
#include <string.h>

const struct user *v1_user_of(const struct api *a, const char *text)
{
	uint64_t id;
	const struct user *u =
		text_u64(text, 1, INT64_MAX, &id) ? fleet_user(&a->reg->fleet, (int64_t)id) : NULL;
	return u ? u : fleet_user_named(&a->reg->fleet, text);
}

/* NULL: answered, there is no such user. */
static const struct user *which(struct api_call *c)
{
	const struct user *u = v1_user_of(c->api, c->part[0]);
	if (!u)
		api_reply_error(&c->way, 404, "no user has this number");
	return u;
}

static void answer_health(const struct api *a, const struct api_way *w, const char *trouble)
{
	(void)a;
	if (*trouble)
		api_reply_error(w, 500, trouble);
	else
		api_reply_json(w, 200, json_pack("{s:b}", "databaseConnectivity", 1));
}

void v1_health(struct api_call *c)
{
	api_probe(c, answer_health);
}

static bool has_email(const struct api *a, int64_t user, const char *email)
{
	const struct person *who = people_of_user(&a->reg->people, user);
	return who && !strcmp(who->email, email);
}

void v1_users_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	char name[FLEET_USER_NAME] = "", email[PERSON_TEXT] = "";
	int64_t id = asked_number(c, "id");
	json_t *list = json_array();
	(void)asked_text(c, "name", name, sizeof(name));
	(void)asked_text(c, "email", email, sizeof(email));
	for (size_t i = 0; i < f->n_users; i++)
		if ((!*name || !strcmp(f->users[i].name, name)) && (!id || f->users[i].id == id) &&
			(!*email || has_email(c->api, f->users[i].id, email)))
			json_array_append_new(list, v1_user(c->api, &f->users[i]));
	api_reply_json(&c->way, 200, v1_one("users", list));
}

static json_t *user_changed(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct user *u = fleet_user(&a->reg->fleet, res->id);
	(void)text;
	return u ? v1_one("user", v1_user(a, u)) : NULL;
}

void v1_users_create(struct api_call *c)
{
	char name[FLEET_USER_NAME] = "";
	(void)asked_text(c, "name", name, sizeof(name));
	struct registry_wait *w = api_later(c, user_changed, "");
	if (w)
		registry_user_create(c->api->reg, name, c->now_ms, w);
}

void v1_users_rename(struct api_call *c)
{
	const struct user *u = which(c);
	struct registry_wait *w = u ? api_later(c, user_changed, "") : NULL;
	if (w)
		registry_user_rename(c->api->reg, u->id, c->part[1], w);
}

void v1_users_delete(struct api_call *c)
{
	const struct user *u = which(c);
	struct registry_wait *w = u ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_user_destroy(c->api->reg, u->name, api_rank(c), w);
}
