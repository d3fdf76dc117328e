/* watch-ipn-bus: a line of JSON for each change, until the watcher leaves. */
#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include <stdlib.h>

/* A part is kept for who may change things: others must not be able to shut them out. */
enum { WATCHERS_MAX = 32, WATCHERS_KEPT = 8 };
enum { MASK_OUTGOING = 64 /* NotifyInitialOutgoingFiles */ };

struct watcher {
	struct http_server_conn *conn; /* NULL: a free place */
	bool sees_files;	       /* he may send some himself; their names are nobody else's business */
};
struct local_watchers {
	const struct local_node_ops *node;
	struct files *files; /* that tell us; NULL: not yet asked to */
	struct watcher v[WATCHERS_MAX];
};

static bool write_line(struct http_server_conn *c, const struct api_notify *m)
{
	struct buf b = { 0 };
	bool ok = api_notify_write(&b, m) && (b.p[b.at + b.len - 1] == '\n' || buf_append(&b, "\n", 1)) &&
		  http_reply_chunk(c, buf_data(&b), b.len) == 0;
	buf_free(&b);
	return ok;
}

/* --- files on their way --- */

struct gathered {
	struct arena mem;
	struct api_outgoing *v;
	size_t n, room;
};

static void count_one(void *arg, const struct files_outgoing *o)
{
	(void)o;
	((struct gathered *)arg)->room++;
}

static void gather_one(void *arg, const struct files_outgoing *o)
{
	struct gathered *g = arg;
	g->v[g->n++] = (struct api_outgoing) { .id = o->id,
		.peer = o->peer,
		.name = o->name,
		.started_ms = o->started_ms,
		.size = o->size,
		.sent = (int64_t)o->sent,
		.finished = o->finished,
		.succeeded = o->succeeded };
}

/* arena_free(&g->mem) it. Empty when memory is short. */
static void gather(const struct files *f, struct gathered *g)
{
	*g = (struct gathered) { 0 };
	files_outgoing(f, count_one, g);
	g->v = arena_array(&g->mem, g->room, sizeof(*g->v));
	if (g->v)
		files_outgoing(f, gather_one, g);
}

static void files_changed(void *arg)
{
	struct local_watchers *w = arg;
	struct gathered g;
	gather(w->files, &g);
	struct api_notify m = { .state = -1, .outgoing = g.v, .n_outgoing = g.n };
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (w->v[i].conn && w->v[i].sees_files && g.n && !write_line(w->v[i].conn, &m))
			http_server_close(w->v[i].conn, false);
	arena_free(&g.mem);
}

/* --- how the node is --- */

static bool write_state(
	const struct local_node_ops *node, struct http_server_conn *c, const struct gathered *files)
{
	struct local_facts f;
	node->facts(node->arg, &f);
	struct api_notify m = { .version = RW_VERSION,
		.error = f.error,
		.browse_to_url = f.auth_url,
		.state = f.state,
		.outgoing = files ? files->v : NULL,
		.n_outgoing = files ? files->n : 0 };
	return write_line(c, &m);
}

static void begin(struct request *r, struct local_watchers *w, struct watcher *place)
{
	char text[24];
	uint64_t mask = 0;
	struct gathered g = { 0 };
	*place = (struct watcher) { .conn = r->conn, .sees_files = local_may_change(r) };
	if (http_target_query(r->head, "mask", text, sizeof(text)))
		(void)text_u64(text, 0, UINT64_MAX, &mask);
	if (!w->files && (w->files = r->node->files(r->node->arg)))
		files_outgoing_watch(w->files, files_changed, w);
	if (w->files && place->sees_files && (mask & MASK_OUTGOING))
		gather(w->files, &g);
	http_reply_begin(r->conn, 200, "application/json", NULL);
	write_state(r->node, r->conn, &g);
	arena_free(&g.mem);
}

void local_watch(struct request *r)
{
	struct local_watchers *w = local_api_watchers(r->api);
	size_t n = local_may_change(r) ? WATCHERS_MAX : WATCHERS_MAX - WATCHERS_KEPT;
	for (size_t i = 0; i < n; i++) {
		if (!w->v[i].conn) {
			begin(r, w, &w->v[i]);
			return;
		}
	}
	local_reply_error(r->conn, 503, "too many watchers");
}

void local_watchers_tell(struct local_watchers *w)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		/* One that does not read fast enough must ask again: a gap would go unseen. */
		if (w->v[i].conn && !write_state(w->node, w->v[i].conn, NULL))
			http_server_close(w->v[i].conn, false);
	}
}

void local_watchers_gone(struct local_watchers *w, struct http_server_conn *c)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (w->v[i].conn == c)
			w->v[i].conn = NULL;
	}
}

struct local_watchers *local_watchers_new(const struct local_node_ops *node)
{
	struct local_watchers *w = calloc(1, sizeof(*w));
	if (w)
		w->node = node;
	return w;
}

void local_watchers_free(struct local_watchers *w)
{
	if (w && w->files)
		files_outgoing_watch(w->files, NULL, NULL);
	free(w);
}
