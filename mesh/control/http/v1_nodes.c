/* Headscale's REST API: nodes. */
#include "mesh/control/http/v1.h"

#include "mesh/control/http/machine.h"
#include <errno.h>
#include <string.h>

enum { ROUTES_TEXT = 16384, ROUTES_MOST = 256 };

void v1_nodes_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	char name[FLEET_USER_NAME] = "";
	bool some = asked_text(c, "user", name, sizeof(name)) && *name;
	const struct user *only = some ? fleet_user_named(f, name) : NULL;
	if (some && !only) {
		api_reply_error(&c->way, 404, "no user has this name");
		return;
	}
	struct buf text = { 0 };
	struct json_out o = { .to = &text };
	bool first = true;
	json_put(&o, "{\"nodes\":[");
	for (size_t i = 0; i < f->n; i++)
		if (!only || f->v[i]->user == only->id) {
			json_put(&o, first ? "" : ",");
			v1_put_node(&o, c->api, f->v[i]);
			first = false;
		}
	json_put(&o, "]}");
	if (o.bad)
		api_reply_error(&c->way, 503, "the server is short of memory");
	else
		api_reply(&c->way, 200, "application/json", NULL, buf_data(&text), text.len);
	buf_free(&text);
}

static json_t *node_changed(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, res->id);
	(void)text;
	return m ? v1_one("node", v1_node(a, m)) : NULL;
}

void v1_nodes_get(struct api_call *c)
{
	int64_t id;
	if (!asked_part_id(c, 0, &id))
		return;
	const struct member *m = fleet_by_id(&c->api->reg->fleet, id);
	if (m)
		api_reply_json(&c->way, 200, v1_one("node", v1_node(c->api, m)));
	else
		api_reply_error(&c->way, 404, "no node has this number");
}

void v1_nodes_delete(struct api_call *c)
{
	int64_t id;
	struct registry_wait *w = asked_part_id(c, 0, &id) ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_node_delete(c->api->reg, id, w);
}

void v1_nodes_expire(struct api_call *c)
{
	int64_t id, at;
	if (!asked_part_id(c, 0, &id) || !asked_when(c, "expiry", c->now_ms, &at))
		return;
	if (asked_flag(c, "disableExpiry"))
		at = FLEET_NO_TIME;
	struct registry_wait *w = api_later(c, node_changed, "");
	if (w)
		registry_node_expire(c->api->reg, id, at, c->now_ms, w);
}

void v1_nodes_rename(struct api_call *c)
{
	int64_t id;
	struct registry_wait *w = asked_part_id(c, 0, &id) ? api_later(c, node_changed, "") : NULL;
	if (w)
		registry_node_rename(c->api->reg, id, c->part[1], w);
}

void v1_nodes_tag(struct api_call *c)
{
	char tags[STORE_TAGS];
	int64_t id;
	if (!asked_part_id(c, 0, &id) || !asked_whole_list(c, "tags", tags, sizeof(tags)))
		return;
	struct registry_wait *w = api_later(c, node_changed, "");
	if (w)
		registry_node_tag(c->api->reg, id, tags, w);
}

