#include "mesh/control/http/api.h"

#include "mesh/proto/json.h"

#include <stdlib.h>
#include <string.h>

const struct api_row api_rows[] = {
	{ "GET", "/", API_ANYBODY, pages_root },
	{ "GET", "/key", API_ANYBODY, pages_key },
	{ "GET", "/health", API_ANYBODY, pages_health },
	{ "POST", "/verify", API_ANYBODY, pages_verify },
	{ "GET", "/version", API_ANYBODY, pages_version },
	{ "GET", "/register/*", API_ANYBODY, pages_register },
	{ "GET", "/ts2021", API_ANYBODY, pages_no_upgrade },
	{ "POST", "/ts2021", API_ANYBODY, pages_no_upgrade },
	{ "GET", "/.well-known/acme-challenge/*", API_ANYBODY, certificate_challenge },

	{ "POST", "/machine/register", API_MACHINE, machine_register },
	{ "POST", "/machine/map", API_MACHINE, machine_map },
	{ "POST", "/machine/*", API_MACHINE, machine_unknown },

	{ "POST", "/v1/users/create", API_ADMIN, admin_users_create },
	{ "POST", "/v1/users/list", API_ADMIN, admin_users_list },
	{ "POST", "/v1/users/destroy", API_ADMIN, admin_users_destroy },
	{ "POST", "/v1/preauthkeys/create", API_ADMIN, admin_keys_create },
	{ "POST", "/v1/preauthkeys/list", API_ADMIN, admin_keys_list },
	{ "POST", "/v1/preauthkeys/expire", API_ADMIN, admin_keys_expire },
	{ "POST", "/v1/nodes/list", API_ADMIN, admin_nodes_list },
	{ "POST", "/v1/nodes/pending", API_ADMIN, admin_nodes_pending },
	{ "POST", "/v1/nodes/approve", API_ADMIN, admin_nodes_approve },
	{ "POST", "/v1/nodes/delete", API_ADMIN, admin_nodes_delete },
	{ "POST", "/v1/nodes/expire", API_ADMIN, admin_nodes_expire },
	{ "POST", "/v1/nodes/rename", API_ADMIN, admin_nodes_rename },
	{ "POST", "/v1/nodes/tag", API_ADMIN, admin_nodes_tag },
	{ "POST", "/v1/nodes/approve-routes", API_ADMIN, admin_nodes_approve_routes },
	{ "POST", "/v1/nodes/list-routes", API_ADMIN, admin_nodes_list_routes },
	{ "POST", "/v1/health", API_ADMIN, admin_health },
	{ "POST", "/v1/policy/reload", API_ADMIN, admin_reload },
	{ NULL, NULL, API_ANYBODY, NULL },
};

/* --- finding --- */

static bool is_path(const char *row, const char *path)
{
	size_t len = strlen(row);
	return len && row[len - 1] == '*' ? !strncmp(row, path, len - 1) : !strcmp(row, path);
}

static bool is_method(const char *row, const char *method)
{
	return !strcmp(row, method) || (!strcmp(row, "GET") && !strcmp(method, "HEAD"));
}

const struct api_row *api_find(const char *method, const char *path, enum api_right right, int *status)
{
	*status = 404;
	for (const struct api_row *r = api_rows; r->path; r++) {
		if (!is_path(r->path, path))
			continue;
		if (r->right == API_ANYBODY && right == API_MACHINE)
			*status = 404; /* pages are not inside Noise */
		else if (r->right != API_ANYBODY && r->right != right)
			*status = right == API_ANYBODY ? 401 : 403;
		else if (is_method(r->method, method))
			return r;
		else
			*status = 405;
		if (*status != 405)
			return NULL;
	}
	return NULL;
}

static void api_refuse(const struct api_call *c, int status)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = { { 401, "this is not for everybody: nodes come by /ts2021, admins by the admin socket" },
		{ 403, "this is not for you: nodes come by /ts2021, admins by the admin socket" },
		{ 404, "not found" }, { 405, "not with this method" } };
	const char *text = "not found";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			text = rows[i].text;
	if (c->right == API_ADMIN)
		api_reply_error(&c->way, status,
			status == 404 ? "no such verb: client and server are of different versions" : text);
	else
		api_reply_text(&c->way, status, text);
}

static void run_as_admin(struct api_call *c, const struct api_row *r)
{
	c->args = c->len ? json_open((const char *)c->body, c->len, &json_of_stranger, NULL) : json_object();
	if (json_is_object(c->args))
		r->run(c);
	else
		api_reply_error(&c->way, 400, "arguments must be a JSON object");
	json_decref(c->args);
	c->args = NULL;
}

