#include "mesh/transport/http_carry_inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	DEPTH_MAX = 64, /* calls into the owner on one stack */
	BODY_CAP = 1024 * 1024,
	IDLE_MS = 60000,
	AHEAD_MAX = 256 * 1024, /* bytes kept while a request is being answered */
	HEAD_OUT = 2048,
};

struct http_server_conn {
	struct loop *loop;
	struct stream *stream;
	struct http_server_ops ops;
	struct loop_timer *idle;
	struct http_parse in;
	struct buf ahead;	   /* came behind a request that is still being answered */
	struct http_source source; /* next NULL: none */
	struct loop_timer *turn;   /* of the source; NULL before the first */
	void *data;
	unsigned busy;	/* callbacks on the stack: freeing waits for them */
	bool answering; /* request() was called, its answer is not complete */
	bool pumping, dead, keep_alive, head_only, chunked;
};

static void conn_free(struct http_server_conn *c)
{
	http_parse_fini(&c->in);
	buf_free(&c->ahead);
	free(c);
}

static void http_server_enter(struct http_server_conn *c)
{
	assert(c->busy < DEPTH_MAX);
	c->busy++;
}

/* false when c was freed meanwhile. */
static bool http_server_leave(struct http_server_conn *c)
{
	bool dead = c->dead;
	if (--c->busy == 0 && dead)
		conn_free(c);
	return !dead;
}

static void source_end(struct http_server_conn *c)
{
	struct http_source s = c->source;
	c->source = (struct http_source) { 0 };
	if (c->turn)
		loop_timer_clear(c->turn);
	if (s.ended)
		s.ended(s.arg);
}

/* The owner is told, the stream goes (unless it was taken), c is freed when nobody is inside. */
static void conn_end(struct http_server_conn *c, bool flush)
{
	if (c->dead)
		return;
	http_server_enter(c);
	c->dead = true;
	source_end(c);
	loop_timer_free(c->turn);
	c->turn = NULL;
	if (c->ops.gone)
		c->ops.gone(c->ops.arg, c);
	stream_close(c->stream, flush);
	c->stream = NULL;
	loop_timer_free(c->idle);
	c->idle = NULL;
	http_server_leave(c);
}

static void rearm(struct http_server_conn *c)
{
	loop_timer_set(c->idle, c->ops.idle_ms ? c->ops.idle_ms : IDLE_MS);
}

static void dispatch(struct http_server_conn *c)
{
	const struct http_head *head = &c->in.head;
	c->answering = true;
	c->keep_alive = head->keep_alive;
	c->head_only = !strcmp(head->method, "HEAD");
	loop_timer_clear(c->idle);
	if (head->upgrade && c->ops.upgrade && c->ops.upgrade(c->ops.arg, c, head))
		return;
	if (!c->dead && c->answering)
		c->ops.request(c->ops.arg, c, head, buf_data(&c->in.body), c->in.body.len);
}

static void http_server_refuse(struct http_server_conn *c, long code)
{
	int status = code == ERR_TOO_LARGE     ? (c->in.headers_done ? 413 : 431)
		     : code == ERR_UNSUPPORTED ? 501
					       : 400;
	c->answering = true;
	c->keep_alive = false;
	http_reply(c, status, "text/plain", NULL, http_status_text(status), strlen(http_status_text(status)));
}

/* The head is there. true: the owner has answered it, or c is no more. An answer before the body ends the
 * connection: what would follow is not a request. */
static bool offer_head(struct http_server_conn *c)
{
	c->answering = true;
	c->keep_alive = false;
	c->head_only = !strcmp(c->in.head.method, "HEAD");
	if (c->ops.streamed(c->ops.arg, c, &c->in.head))
		return true;
	c->answering = false;
	return c->dead;
}

