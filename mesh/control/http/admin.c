/* The admin socket: POST /v1/<noun>/<verb> with a JSON object of arguments, answered with JSON. Who may open
 * the socket is an admin: its file mode decides. */
#include "mesh/control/server.h"

#include "mesh/base/text.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct call {
	struct server *s;
	json_t *args;
	int64_t now_ms;
	struct errbuf *eb;
};

static const char *text_arg(const struct call *c, const char *name)
{
	const char *t = json_string_value(json_object_get(c->args, name));
	return t ? t : "";
}
static bool bool_arg(const struct call *c, const char *name)
{
	return json_is_true(json_object_get(c->args, name));
}
static int64_t int_arg(const struct call *c, const char *name)
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

static json_t *node_value(const struct call *c, const struct member *m)
{
	const struct user *u = fleet_user(&c->s->reg.fleet, m->user);
	char key[KEY_TEXT];
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(m->id));
	json_object_set_new(o, "name", json_string(m->name));
	json_object_set_new(o, "fqdn", json_sprintf("%s.%s", m->name, c->s->view.base_domain));
	json_object_set_new(o, "hostname", json_string(m->hostname));
	json_object_set_new(o, "user", json_string(u ? u->name : ""));
	json_object_set_new(o, "addresses", addresses_value(m));
	json_object_set_new(o, "tags", tags_value(&m->tags));
	json_object_set_new(o, "available_routes", prefixes_value(&m->hostinfo.routable_ips));
	json_object_set_new(o, "approved_routes", tags_value(&m->routes));
	json_object_set_new(o, "subnet_routes", prefixes_value(&m->served));
	json_object_set_new(o, "online", json_boolean(m->online));
	json_object_set_new(o, "expired", json_boolean(member_is_expired(m, c->now_ms)));
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

