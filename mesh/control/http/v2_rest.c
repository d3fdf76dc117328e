/* The official service's REST API: users, settings, and what is not here. */
#include "mesh/control/http/v2.h"

#include "mesh/base/text.h"
#include <string.h>

static json_t *user_value(const struct api *a, const struct user *u)
{
	const struct fleet *f = &a->reg->fleet;
	const struct person *who = people_of_user(&a->reg->people, u->id);
	int64_t seen = FLEET_NO_TIME;
	int devices = 0;
	bool online = false;
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		if (m->user != u->id || member_is_tagged(m))
			continue;
		devices++;
		online = online || m->online;
		seen = m->last_seen_ms > seen ? m->last_seen_ms : seen;
	}
	json_t *o = json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:i, s:b}", "id",
		json_sprintf("%lld", (long long)u->id), "displayName",
		who && *who->display ? who->display : u->name, "loginName", u->name, "profilePicUrl", "",
		"tailnetId", a->cfg->base_domain, "created", value_time(u->created_ms), "type", "member",
		"role", user_role_name(u->role), "status", online ? "active" : "idle", "deviceCount", devices,
		"currentlyConnected", online);
	if (seen != FLEET_NO_TIME)
		json_object_set_new(o, "lastSeen", value_time(seen));
	return o;
}

/* Whether the query asks for this, or for nothing in particular: programs send a wish that nobody made as an empty one.
 * One that is too long for any is none of them. */
static bool wants(const struct api_call *c, const char *name, const char *value)
{
	char text[32] = "";
	enum http_value is = c->head ? http_target_find(c->head, name, text, sizeof(text)) : HTTP_VALUE_NONE;
	return is != HTTP_VALUE_BAD && (!*text || !strcmp(text, value) || !strcmp(text, "all"));
}

void v2_users_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n_users; i++)
		if (wants(c, "type", "member") && wants(c, "role", user_role_name(f->users[i].role)))
			json_array_append_new(list, user_value(c->api, &f->users[i]));
	api_reply_json(&c->way, 200, json_pack("{s:o}", "users", list));
}

void v2_users_get(struct api_call *c)
{
	uint64_t id;
	const struct user *u =
		text_u64(c->part[0], 1, INT64_MAX, &id) ? fleet_user(&c->api->reg->fleet, (int64_t)id) : NULL;
	if (u)
		api_reply_json(&c->way, 200, user_value(c->api, u));
	else
		api_reply_error(&c->way, 404, "no user has this id");
}

/* What this server has of them stands in its settings. */
static json_t *settings_value(const struct api *a)
{
	return json_pack("{s:b, s:s, s:b, s:b, s:I, s:b, s:s, s:b, s:b, s:b, s:b, s:s}",
		"aclsExternallyManagedOn", 0, "aclsExternalLink", "", "devicesApprovalOn", 0,
		"devicesAutoUpdatesOn", 0, "devicesKeyDurationDays",
		(json_int_t)(a->reg->c.expiry_ms / (24 * 3600 * 1000)), "usersApprovalOn", 0,
		"usersRoleAllowedToJoinExternalTailnets", "none", "networkFlowLoggingOn", 0,
		"regionalRoutingOn", 0, "postureIdentityCollectionOn", 0, "httpsEnabled", 0, "routeSelection",
		"active-passive-failover");
}

void v2_settings(struct api_call *c)
{
	api_reply_json(&c->way, 200, settings_value(c->api));
}

/* A wish for what is so already is granted; another is refused by its name. */
void v2_settings_change(struct api_call *c)
{
	json_t *now = settings_value(c->api), *v;
	const char *name;
	char say[160] = "";
	json_object_foreach(c->args, name,
		v) if (!json_is_null(v) && !json_equal(v, json_object_get(now, name))) snprintf(say,
		sizeof(say),
		"%.64s cannot be changed here: it stands in the server's settings, or is not there", name);
	if (*say)
		api_reply_error(&c->way, 501, say);
	else
		api_reply_json(&c->way, 200, json_incref(now));
	json_decref(now);
}

void v2_not_here(struct api_call *c)
{
	api_reply_error(&c->way, 501, "this part of the API is not there on this server");
}