/* Takes whole requests out of `ahead` until one is being answered or the bytes are used up. */
static void pump(struct http_server_conn *c)
{
	if (c->pumping)
		return;
	http_server_enter(c);
	c->pumping = true;
	while (!c->dead && !c->answering) {
		if (c->in.complete)
			http_parse_next(&c->in);
		if (!c->ahead.len)
			break;
		bool had_head = c->in.headers_done;
		long used = http_parse_feed(&c->in, buf_data(&c->ahead), c->ahead.len);
		if (used < 0) {
			http_server_refuse(c, used);
			break;
		}
		buf_consume(&c->ahead, (size_t)used);
		if (!had_head && c->in.headers_done && c->ops.streamed && offer_head(c))
			break;
		const char *expect = !had_head && c->in.headers_done && !c->in.complete
					     ? http_header(&c->in.head, "Expect")
					     : NULL;
		if (expect && !strcasecmp(expect, "100-continue"))
			(void)stream_write(c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		if (c->in.complete)
			dispatch(c);
	}
	if (!c->dead && !c->ahead.len)
		buf_free(&c->ahead);
	c->pumping = false;
	http_server_leave(c);
}

static void source_pump(struct http_server_conn *c);

static void http_server_data(void *arg, const uint8_t *p, size_t len)
{
	struct http_server_conn *c = arg;
	if (!buf_append(&c->ahead, p, len)) {
		conn_end(c, false);
		return;
	}
	if (c->ahead.len > AHEAD_MAX / 2 && c->answering)
		stream_pause(c->stream, true);
	pump(c);
}

static void http_server_drained(void *arg)
{
	struct http_server_conn *c = arg;
	if (c->source.next)
		source_pump(c);
}

static void closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	conn_end(arg, false);
}

static void idle_expired(void *arg)
{
	conn_end(arg, false);
}

static size_t body_most(void *arg, const struct http_head *head)
{
	struct http_server_conn *c = arg;
	return c->ops.body_most(c->ops.arg, c, head);
}

struct http_server_conn *http_server_accept(
	struct loop *l, struct stream *s, const struct http_server_ops *ops)
{
	struct http_server_conn *c = s ? calloc(1, sizeof(*c)) : NULL;
	if (c)
		c->idle = loop_timer_new(l, idle_expired, c);
	if (!c || !c->idle) {
		free(c);
		stream_close(s, false);
		return NULL;
	}
	c->loop = l;
	c->stream = s;
	c->ops = *ops;
	c->ahead.cap = AHEAD_MAX;
	c->ahead.secret = true;
	http_parse_init(&c->in, true, ops->body_cap ? ops->body_cap : BODY_CAP);
	c->in.body_most = ops->body_most ? body_most : NULL;
	c->in.arg = c;
	c->in.stop_at_head = ops->streamed;
	stream_secret(s, true);
	stream_events_set(s, &(struct stream_events) { .data = http_server_data,
				     .drained = http_server_drained,
				     .closed = closed,
				     .arg = c });
	rearm(c);
	return c;
}

void http_server_close(struct http_server_conn *c, bool flush)
{
	conn_end(c, flush);
}

struct stream *http_conn_stream(struct http_server_conn *c)
{
	return c->stream;
}
void http_conn_data_set(struct http_server_conn *c, void *d)
{
	c->data = d;
}
void *http_conn_data(const struct http_server_conn *c)
{
	return c->data;
}

/* The answer is complete: the next request, or the end. */
static void http_server_answered(struct http_server_conn *c)
{
	c->answering = false;
	if (!c->keep_alive) {
		conn_end(c, true);
		return;
	}
	rearm(c);
	stream_pause(c->stream, false);
	pump(c);
}

static int write_head(struct http_server_conn *c, int status, const char *content_type, const char *extra,
	const char *length)
{
	struct buf out = { .cap = HEAD_OUT + (extra ? strlen(extra) : 0), .secret = true }; /* cookies */
	bool ok = buf_printf(&out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status)) &&
		  (!content_type || buf_printf(&out, "Content-Type: %s\r\n", content_type)) &&
		  buf_printf(&out, "%s%s%s\r\n", extra ? extra : "", length,
			  c->keep_alive ? "" : "Connection: close\r\n");
	int err = ok ? stream_write(c->stream, buf_data(&out), out.len) : ERR_TOO_LARGE;
	buf_free(&out);
	return err;
}

void http_reply(struct http_server_conn *c, int status, const char *content_type, const char *extra,
	const void *body, size_t len)
{
	char length[48] = "";
	if (c->dead || !c->answering)
		return;
	if (status != 204 && status != 304)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
	int err = write_head(c, status, content_type, extra, length);
	if (!err && len && !c->head_only && length[0])
		err = stream_write(c->stream, body, len);
	if (err)
		conn_end(c, false);
	else
		http_server_answered(c);
}