static json_t *preauth_value(const struct call *c, const struct preauth *k)
{
	const struct user *u = fleet_user(&c->s->reg.fleet, k->user);
	bool expired = k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= c->now_ms;
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

/* --- verbs: NULL with the error in c->eb --- */

static json_t *users_create(struct call *c)
{
	struct user u;
	return registry_user_create(&c->s->reg, text_arg(c, "name"), c->now_ms, &u, c->eb) ? NULL
											   : user_value(&u);
}

static json_t *users_list(struct call *c)
{
	json_t *list = json_array();
	for (size_t i = 0; i < c->s->reg.fleet.n_users; i++)
		json_array_append_new(list, user_value(&c->s->reg.fleet.users[i]));
	return list;
}

static json_t *users_destroy(struct call *c)
{
	return registry_user_destroy(&c->s->reg, text_arg(c, "name"), c->eb)
		       ? NULL
		       : json_pack("{s:s}", "destroyed", text_arg(c, "name"));
}

static json_t *preauthkeys_create(struct call *c)
{
	struct preauth_wish w = { .user = text_arg(c, "user"),
		.create_user = bool_arg(c, "create_user"),
		.reusable = bool_arg(c, "reusable"),
		.ephemeral = bool_arg(c, "ephemeral"),
		.tags = text_arg(c, "tags"),
		.lifetime_ms = (uint64_t)int_arg(c, "expiration_ms") };
	struct preauth k;
	char text[REGISTRY_KEY_TEXT];
	if (registry_preauth_create(&c->s->reg, &w, c->now_ms, text, &k, c->eb))
		return NULL;
	json_t *o = preauth_value(c, &k);
	json_object_set_new(o, "key", json_string(text));
	key_wipe(text, sizeof(text));
	return o;
}

struct preauth_list {
	struct call *c;
	json_t *list;
};
static void add_preauth(void *arg, const struct preauth *k)
{
	struct preauth_list *l = arg;
	json_array_append_new(l->list, preauth_value(l->c, k));
}

static json_t *preauthkeys_list(struct call *c)
{
	struct preauth_list l = { c, json_array() };
	if (!store_preauth_each(c->s->reg.store, add_preauth, &l, c->eb))
		return l.list;
	json_decref(l.list);
	return NULL;
}

static json_t *preauthkeys_expire(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return store_preauth_expire(c->s->reg.store, id, c->now_ms, c->eb)
		       ? NULL
		       : json_pack("{s:I}", "expired", (json_int_t)id);
}

struct pending_list {
	struct call *c;
	json_t *list;
};
static void add_pending(void *arg, const struct pending_info *p)
{
	struct pending_list *l = arg;
	json_t *o = json_object();
	json_object_set_new(o, "id", json_string(p->id));
	json_object_set_new(o, "hostname", json_string(p->hostname));
	json_object_set_new(o, "os", json_string(p->os));
	json_object_set_new(o, "since", time_value(p->since_ms));
	json_array_append_new(l->list, o);
}

static json_t *nodes_pending(struct call *c)
{
	struct pending_list l = { c, json_array() };
	registry_pending_each(&c->s->reg, add_pending, &l);
	return l.list;
}

static json_t *nodes_list(struct call *c)
{
	const struct fleet *f = &c->s->reg.fleet;
	const struct user *only = *text_arg(c, "user") ? fleet_user_named(f, text_arg(c, "user")) : NULL;
	json_t *list;
	if (*text_arg(c, "user") && !only) {
		err_say(c->eb, -ENOENT, "no user \"%s\": `users list` shows them", text_arg(c, "user"));
		return NULL;
	}
	list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if (!only || f->v[i]->user == only->id)
			json_array_append_new(list, node_value(c, f->v[i]));
	return list;
}

static json_t *node_after(struct call *c, int err, int64_t id)
{
	const struct member *m = err ? NULL : fleet_by_id(&c->s->reg.fleet, id);
	return m ? node_value(c, m) : NULL;
}

static json_t *nodes_approve(struct call *c)
{
	int64_t id = 0;
	web_recall(c->s, text_arg(c, "id"));
	int err = registry_approve(&c->s->reg, text_arg(c, "id"), text_arg(c, "user"), c->now_ms, &id, c->eb);
	return node_after(c, err, id);
}

static json_t *nodes_delete(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return registry_node_delete(&c->s->reg, id, c->eb) ? NULL
							   : json_pack("{s:I}", "deleted", (json_int_t)id);
}

static json_t *nodes_expire(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return node_after(c, registry_node_expire(&c->s->reg, id, c->now_ms, c->eb), id);
}

static json_t *nodes_rename(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return node_after(c, registry_node_rename(&c->s->reg, id, text_arg(c, "name"), c->eb), id);
}

static json_t *nodes_tag(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return node_after(c, registry_node_tag(&c->s->reg, id, text_arg(c, "tags"), c->eb), id);
}

static json_t *nodes_approve_routes(struct call *c)
{
	int64_t id = int_arg(c, "id");
	return node_after(
		c, registry_node_routes(&c->s->reg, id, text_arg(c, "routes"), c->now_ms, c->eb), id);
}

static json_t *nodes_list_routes(struct call *c)
{
	const struct fleet *f = &c->s->reg.fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->routes.n || f->v[i]->hostinfo.routable_ips.n)
			json_array_append_new(list, node_value(c, f->v[i]));
	return list;
}

static json_t *health(struct call *c)
{
	const char *trouble = c->s->reg.trouble;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "status",
		*trouble ? "fail" : "pass", "database", *trouble ? trouble : "ok", "version", RW_VERSION,
		"url", c->s->cfg.server_url, "nodes", (int)c->s->reg.fleet.n, "streams",
		(int)session_count(c->s), "pending", (int)c->s->reg.n_pending, "relay_regions",
		(int)c->s->settings->derp.n_regions, "turned_away", (json_int_t)c->s->turned_away);
	return o;
}

static json_t *policy_reload(struct call *c)
{
	char restart[SERVER_KEYS_TEXT];
	if (server_reload(c->s, restart, c->eb))
		return NULL;
	json_t *o = json_pack("{s:s}", "reloaded", c->s->cfg.file);
	if (*restart)
		json_object_set_new(o, "needs_restart", json_string(restart));
	return o;
}

