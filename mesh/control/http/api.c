#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
#include "mesh/proto/json.h"
#include "mesh/proto/json_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define V1_ROOT "/api/v1/"
#define V2_ROOT "/api/v2/"

/* --- finding --- */

/* part: what stands for each {}, of which there are API_PARTS at most. NULL: not asked. Nothing has a name that is longer
 * than a part. */
static bool is_path(const char *row, const char *path, char (*part)[FLEET_USER_NAME])
{
	while (*row) {
		size_t len = strcspn(path, "/");
		if (row[0] == '*' && !row[1])
			return true;
		if (row[0] != '{') {
			if (*row++ != *path++)
				return false;
			continue;
		}
		if (!len || len >= sizeof(*part))
			return false;
		if (part)
			snprintf(*part++, sizeof(*part), "%.*s", (int)len, path);
		row += strlen("{}");
		path += len;
	}
	return !*path;
}

static bool is_method(const char *row, const char *method)
{
	return !strcmp(row, method) || (!strcmp(row, "GET") && !strcmp(method, "HEAD"));
}

static bool is_enough(enum api_right asked, enum api_right have)
{
	if (have == API_SESSION)
		return asked != API_MACHINE;
	return asked == API_ANYBODY || asked == have || (asked == API_KEYED && have == API_ADMIN);
}

const struct api_row *api_find(const char *method, const char *path, enum api_right right, int *status)
{
	*status = 404;
	for (const struct api_row *r = api_rows; r->path; r++) {
		if (!is_path(r->path, path, NULL))
			continue;
		if (r->right == API_ANYBODY && right == API_MACHINE)
			*status = 404; /* pages are not inside Noise */
		else if (!is_enough(r->right, right))
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
	} rows[] = { { 401, "this is not for everybody: nodes come by /ts2021, admins by the admin socket, "
			    "programs "
			    "by /api with a key (Authorization: Bearer KEY) that is known and not expired" },
		{ 403, "this is not for you: nodes come by /ts2021, admins by the admin socket" },
		{ 404, "not found" }, { 405, "not with this method" } };
	const char *text = "not found";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			text = rows[i].text;
	if (c->way.manner != API_OURS)
		api_reply_error(&c->way, status, text);
	else if (c->right == API_ADMIN || c->right == API_SESSION)
		api_reply_error(&c->way, status,
			status == 404 ? "no such verb: client and server are of different versions" : text);
	else
		api_reply_text(&c->way, status, text);
}

static void run_with_args(struct api_call *c, const struct api_row *r)
{
	c->args = c->len ? json_open((const char *)c->body, c->len, &json_of_admin, NULL) : json_object();
	if (json_is_object(c->args)) {
		console_note(c, r);
		r->run(c);
	} else {
		api_reply_error(&c->way, 400, "arguments must be a JSON object");
	}
	json_decref(c->args);
	c->args = NULL;
}

void api_serve(struct api_call *c)
{
	int status;
	if (!strncmp(c->path, V1_ROOT, strlen(V1_ROOT)))
		c->way.manner = API_V1;
	else if (!strncmp(c->path, V2_ROOT, strlen(V2_ROOT)))
		c->way.manner = API_V2;
	const struct api_row *r = api_find(c->method, c->path, c->right, &status);
	if (!r) {
		api_refuse(c, status);
		return;
	}
	size_t len = strlen(r->path);
	c->tail = r->path[len - 1] == '*' ? c->path + len - 1 : "";
	(void)is_path(r->path, c->path, c->part);
	const bool is_open = r->right == API_ANYBODY || r->right == API_MACHINE;
	if (!is_open && !api_may(c, r))
		api_reply_error(&c->way, 403,
			c->right == API_SESSION ? "your role does not reach this"
						: "the key is good, but its scopes do not reach this");
	else if (!is_open && !(r->flags & API_RAW))
		run_with_args(c, r);
	else {
		console_note(c, r);
		r->run(c);
	}
}