void api_serve(struct api_call *c)
{
	int status;
	const struct api_row *r = api_find(c->method, c->path, c->right, &status);
	if (!r) {
		api_refuse(c, status);
		return;
	}
	size_t len = strlen(r->path);
	c->tail = r->path[len - 1] == '*' ? c->path + len - 1 : "";
	if (r->right == API_ADMIN)
		run_as_admin(c, r);
	else
		r->run(c);
}

/* --- answers --- */

void api_reply(const struct api_way *w, int status, const char *type, const char *extra, const void *body,
	size_t len)
{
	if (w->stream)
		h2_respond(w->stream, status, type, body, len);
	else if (w->conn)
		http_reply(w->conn, status, type, extra, body, len);
}

void api_reply_text(const struct api_way *w, int status, const char *text)
{
	api_reply(w, status, "text/plain; charset=utf-8", NULL, text, strlen(text));
}

void api_reply_json(const struct api_way *w, int status, json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	if (text)
		api_reply(w, status, "application/json", NULL, text, strlen(text));
	else
		api_reply_text(w, 503, "the server is short of memory");
	free(text);
	json_decref(v);
}

void api_reply_error(const struct api_way *w, int status, const char *text)
{
	api_reply_json(w, status, json_pack("{s:{s:s}}", "error", "message", *text ? text : "failed"));
}

/* --- answers that take their time --- */

struct api_later {
	struct api_later *next; /* of those that share a probe */
	struct api *api;
	struct api_way way;
	struct api_later **slot; /* of the connection: points here */
	struct registry_wait wait;
	json_t *(*made)(const struct api *a, const struct registry_result *res, const char *text);
	void (*probed)(const struct api *a, const struct api_way *w, const char *trouble);
	char text[FLEET_USER_NAME];
};

static struct api_later *new_later(struct api_call *c)
{
	struct api_later *l = calloc(1, sizeof(*l));
	if (!l) {
		api_reply_text(&c->way, 503, "the server is short of memory");
		return NULL;
	}
	l->api = c->api;
	l->way = c->way;
	l->slot = c->later;
	*c->later = l;
	return l;
}

static void free_later(struct api_later *l)
{
	if (l->slot)
		*l->slot = NULL;
	free(l);
}

void api_later_drop(struct api_later *l)
{
	if (!l)
		return;
	for (struct api_later **at = &l->api->probing; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			break;
		}
	registry_wait_cancel(&l->wait);
	free_later(l);
}

static void stored(void *arg, const struct registry_result *res)
{
	struct api_later *l = arg;
	const struct api_way way = l->way;
	json_t *v = res->err ? NULL : l->made(l->api, res, l->text);
	free_later(l);
	if (res->err)
		api_reply_error(&way, res->unsaved ? 503 : 400, res->text);
	else
		api_reply_json(&way, 200, v);
}

struct registry_wait *api_later(struct api_call *c,
	json_t *(*made)(const struct api *a, const struct registry_result *res, const char *text),
	const char *text)
{
	struct api_later *l = new_later(c);
	if (!l)
		return NULL;
	size_t len = strnlen(text, sizeof(l->text) - 1);
	memcpy(l->text, text, len);
	l->made = made;
	l->wait = (struct registry_wait) { .done = stored, .arg = l };
	return &l->wait;
}

static void probe_done(void *arg, const struct registry_result *res)
{
	struct api *a = arg;
	struct api_later *l = a->probing, *next;
	a->probing = NULL;
	a->probed_ms = clock_unix_ms();
	a->probed_well = !res->err;
	for (; l; l = next) {
		next = l->next;
		const struct api_way way = l->way;
		void (*probed)(const struct api *, const struct api_way *, const char *) = l->probed;
		free_later(l);
		probed(a, &way, res->err ? res->text : "");
	}
}

void api_probe(
	struct api_call *c, void (*made)(const struct api *a, const struct api_way *w, const char *trouble))
{
	struct api *a = c->api;
	struct api_later *l = new_later(c);
	bool begun = a->probe.change != NULL;
	if (!l)
		return;
	l->probed = made;
	l->next = a->probing;
	a->probing = l;
	if (!begun) {
		a->probe = (struct registry_wait) { .done = probe_done, .arg = a };
		registry_probe(a->reg, c->now_ms, &a->probe);
	}
}
