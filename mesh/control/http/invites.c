/* Invitations: an auth key, and in one line with it whose server it is for. The line is answered once and not kept. */
#include "mesh/proto/invite.h"
#include "mesh/control/http/asked.h"
#include "mesh/control/http/values.h"
#include <stdio.h>
#include <string.h>

enum { DAY_MS = 24 * 3600 * 1000 };

static bool line_of(
	const struct api *a, const char *auth_key, const char *name, const char *tags, struct buf *line)
{
	struct invite v = { .key = *a->noise };
	bool ok = strlen(a->cfg->server_url) < sizeof(v.server) && strlen(auth_key) < sizeof(v.auth_key) &&
		  strlen(name) < sizeof(v.name);
	if (ok) {
		strcpy(v.server, a->cfg->server_url);
		strcpy(v.auth_key, auth_key);
		strcpy(v.name, name);
		if (strlen(tags) < sizeof(v.tags)) /* people read them, and nothing else does */
			strcpy(v.tags, tags);
		ok = invite_write(&v, line);
	}
	invite_wipe(&v);
	return ok;
}

/* name: of the machine, or "". */
static json_t *invite_made(const struct api *a, const struct registry_result *res, const char *name)
{
	const struct preauth *k = keyring_by_id(&a->reg->keys, res->id);
	const struct user *u = k ? fleet_user(&a->reg->fleet, k->user) : NULL;
	struct buf line = { 0 };
	json_t *o = NULL;
	if (k && line_of(a, res->key, name, k->tags, &line))
		o = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:b, s:b, s:o}", "line", buf_cstr(&line),
			"key", res->key, "id", (json_int_t)k->id, "server", a->cfg->server_url, "user",
			u ? u->name : "", "name", name, "tags", value_tags(k->tags), "reusable", k->reusable,
			"ephemeral", k->ephemeral, "expiry", value_time(k->expiry_ms));
	buf_wipe(&line);
	return o;
}

/* Before a key is made that nobody is told. NULL: nothing is. */
static const char *what_is_wrong(const struct api_call *c, const char *name)
{
	struct buf line = { 0 };
	if (*name && !fleet_label_valid(name))
		return "--name is a host name of small letters, digits and hyphens";
	if (*name && asked_flag(c, "reusable"))
		return "a name is for one machine: leave --name away, or --reusable";
	bool ok = line_of(c->api, "k", name, "", &line);
	buf_wipe(&line);
	return ok ? NULL : "the server_url of the settings cannot stand in an invitation";
}

void admin_invite(struct api_call *c)
{
	char name[FLEET_USER_NAME] = "", user[FLEET_USER_NAME] = "", tags[STORE_TAGS + 1] = "";
	uint64_t life;
	asked_text(c, "name", name, sizeof(name));
	asked_text(c, "user", user, sizeof(user));
	bool fits = asked_list(c, "tags", tags, sizeof(tags));
	const char *wrong = fits ? what_is_wrong(c, name) : "too many tags for one key";
	if (wrong) {
		api_reply_error(&c->way, 400, wrong);
		return;
	}
	if (!asked_lifetime(c, "expirationMs", DAY_MS, &life))
		return;
	const struct preauth_wish wish = { .user = user,
		.create_user = asked_flag(c, "createUser"),
		.reusable = asked_flag(c, "reusable"),
		.ephemeral = asked_flag(c, "ephemeral"),
		.tags = tags,
		.lifetime_ms = life,
		.about = "invitation",
		.by = api_rank(c) };
	struct registry_wait *w = api_later(c, invite_made, name);
	if (w)
		registry_preauth_create(c->api->reg, &wish, c->now_ms, w);
}