void api_close(struct api *a)
{
	json_decref(a->dns);
	a->dns = NULL;
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

static void reply_json(const struct api_way *w, int status, const char *extra, json_t *v)
{
	char *text = v ? json_memory_dump(v, JSON_COMPACT) : NULL;
	if (text)
		api_reply(w, status, "application/json", extra, text, strlen(text));
	else
		api_reply_text(w, 503, "the server is short of memory");
	json_text_free(text);
	json_decref(v);
}

void api_reply_json(const struct api_way *w, int status, json_t *v)
{
	reply_json(w, status, NULL, v);
}

void api_reply_json_once(const struct api_way *w, int status, json_t *v)
{
	reply_json(w, status, "Cache-Control: no-store\r\n", v);
}

json_t *api_sentence(const char *text)
{
	char *fit = strdup(text);
	if (fit)
		text_clean(fit);
	json_t *v = fit ? json_string(fit) : NULL;
	free(fit);
	return v;
}

/* Takes text. Headscale's error has the members of gRPC's status up to 0.29, and those of RFC 9457 since: both are sent. */
static json_t *v1_error(int status, json_t *text)
{
	static const struct {
		int status, code; /* of gRPC */
	} rows[] = { { 400, 3 }, { 401, 16 }, { 403, 7 }, { 404, 5 }, { 405, 12 }, { 409, 6 }, { 412, 9 },
		{ 501, 12 }, { 503, 14 } };
	int code = 2;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			code = rows[i].code;
	return json_pack("{s:i, s:O, s:[], s:s, s:i, s:o}", "code", code, "message", text, "details", "title",
		http_status_text(status), "status", status, "detail", text);
}

void api_reply_error(const struct api_way *w, int status, const char *text)
{
	json_t *say = api_sentence(*text ? text : "failed");
	switch (w->manner) {
	case API_OURS: api_reply_json(w, status, json_pack("{s:{s:o}}", "error", "message", say)); break;
	case API_V1: api_reply_json(w, status, v1_error(status, say)); break;
	case API_V2:
		api_reply_json(w, status, json_pack("{s:o, s:i}", "message", say, "status", status));
		break;
	}
}

/* --- answers that take their time --- */

struct api_later {
	struct api_later *next; /* of those that share a probe */
	struct api *api;
	struct api_way way;
	struct api_later **slot; /* of the connection: points here */
	struct registry_wait wait;
	json_t *(*made)(const struct api *a, const struct registry_result *res, const char *text);
	void (*answer)(const struct api *a, const struct api_way *w, const struct registry_result *res);
	void (*probed)(const struct api *a, const struct api_way *w, const char *trouble);
	void (*drop)(void *arg); /* of api_later_open */
	void *arg;
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
	void (*gone)(void *arg) = l->drop;
	void *arg = l->arg;
	free_later(l);
	if (gone)
		gone(arg);
}

struct api_later *api_later_open(struct api_call *c, void (*drop)(void *arg), void *arg)
{
	struct api_later *l = new_later(c);
	if (l) {
		l->drop = drop;
		l->arg = arg;
	}
	return l;
}

struct api_way api_later_peek(const struct api_later *l)
{
	return l->way;
}

struct api_way api_later_way(struct api_later *l)
{
	const struct api_way way = l->way;
	free_later(l);
	return way;
}

static int status_of(const struct api_way *w, const struct registry_result *res)
{
	if (res->unsaved)
		return 503;
	if (res->err == -EPERM)
		return 403;
	if (w->manner == API_OURS)
		return 400;
	return res->err == -ESTALE			   ? 412
	       : res->err == -ENOENT			   ? 404
	       : res->err == -EEXIST || res->err == -EBUSY ? 409
							   : 400;
}

static void stored(void *arg, const struct registry_result *res)
{
	struct api_later *l = arg;
	const struct api_way way = l->way;
	const struct api *a = l->api;
	void (*answer)(const struct api *, const struct api_way *, const struct registry_result *) =
		l->answer;
	json_t *v = res->err || answer ? NULL : l->made(l->api, res, l->text);
	free_later(l);
	if (!res->err && answer)
		answer(a, &way, res);
	else if (res->err)
		api_reply_error(&way, status_of(&way, res), res->text);
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
	l->wait = (struct registry_wait) {
		.done = stored, .arg = l, .own = c->own, .giver = api_giver(c), .ruled = api_is_ruled(c)
	};
	return &l->wait;
}

struct registry_wait *api_later_answer(struct api_call *c,
	void (*answer)(const struct api *a, const struct api_way *w, const struct registry_result *res))
{
	struct registry_wait *w = api_later(c, NULL, "");
	if (w)
		((struct api_later *)w->arg)->answer = answer;
	return w;
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
