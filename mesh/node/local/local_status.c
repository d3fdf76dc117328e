/* status: a network may have many machines, so they are written as the asker takes them, of the map that
 * there was when it asked; how each is reached is told as of the moment when it is written. */
#include "mesh/node/local/local_request.h"
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 32 * 1024 };

struct status_source {
	const struct local_node_ops *node;
	struct netmap *map; /* NULL: no peers are told */
	size_t at;
	bool begun, first;
};

static bool write_begin(const struct local_node_ops *node, struct buf *out)
{
	struct arena a = { 0 };
	struct api_status s;
	node->status(node->arg, &a, &s);
	bool ok = api_status_write_begin(out, &s);
	arena_free(&a);
	return ok;
}

static bool write_next_peer(struct status_source *s, struct buf *out)
{
	struct arena a = { 0 };
	struct api_peer p;
	s->node->status_peer(s->node->arg, s->map->peers[s->at++], &a, &p);
	bool ok = api_status_write_peer(out, &p, &s->first);
	arena_free(&a);
	return ok;
}

/* Short of memory it ends in the middle: no JSON, which the asker notices. */
static bool status_next(void *arg, struct buf *out)
{
	struct status_source *s = arg;
	bool ok = s->begun || write_begin(s->node, out);
	s->begun = true;
	while (ok && s->map && s->at < s->map->n_peers) {
		if (out->len >= PIECE_BYTES)
			return true;
		ok = write_next_peer(s, out);
	}
	if (ok)
		(void)api_status_write_end(out);
	return false;
}

static void status_ended(void *arg)
{
	struct status_source *s = arg;
	netmap_put(s->map);
	free(s);
}

void local_status(struct request *r)
{
	char peers[8];
	bool with = !http_target_query(r->head, "peers", peers, sizeof(peers)) || strcmp(peers, "false") != 0;
	struct status_source *s = malloc(sizeof(*s));
	if (!s) {
		local_reply_error(r->conn, 500, "memory is short");
		return;
	}
	*s = (struct status_source) { .node = r->node, .first = true };
	struct netmap *m = with ? r->node->map(r->node->arg) : NULL;
	if (m)
		s->map = netmap_get(m);
	struct http_source from = { .next = status_next, .ended = status_ended, .arg = s };
	http_reply_source(r->conn, 200, "application/json", &from);
}

void local_metrics(struct request *r)
{
	struct buf b = { 0 };
	if (r->node->metrics(r->node->arg, &b))
		http_reply(
			r->conn, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_data(&b), b.len);
	else
		local_reply_error(r->conn, 500, "memory is short");
	buf_free(&b);
}
