/* Files that wait here and those that go to peers. Their bytes are moved by node/serve/files.h, which takes the connection
 * over; here is what must be right before that. */
#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/proto/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_S_MAX = 24 * 3600, STABLE_ID = 64, BACKEND_RUNNING_STATE = 6 };

/* NULL: answered. */
static struct files *files_here(struct request *r)
{
	struct files *f = r->node->files(r->node->arg);
	if (!f)
		local_reply_error(r->conn, 500,
			"this daemon could not open its folder of received files; its log says why");
	return f;
}

static bool is_running(struct request *r)
{
	struct local_facts facts;
	r->node->facts(r->node->arg, &facts);
	return facts.state == BACKEND_RUNNING_STATE;
}

/* --- targets --- */

/* As a node of the map, with the name that official clients print. */
static bool write_target(struct buf *out, const struct ctl_node *n, const struct endpoint *at, bool first)
{
	char url[ENDPOINT_TEXT];
	struct buf node = { 0 };
	struct json_out o = { .to = out };
	char *short_name = strndup(n->name, strcspn(n->name, "."));
	bool ok = short_name && ctl_node_write(&node, n) && node.len > 2;
	if (ok) {
		json_put(&o, first ? "{\"Node\":" : ",{\"Node\":");
		json_put_bytes(&o, (const char *)buf_data(&node), node.len - 1);
		json_put(&o, ",\"ComputedName\":");
		json_put_string(&o, short_name);
		json_put(&o, "},\"PeerAPIURL\":\"http://");
		json_put(&o, endpoint_format(at, url));
		json_put(&o, "\"}");
	}
	free(short_name);
	buf_free(&node);
	return ok && !o.bad;
}

struct target {
	const struct ctl_node *node;
};

static int by_name(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	return strcmp(x->node->name, y->node->name);
}

static bool write_targets(const struct netmap *m, bool running, struct buf *out)
{
	struct target *v = calloc(m->n_peers + 1, sizeof(*v));
	size_t n = 0;
	struct endpoint at;
	for (size_t i = 0; v && i < m->n_peers; i++)
		if (!*sharing_why(sharing_target(m, &m->peers[i]->node, running)))
			v[n++].node = &m->peers[i]->node;
	if (n)
		qsort(v, n, sizeof(*v), by_name);
	bool ok = v && buf_append(out, "[", 1);
	for (size_t i = 0; ok && i < n; i++)
		ok = sharing_api_at(m, v[i].node, &at) && write_target(out, v[i].node, &at, i == 0);
	free(v);
	return ok && buf_append(out, "]", 1);
}

void local_file_targets(struct request *r)
{
	struct buf b = { 0 };
	const struct netmap *m = r->node->map(r->node->arg);
	bool running = is_running(r);
	if (!m || !running || !sharing_is_on(m)) {
		enum sharing_target t = !running ? SHARING_NOT_RUNNING : !m ? SHARING_NO_MAP : SHARING_OFF;
		local_reply_error(r->conn, 500, sharing_why(t));
		return;
	}
	bool ok = write_targets(m, running, &b);
	local_reply_json(r->conn, &b, ok);
}

/* --- to a peer --- */

/* STABLEID/NAME. */
static const struct ctl_node *find_target(struct request *r, const char **name)
{
	const struct netmap *m = r->node->map(r->node->arg);
	size_t len = strcspn(r->below, "/");
	*name = r->below[len] ? r->below + len + 1 : "";
	for (size_t i = 0; m && i < m->n_peers; i++) {
		const char *id = m->peers[i]->node.stable_id;
		if (strlen(id) == len && !strncmp(id, r->below, len))
			return &m->peers[i]->node;
	}
	return NULL;
}

