#include "mesh/transport/http_parse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 64, BODY_CAP = 4 * 1024 * 1024, TIMEOUT_MS = 10000 };

struct http_client {
	struct http_client_events ev;
	struct stream *stream;
	struct loop_timer *timer;
	struct http_parse in;
	struct buf out; /* the request, until the stream is open */
	unsigned busy;
	bool dead;
};

static void http_client_enter(struct http_client *c)
{
	assert(c->busy < DEPTH_MAX);
	c->busy++;
}

/* Not inlined: gcc 12 loses count of the nested holds and warns of a use after free. */
__attribute__((noinline)) static void free_client(struct http_client *c)
{
	http_parse_fini(&c->in);
	buf_wipe(&c->out);
	free(c);
}

static void http_client_leave(struct http_client *c)
{
	if (--c->busy == 0 && c->dead)
		free_client(c);
}

/* No event after this. */
static void drop(struct http_client *c)
{
	c->dead = true;
	c->in.chunk = NULL;
	stream_close(c->stream, false);
	c->stream = NULL;
	loop_timer_free(c->timer);
	c->timer = NULL;
}

void http_client_cancel(struct http_client *c)
{
	if (!c || c->dead)
		return;
	drop(c);
	if (!c->busy)
		free_client(c);
}

/* The three ends. Callers have entered. */
static void http_client_fail(struct http_client *c, int code, const char *why)
{
	char text[400];
	if (c->dead)
		return;
	snprintf(text, sizeof(text), "%s", why); /* why may be the stream's */
	drop(c);
	c->ev.failed(c->ev.arg, code, text);
}

static void http_client_finish(struct http_client *c)
{
	drop(c);
	c->ev.done(c->ev.arg, &c->in.head, buf_data(&c->in.body), c->in.body.len);
}

static void hand_over(struct http_client *c, const uint8_t *rest, size_t len)
{
	struct stream *s = c->stream;
	if (!c->ev.upgraded) {
		http_client_fail(c, ERR_UNSUPPORTED, "the server switched protocols unasked");
		return;
	}
	c->stream = NULL;
	drop(c);
	c->ev.upgraded(c->ev.arg, &c->in.head, s, rest, len);
}

static bool is_interim(const struct http_parse *h)
{
	return h->head.status >= 100 && h->head.status < 200 && h->head.status != 101;
}

static void feed(struct http_client *c, const uint8_t *p, size_t len)
{
	for (;;) {
		long used = http_parse_feed(&c->in, p, len);
		if (c->dead)
			return;
		if (used < 0) {
			http_client_fail(c, (int)used,
				used == ERR_TOO_LARGE ? "the server's answer is too large"
				: p		      ? "the server's answer is not HTTP"
				    : "the server closed the connection in the middle of its answer");
			return;
		}
		if (!c->in.complete)
			return;
		p = p ? p + used : NULL;
		len -= (size_t)used;
		if (!is_interim(&c->in))
			break;
		http_parse_next(&c->in);
	}
	if (c->in.head.status == 101)
		hand_over(c, p, len);
	else
		http_client_finish(c);
}

static void opened(void *arg)
{
	struct http_client *c = arg;
	http_client_enter(c);
	int err = stream_write(c->stream, buf_data(&c->out), c->out.len);
	buf_wipe(&c->out);
	if (err)
		http_client_fail(c, err, "send the request: it is too large");
	http_client_leave(c);
}

static void http_client_data(void *arg, const uint8_t *p, size_t len)
{
	struct http_client *c = arg;
	http_client_enter(c);
	feed(c, p, len);
	http_client_leave(c);
}

static void closed(void *arg, int code, const char *why)
{
	struct http_client *c = arg;
	http_client_enter(c);
	/* Some answers end with the connection. */
	if ((code == 0 || code == ERR_CLOSED) && c->in.headers_done && !c->in.complete)
		feed(c, NULL, 0);
	http_client_fail(c, code ? code : ERR_CLOSED,
		code ? why : "the server closed the connection without an answer");
	http_client_leave(c);
}

static void http_client_timed_out(void *arg)
{
	struct http_client *c = arg;
	http_client_enter(c);
	http_client_fail(c, -ETIMEDOUT, "the server did not answer in time");
	http_client_leave(c);
}

static bool has_line(const char *extra, const char *name)
{
	size_t len = strlen(name);
	for (const char *p = extra; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncasecmp(p, name, len))
			return true;
	return false;
}

/* What would begin another word, or line, of the head. */
static bool is_word(const char *text)
{
	while (*text && (unsigned char)*text > ' ' && *text != 0x7f)
		text++;
	return !*text;
}

static bool write_request(struct buf *out, const struct http_request *rq)
{
	const char *extra = rq->extra ? rq->extra : "";
	bool ok = is_word(rq->target) && is_word(rq->host ? rq->host : "") &&
		  buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", rq->method, rq->target,
			  rq->host ? rq->host : "localhost", extra);
	if (!has_line(extra, "Connection:"))
		ok = ok && buf_printf(out, "Connection: close\r\n");
	if (rq->content_type)
		ok = ok && buf_printf(out, "Content-Type: %s\r\n", rq->content_type);
	if (rq->body_len || !strcmp(rq->method, "PATCH") || !strcmp(rq->method, "PUT") ||
		(!strcmp(rq->method, "POST") && !has_line(extra, "Upgrade:")))
		ok = ok && buf_printf(out, "Content-Length: %zu\r\n", rq->body_len);
	return ok && buf_append(out, "\r\n", 2) && buf_append(out, rq->body, rq->body_len);
}

struct http_client *http_request(
	struct loop *l, const struct http_request *rq, const struct http_client_events *ev)
{
	struct http_client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	const struct stream_events sev = {
		.opened = opened, .data = http_client_data, .closed = closed, .arg = c
	};
	c->ev = *ev;
	c->out.secret = true; /* keys, cookies */
	http_parse_init(&c->in, false, rq->body_cap ? rq->body_cap : BODY_CAP);
	c->in.no_body = !strcmp(rq->method, "HEAD");
	c->in.chunk = ev->chunk;
	c->in.arg = ev->arg;
	c->timer = loop_timer_new(l, http_client_timed_out, c);
	if (c->timer && write_request(&c->out, rq))
		c->stream = rq->unix_path ? stream_connect_unix(l, rq->unix_path, &sev)
					  : stream_connect(l, &rq->to, &sev);
	if (!c->stream) {
		http_client_cancel(c);
		return NULL;
	}
	if (rq->body_len)
		stream_queue_cap(c->stream, c->out.len + 1024);
	if (rq->timeout_ms != UINT64_MAX)
		loop_timer_set(c->timer, rq->timeout_ms ? rq->timeout_ms : TIMEOUT_MS);
	return c;
}
