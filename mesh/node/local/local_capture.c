/* debug-capture: packets inside the tunnel, as a stream in pcap's format until the asker leaves, or has as many as it
 * wanted.
 *
 * A packet is copied where it is told and sent from the loop: who tells may not be called back. Who reads too slowly misses
 * packets, which are counted for the log. */
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/capture.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CAPTURES_MAX = 4, HELD_MAX = 1 << 20, HELD_SOON = 128 << 10, AHEAD_MAX = 1 << 20, FLUSH_MS = 50 };

struct capture {
	struct http_server_conn *conn; /* NULL: a free place */
	enum capture_form form;
	struct buf held;
	uint64_t left; /* to be told; UINT64_MAX: without end */
	uint64_t packets, lost;
};
struct local_captures {
	const struct local_node_ops *node;
	struct loop *loop;
	struct loop_timer *flush;
	struct capture v[CAPTURES_MAX];
	size_t n;
};

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Allowed from it: nothing of the node. */
static void packet_told(void *arg, unsigned how, const uint8_t *p, size_t len)
{
	struct local_captures *l = arg;
	int64_t at = now_us();
	bool soon = false;
	for (size_t i = 0; i < CAPTURES_MAX; i++) {
		struct capture *c = &l->v[i];
		if (!c->conn || !c->left)
			continue;
		if (c->held.len + len > HELD_MAX ||
			!capture_packet_write(&c->held, c->form, how, at, p, len)) {
			c->lost++;
			continue;
		}
		c->packets++;
		if (c->left != UINT64_MAX)
			c->left--;
		soon |= c->held.len >= HELD_SOON || !c->left;
	}
	if (soon || !loop_timer_is_set(l->flush))
		loop_timer_set(l->flush, soon ? 0 : FLUSH_MS);
}

static void end(struct local_captures *l, struct capture *c)
{
	log_info("a capture of packets ended: %llu, and %llu that its reader was too slow for",
		(unsigned long long)c->packets, (unsigned long long)c->lost);
	buf_wipe(&c->held);
	*c = (struct capture) { 0 };
	if (--l->n == 0)
		l->node->capture(l->node->arg, NULL, NULL);
}

/* The connection may be gone afterwards. */
static void flush_one(struct local_captures *l, struct capture *c)
{
	struct http_server_conn *conn = c->conn;
	bool whole = !c->left;
	if (stream_queued(http_conn_stream(conn)) > AHEAD_MAX)
		return;
	struct buf held = c->held;
	c->held = (struct buf) { 0 };
	int err = held.len ? http_reply_chunk(conn, buf_data(&held), held.len) : 0;
	buf_wipe(&held);
	if (err) {
		http_server_close(conn, false);
	} else if (whole) {
		end(l, c); /* the connection may ask something else */
		http_reply_end(conn);
	}
}

static void flush_due(void *arg)
{
	struct local_captures *l = arg;
	bool waits = false;
	for (size_t i = 0; i < CAPTURES_MAX; i++) {
		if (l->v[i].conn && (l->v[i].held.len || !l->v[i].left))
			flush_one(l, &l->v[i]);
		waits |= l->v[i].conn && l->v[i].held.len;
	}
	if (waits && !loop_timer_is_set(l->flush))
		loop_timer_set(l->flush, FLUSH_MS);
}

/* What is asked for, as c; false: that cannot be read, and nobody is to wait for an end that does not come. */
static bool read_wish(const struct request *r, struct capture *c)
{
	char text[24];
	*c = (struct capture) { .left = UINT64_MAX };
	if (http_target_query(r->head, "form", text, sizeof(text)) && strcmp(text, "raw") == 0)
		c->form = CAPTURE_RAW;
	enum http_value count = http_target_find(r->head, "count", text, sizeof(text));
	return count == HTTP_VALUE_NONE ||
	       (count == HTTP_VALUE_GOOD && text_u64(text, 1, UINT64_MAX - 1, &c->left));
}

static void begin(struct request *r, struct local_captures *l, struct capture *c, const struct capture *wish)
{
	struct buf head = { 0 };
	*c = *wish;
	c->conn = r->conn;
	if (l->n++ == 0)
		r->node->capture(r->node->arg, packet_told, l);
	http_reply_begin(r->conn, 200, "application/vnd.tcpdump.pcap", NULL);
	bool ok = capture_head_write(&head, c->form) &&
		  http_reply_chunk(r->conn, buf_data(&head), head.len) == 0;
	buf_free(&head);
	if (!ok)
		http_server_close(r->conn, false);
}

void local_capture(struct request *r)
{
	struct local_captures *l = local_api_captures(r->api);
	struct capture wish;
	char who[LOCAL_ASKER];
	if (!local_asker(r, who)) {
		local_reply_error(r->conn, 400, local_asker_unclear);
		return;
	}
	if (!read_wish(r, &wish)) {
		local_reply_error(r->conn, 400, "count= must be how many packets are wanted, 1 at least");
		return;
	}
	for (size_t i = 0; i < CAPTURES_MAX; i++) {
		if (!l->v[i].conn) {
			log_info("%s captures the packets inside the tunnel", who);
			begin(r, l, &l->v[i], &wish);
			return;
		}
	}
	local_reply_error(r->conn, 503, "packets are captured by four others already");
}

void local_captures_gone(struct local_captures *l, struct http_server_conn *conn)
{
	for (size_t i = 0; i < CAPTURES_MAX; i++)
		if (l->v[i].conn == conn)
			end(l, &l->v[i]);
}

struct local_captures *local_captures_new(struct loop *loop, const struct local_node_ops *node)
{
	struct local_captures *l = calloc(1, sizeof(*l));
	if (l)
		*l = (struct local_captures) { .node = node, .loop = loop };
	if (l && !(l->flush = loop_timer_new(loop, flush_due, l))) {
		free(l);
		return NULL;
	}
	return l;
}

void local_captures_free(struct local_captures *l)
{
	if (!l)
		return;
	loop_timer_free(l->flush);
	free(l);
}