void local_file_put(struct request *r)
{
	const char *name, *why;
	struct files_target to;
	const struct netmap *m = r->node->map(r->node->arg);
	const struct ctl_node *peer = find_target(r, &name);
	enum sharing_target can = sharing_target(m, peer, is_running(r));
	struct files *f = files_here(r);
	if (!f)
		return;
	if (*sharing_why(can)) {
		char text[400];
		snprintf(text, sizeof(text), "cannot send files%s%s: %s", peer ? " to " : "",
			peer ? peer->name : "", sharing_why(can));
		local_reply_error(r->conn, 404, text);
		return;
	}
	if (!sharing_name_is_fit(name)) {
		local_reply_error(r->conn, 400,
			"invalid filename: the other side takes one part of a path, of printable UTF-8, "
			"without / \\ : * "
			"\" < > |, not ending in .partial or .deleted; --name gives it another");
		return;
	}
	int status = files_refuse_more(f, 0, &why);
	if (status || !sharing_api_at(m, peer, &to.at)) {
		local_reply_error(r->conn, status ? status : 500, why);
		return;
	}
	to.peer = (struct files_peer) { .id = peer->id, .name = peer->name };
	to.stable_id = peer->stable_id;
	to.ifname = r->node->ifname(r->node->arg);
	char fit[INBOX_NAME];
	snprintf(fit, sizeof(fit), "%s", name);
	struct http_carry *c = http_carry_take(r->conn);
	if (c)
		files_send(f, c, &to, fit);
}

/* --- those that wait --- */

struct awaiting {
	struct local_client *client;
	struct http_server_conn *conn;
	struct files *files;
	struct files_waiter *waiter;
	struct loop_timer *over;
};

static void add_file(void *arg, const struct inbox_file *file)
{
	json_array_append_new(
		arg, json_pack("{s:s, s:I}", "Name", file->name, "Size", (json_int_t)file->size));
}

static void reply_files(struct http_server_conn *c, struct files *f)
{
	json_t *list = json_array();
	if (list)
		files_waiting(f, add_file, list);
	local_reply_object(c, list);
}

void local_files_gone(struct local_client *c)
{
	struct awaiting *w = c->awaiting;
	if (!w)
		return;
	c->awaiting = NULL;
	files_wait_end(w->waiter);
	loop_timer_free(w->over);
	free(w);
}

/* A file came, or the time is over: the list as it is. */
static void await_end(void *arg)
{
	struct awaiting *w = arg;
	struct http_server_conn *conn = w->conn;
	struct files *f = w->files;
	local_files_gone(w->client);
	reply_files(conn, f);
}

static bool await_begin(struct request *r, struct files *f, uint64_t seconds)
{
	struct awaiting *w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	*w = (struct awaiting) { .client = r->client, .conn = r->conn, .files = f };
	w->over = loop_timer_new(r->loop, await_end, w);
	w->waiter = w->over ? files_wait(f, await_end, w) : NULL;
	r->client->awaiting = w;
	if (!w->waiter) {
		local_files_gone(r->client);
		return false;
	}
	loop_timer_set(w->over, seconds * 1000);
	return true;
}

void local_files_list(struct request *r)
{
	char text[24] = "0";
	uint64_t seconds = 0;
	struct files *f = files_here(r);
	if (!f)
		return;
	if (http_target_find(r->head, "waitsec", text, sizeof(text)) == HTTP_VALUE_BAD ||
		!text_u64(text, 0, WAIT_S_MAX, &seconds)) {
		local_reply_error(r->conn, 400, "waitsec= must be seconds, at most a day");
		return;
	}
	if (!seconds || files_count(f))
		reply_files(r->conn, f);
	else if (!await_begin(r, f, seconds))
		local_reply_error(r->conn, 500, "memory is short");
}

static void with_waiting(
	struct request *r, void (*run)(struct files *f, struct http_carry *c, const char *name))
{
	const char *why;
	char name[INBOX_NAME];
	struct files *f = files_here(r);
	if (!f)
		return;
	int status = files_refuse_more(f, 0, &why);
	if (!sharing_name_is_fit(r->below)) {
		local_reply_error(r->conn, 404, "no file of that name waits here");
		return;
	}
	if (status) {
		local_reply_error(r->conn, status, why);
		return;
	}
	snprintf(name, sizeof(name), "%s", r->below);
	struct http_carry *c = http_carry_take(r->conn);
	if (c)
		run(f, c, name);
}

void local_file_get(struct request *r)
{
	with_waiting(r, files_hand_out);
}

void local_file_delete(struct request *r)
{
	with_waiting(r, files_remove);
}
