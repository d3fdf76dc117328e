/* watch-ipn-bus: a line of JSON for each change, until the watcher leaves. */
#include "mesh/node/local/local_request.h"
#include <stdlib.h>

/* A part is kept for who may change things: others must not be able to shut them out. */
enum { WATCHERS_MAX = 32, WATCHERS_KEPT = 8 };

struct local_watchers {
	const struct local_node_ops *node;
	struct http_server_conn *conns[WATCHERS_MAX];
};

static bool write_notify(const struct local_node_ops *node, struct http_server_conn *c)
{
	struct buf b = { 0 };
	struct local_facts f;
	node->facts(node->arg, &f);
	struct api_notify m = {
		.version = RW_VERSION, .error = f.error, .browse_to_url = f.auth_url, .state = f.state
	};
	bool ok = api_notify_write(&b, &m) && (b.p[b.at + b.len - 1] == '\n' || buf_append(&b, "\n", 1)) &&
		  http_reply_chunk(c, buf_data(&b), b.len) == 0;
	buf_free(&b);
	return ok;
}

void local_watch(struct request *r)
{
	struct local_watchers *w = local_api_watchers(r->api);
	size_t n = local_may_change(r) ? WATCHERS_MAX : WATCHERS_MAX - WATCHERS_KEPT;
	for (size_t i = 0; i < n; i++) {
		if (w->conns[i])
			continue;
		w->conns[i] = r->conn;
		http_reply_begin(r->conn, 200, "application/json", NULL);
		write_notify(r->node, r->conn);
		return;
	}
	local_reply_error(r->conn, 503, "too many watchers");
}

void local_watchers_tell(struct local_watchers *w)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		/* One that does not read fast enough must ask again: a gap would go unseen. */
		if (w->conns[i] && !write_notify(w->node, w->conns[i]))
			http_server_close(w->conns[i], false);
	}
}

void local_watchers_gone(struct local_watchers *w, struct http_server_conn *c)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (w->conns[i] == c)
			w->conns[i] = NULL;
	}
}

struct local_watchers *local_watchers_new(const struct local_node_ops *node)
{
	struct local_watchers *w = calloc(1, sizeof(*w));
	if (w)
		w->node = node;
	return w;
}