static const struct {
	const char *path;
	json_t *(*run)(struct call *c);
} verbs[] = {
	{ "/v1/users/create", users_create },
	{ "/v1/users/list", users_list },
	{ "/v1/users/destroy", users_destroy },
	{ "/v1/preauthkeys/create", preauthkeys_create },
	{ "/v1/preauthkeys/list", preauthkeys_list },
	{ "/v1/preauthkeys/expire", preauthkeys_expire },
	{ "/v1/nodes/list", nodes_list },
	{ "/v1/nodes/pending", nodes_pending },
	{ "/v1/nodes/approve", nodes_approve },
	{ "/v1/nodes/delete", nodes_delete },
	{ "/v1/nodes/expire", nodes_expire },
	{ "/v1/nodes/rename", nodes_rename },
	{ "/v1/nodes/tag", nodes_tag },
	{ "/v1/nodes/approve-routes", nodes_approve_routes },
	{ "/v1/nodes/list-routes", nodes_list_routes },
	{ "/v1/health", health },
	{ "/v1/policy/reload", policy_reload },
};

/* --- the socket --- */

static void reply(struct http_server_conn *c, int status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);
	http_reply(c, status, "application/json", NULL, text ? text : "", text ? strlen(text) : 0);
	free(text);
	json_decref(body);
}

static void requested(void *arg, struct http_server_conn *conn, const struct http_head *head,
	const uint8_t *body, size_t len)
{
	struct errbuf eb = { 0 };
	struct call c = { .s = arg, .now_ms = clock_unix_ms(), .eb = &eb };
	json_t *out = NULL;
	char path[64];
	size_t i = 0;
	if (!http_target_path(head, path, sizeof(path)))
		path[0] = 0;
	while (i < ARRAY_LEN(verbs) && strcmp(path, verbs[i].path) != 0)
		i++;
	if (i == ARRAY_LEN(verbs) || strcmp(head->method, "POST") != 0) {
		reply(conn, 404,
			json_pack("{s:{s:s}}", "error", "message",
				"no such verb: client and server are of different versions"));
		return;
	}
	c.args = len ? json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL) : json_object();
	if (json_is_object(c.args))
		out = verbs[i].run(&c);
	else
		err_say(&eb, ERR_MALFORMED, "arguments must be a JSON object");
	if (out)
		reply(conn, 200, out);
	else
		reply(conn, 400, json_pack("{s:{s:s}}", "error", "message", *eb.text ? eb.text : "failed"));
	json_decref(c.args);
}

static void readable(void *arg, int events)
{
	struct server *s = arg;
	const struct http_server_ops ops = { .request = requested, .arg = s };
	const struct stream_events none = { 0 };
	(void)events;
	int fd;
	while ((fd = sock_accept(s->admin.fd, NULL)) >= 0) {
		struct stream *st = stream_accept(s->loop, fd, NULL, &none);
		(void)http_server_accept(s->loop, st, &ops);
	}
	web_pause_full(s, s->admin.watch, fd);
}

int admin_open(struct server *s, struct errbuf *eb)
{
	const char *path = s->cfg.unix_socket;
	s->admin.fd = sock_unix_listen(path, s->cfg.unix_socket_mode, eb);
	if (s->admin.fd == -EADDRINUSE)
		return err_say(eb, -EADDRINUSE,
			"another ropewalk-control answers on %s: stop it first, or choose another "
			"unix_socket",
			path);
	if (s->admin.fd < 0)
		return s->admin.fd;
	s->admin.watch = loop_fd_new(s->loop, s->admin.fd, readable, s);
	if (!s->admin.watch)
		return err_set(eb, -ENOMEM, "listen on %s", path);
	loop_fd_set(s->admin.watch, LOOP_READ);
	return 0;
}

void admin_close(struct server *s)
{
	if (s->admin.watch)
		loop_fd_free(s->admin.watch);
	if (s->admin.fd >= 0) {
		close(s->admin.fd);
		sock_unix_unlink(s->cfg.unix_socket);
	}
	s->admin = (struct listener) { .fd = -1 };
}