void http_reply_begin(struct http_server_conn *c, int status, const char *content_type, const char *extra)
{
	if (c->dead || !c->answering)
		return;
	c->chunked = c->in.parser.http_major == 1 && c->in.parser.http_minor >= 1;
	if (!c->chunked)
		c->keep_alive = false;
	(void)write_head(c, status, content_type, extra, c->chunked ? "Transfer-Encoding: chunked\r\n" : "");
}

int http_reply_chunk(struct http_server_conn *c, const void *p, size_t len)
{
	char size[24];
	if (c->dead || !c->answering)
		return ERR_CLOSED;
	if (!len || c->head_only)
		return 0;
	if (!c->chunked)
		return stream_write(c->stream, p, len);
	struct buf out = { 0 };
	int n = snprintf(size, sizeof(size), "%zx\r\n", len);
	int err = buf_append(&out, size, (size_t)n) && buf_append(&out, p, len) && buf_append(&out, "\r\n", 2)
			  ? stream_write(c->stream, buf_data(&out), out.len)
			  : ERR_TOO_LARGE;
	buf_free(&out);
	return err;
}

void http_reply_end(struct http_server_conn *c)
{
	if (c->dead || !c->answering)
		return;
	if (c->chunked && !c->head_only && stream_write(c->stream, "0\r\n\r\n", 5) != 0)
		conn_end(c, false);
	else
		http_server_answered(c);
}

/* As much as may wait, and in one turn of the loop no more than that; the rest when it is out. */
static void source_pump(struct http_server_conn *c)
{
	bool more = true, failed = false;
	size_t made = 0;
	http_server_enter(c);
	while (more && !failed && !c->dead && made < HTTP_AHEAD_MAX &&
		stream_queued(c->stream) < HTTP_AHEAD_MAX) {
		struct buf piece = { 0 };
		more = c->source.next(c->source.arg, &piece);
		made += piece.len;
		failed = http_reply_chunk(c, buf_data(&piece), piece.len) != 0;
		buf_free(&piece);
	}
	if (!http_server_leave(c))
		return;
	if (failed) {
		conn_end(c, false);
	} else if (more) {
		rearm(c);
		if (!stream_queued(c->stream))
			loop_timer_set(c->turn, 0);
	} else {
		source_end(c);
		http_reply_end(c);
	}
}

static void source_turn(void *arg)
{
	source_pump(arg);
}

void http_reply_source(
	struct http_server_conn *c, int status, const char *content_type, const struct http_source *from)
{
	if (c->dead || !c->answering) {
		from->ended(from->arg);
		return;
	}
	c->source = *from;
	if (!c->turn && !(c->turn = loop_timer_new(c->loop, source_turn, c))) {
		conn_end(c, false);
		return;
	}
	http_reply_begin(c, status, content_type, NULL);
	if (!c->dead)
		source_pump(c);
}

struct http_carry *http_carry_take(struct http_server_conn *c)
{
	struct http_parse in;
	struct buf ahead = c->ahead;
	int fd = stream_take(c->stream);
	http_parse_move(&in, &c->in);
	c->stream = NULL;
	c->ahead = (struct buf) { .secret = true };
	conn_end(c, false);
	if (fd >= 0)
		return http_carry_accepted(fd, &in, &ahead);
	http_parse_fini(&in);
	buf_free(&ahead);
	return NULL;
}

struct stream *http_upgrade_take(
	struct http_server_conn *c, int status, const char *extra, const struct stream_events *ev)
{
	struct stream *s = c->stream;
	struct buf rest = c->ahead;
	http_server_enter(c);
	if (status) {
		struct buf out = { .cap = HEAD_OUT };
		if (buf_printf(&out, "HTTP/1.1 %d %s\r\n%s\r\n", status, http_status_text(status),
			    extra ? extra : ""))
			(void)stream_write(s, buf_data(&out), out.len);
		buf_free(&out);
	}
	c->ahead = (struct buf) { 0 };
	c->stream = NULL;
	c->dead = true;
	loop_timer_free(c->idle);
	loop_timer_free(c->turn);
	c->idle = c->turn = NULL;
	http_server_leave(c);
	stream_secret(s, false);
	stream_events_set(s, ev);
	stream_pause(s, false);
	stream_unread(s, buf_data(&rest), rest.len);
	buf_free(&rest);
	return s;
}