static bool has_route(const char *routes, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = routes; (at = strstr(at, word)); at += len)
		if ((at == routes || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

void v1_nodes_approve_routes(struct api_call *c)
{
	char routes[ROUTES_TEXT];
	int64_t id;
	if (!asked_part_id(c, 0, &id) ||
		!asked_whole_list(c, "routes", routes, sizeof(routes) - sizeof(",0.0.0.0/0")))
		return;
	/* an exit is both families, or clients do not offer it */
	bool v4 = has_route(routes, "0.0.0.0/0"), v6 = has_route(routes, "::/0");
	if (v4 != v6)
		strcat(routes, v4 ? ",::/0" : ",0.0.0.0/0");
	struct registry_wait *w = api_later(c, node_changed, "");
	if (w)
		registry_node_routes(c->api->reg, id, routes, w);
}

/* /node/register has the id of the login page as "key", /auth/register as "authId". */
void v1_nodes_register(struct api_call *c)
{
	static const char old[] = "nodekey:"; /* which consoles put before it */
	char text[64] = "", user[FLEET_USER_NAME] = "";
	(void)(asked_text(c, "key", text, sizeof(text)) || asked_text(c, "authId", text, sizeof(text)));
	const char *id = strncmp(text, old, strlen(old)) ? text : text + strlen(old);
	(void)asked_text(c, "user", user, sizeof(user));
	const struct user *u = v1_user_of(c->api, user);
	struct registry_wait *w = api_later(c, node_changed, "");
	machines_recall(c->api->machines, id);
	if (w)
		registry_approve(c->api->reg, id,
			&(struct approve_wish) { .user = u ? u->name : user, .by = api_rank(c) }, c->now_ms,
			w);
}

/* Up to 0.27 one could be given to somebody else. */
void v1_nodes_give(struct api_call *c)
{
	api_reply_error(&c->way, 501,
		"a node is whose login it is: log it in anew as the other user, or give it tags");
}

/* --- machines that are not there, for trials --- */

/* "10.0.0.0/8,::/0", in a. false: one of them is no network, or memory is short. */
static bool read_networks(struct arena *a, const char *text, struct ctl_prefixes *out)
{
	out->v = arena_array(a, ROUTES_MOST, sizeof(*out->v));
	while (*text && out->v) {
		char one[PREFIX_TEXT];
		size_t len = strcspn(text, ",");
		if (len >= sizeof(one) || out->n == ROUTES_MOST)
			return false;
		memcpy(one, text, len);
		one[len] = '\0';
		if (!prefix_parse(one, &out->v[out->n]))
			return false;
		prefix_mask(&out->v[out->n++]);
		text += len + (text[len] == ',');
	}
	return out->v;
}

/* It waits under the key that is given, as if it had asked; node/register with the same key lets it in. */
static void invent(struct api_call *c, const struct user *u, const char *id, const char *name,
	const struct ctl_prefixes *routes)
{
	struct ctl_hostinfo says = { .hostname = name, .os = "TestOS", .routable_ips = *routes };
	struct errbuf eb = { 0 };
	struct member m = { .user = u->id,
		.hostname = name,
		.name = "",
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME,
		.created_ms = c->now_ms,
		.hostinfo.routable_ips = *routes };
	int err = registry_pending_invent(c->api->reg, id, &says, c->now_ms, &m.machine, &m.key, &eb);
	if (err)
		api_reply_error(&c->way, err == -EINVAL ? 400 : err == -EEXIST ? 409 : 503, eb.text);
	else
		api_reply_json(&c->way, 200, v1_one("node", v1_node(c->api, &m)));
}

void v1_nodes_invent(struct api_call *c)
{
	char id[64] = "", name[256] = "", user[FLEET_USER_NAME] = "", routes[ROUTES_TEXT];
	struct arena mem = { .cap = 1 << 20 };
	struct ctl_prefixes nets = { 0 };
	(void)asked_text(c, "key", id, sizeof(id));
	(void)asked_text(c, "name", name, sizeof(name));
	(void)asked_text(c, "user", user, sizeof(user));
	const struct user *u = v1_user_of(c->api, user);
	if (!u)
		api_reply_error(&c->way, 404, "no user has this name");
	else if (!asked_list(c, "routes", routes, sizeof(routes)) || !read_networks(&mem, routes, &nets))
		api_reply_error(&c->way, 400, "routes: networks such as 10.0.0.0/8, and not too many");
	else
		invent(c, u, id, name, &nets);
	arena_free(&mem);
}

/* --- addresses that are missing --- */

static json_t *backfilled(const struct api *a, const struct registry_result *res, const char *text)
{
	json_t *changes = json_array();
	(void)a;
	(void)text;
	for (const char *line = res->text; *line; line += strcspn(line, "\n") + 1)
		json_array_append_new(changes, json_stringn(line, strcspn(line, "\n")));
	return v1_one("changes", changes);
}

void v1_nodes_backfill(struct api_call *c)
{
	if (!asked_flag(c, "confirmed")) {
		api_reply_error(&c->way, 400, "not confirmed: say ?confirmed=true");
		return;
	}
	struct registry_wait *w = api_later(c, backfilled, "");
	if (w)
		registry_backfill(c->api->reg, w);
}
