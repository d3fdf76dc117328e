/* A stream's way through an HTTP proxy: CONNECT is said on the socket, and what the proxy answers decides whether the stream
 * goes on as if the socket were the host's own. RFC 9110 9.3.6, RFC 7617. */
#include "mesh/transport/stream_inner.h"

#include "mesh/transport/http_parse.h"
#include "mesh/transport/io.h"
#include "mesh/transport/proxy.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ANSWER_MAX = 2 * HTTP_HEAD_BYTES_MAX /* of all its answers, interim ones with the last */ };

struct tunnel {
	const struct proxy *by; /* borrowed */
	struct buf ask;		/* what of the request is still to be sent */
	struct http_parse answer;
	size_t heard;
};

/* "HOST:PORT" as a request has it. */
static bool write_ask(struct buf *out, const struct proxy *by, const char *host, uint16_t port)
{
	bool v6 = strchr(host, ':');
	const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
	return buf_printf(out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open, host, close, port,
		       open, host, close, port) &&
	       (!by->auth[0] || buf_printf(out, "Proxy-Authorization: Basic %s\r\n", by->auth)) &&
	       buf_append(out, "\r\n", 2);
}

struct tunnel *stream_tunnel_new(const struct proxy *by, const char *host, uint16_t port)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->by = by;
	t->ask.secret = true;
	http_parse_init(&t->answer, false, 0);
	t->answer.no_body = true;
	if (!write_ask(&t->ask, by, host, port)) {
		stream_tunnel_free(t);
		return NULL;
	}
	return t;
}

void stream_tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	buf_wipe(&t->ask);
	http_parse_fini(&t->answer);
	free(t);
}

const struct proxy *stream_tunnel_by(const struct tunnel *t)
{
	return t->by;
}

static void tunnel_fail(struct stream *s, int code, const char *what)
{
	char why[400], text[PROXY_TEXT];
	snprintf(why, sizeof(why), "the proxy %.200s %s", proxy_text(s->dial->tunnel->by, text), what);
	stream_end(s, code, why);
}

void stream_tunnel_timed_out(struct stream *s)
{
	tunnel_fail(s, -ETIMEDOUT, "did not answer in time");
}

/* Whether it takes Basic; a proxy that does not say what it takes may. */
static bool takes_basic(const struct http_head *head)
{
	bool named = false;
	for (size_t i = 0; i < head->n_headers; i++) {
		const char *value = head->headers[i].value;
		if (strcasecmp(head->headers[i].name, "Proxy-Authenticate") != 0)
			continue;
		named = true;
		if (strcasestr(value, "basic"))
			return true;
	}
	return !named;
}

static void refused(struct stream *s, const struct http_head *head)
{
	const struct proxy *by = s->dial->tunnel->by;
	char what[400];
	if (head->status != 407)
		snprintf(what, sizeof(what), "answers %d %s when asked for %.120s port %u", head->status,
			http_status_text(head->status), s->dial->host, s->dial->port);
	else if (!takes_basic(head))
		snprintf(what, sizeof(what),
			"wants a login of a kind that is not known here (407): only Basic is");
	else if (by->auth[0])
		snprintf(what, sizeof(what), "does not take the user and password of %s (407): correct them",
			by->variable);
	else
		snprintf(what, sizeof(what),
			"wants a user and a password (407): set %s to http://USER:PASSWORD@HOST:PORT",
			by->variable);
	tunnel_fail(s, ERR_REFUSED, what);
}

/* false: s has gone on, or is at its end. */
static bool heard(struct stream *s, const uint8_t *p, size_t len)
{
	struct tunnel *t = s->dial->tunnel;
	t->heard += len;
	while (len) {
		long used = t->heard > ANSWER_MAX ? ERR_TOO_LARGE : http_parse_feed(&t->answer, p, len);
		if (used < 0) {
			tunnel_fail(s, (int)used,
				used == ERR_TOO_LARGE ? "gives too long an answer" : "does not speak HTTP");
			return false;
		}
		if (!t->answer.complete)
			return true;
		p += used;
		len -= (size_t)used;
		if (t->answer.head.status >= 200)
			break;
		http_parse_next(&t->answer);
	}
	if (!t->answer.complete)
		return true;
	if (t->answer.head.status >= 300)
		refused(s, &t->answer.head);
	else if (len)
		/* Hosts that are reached so never speak first: it is the proxy's own. */
		tunnel_fail(s, ERR_MALFORMED, "sends more than its answer");
	else
		stream_connected(s);
	return false;
}

/* Blocked, or over: then why is told and s at its end. */
static enum io send_ask(struct stream *s)
{
	struct tunnel *t = s->dial->tunnel;
	struct io_end e = { 0 };
	while (t->ask.len) {
		size_t n = 0;
		enum io io = io_write(s->fd, NULL, buf_data(&t->ask), t->ask.len, &n, &e);
		if (io == IO_END)
			tunnel_fail(
				s, e.code ? e.code : ERR_CLOSED, "closed the connection without an answer");
		if (io != IO_SOME)
			return io;
		buf_consume(&t->ask, n);
	}
	buf_wipe(&t->ask);
	return IO_SOME;
}

void stream_tunnel_step(struct stream *s)
{
	uint8_t chunk[4096];
	struct io_end e = { 0 };
	size_t n = 0;
	enum io io = send_ask(s);
	if (io == IO_END)
		return;
	s->want = io == IO_BLOCKED ? LOOP_WRITE : LOOP_READ;
	stream_watch_for(s);
	if (io == IO_BLOCKED)
		return;
	io = io_read(s->fd, NULL, chunk, sizeof(chunk), &n, &e);
	if (n && !heard(s, chunk, n))
		return;
	if (io == IO_END)
		tunnel_fail(s, e.code ? e.code : ERR_CLOSED,
			s->dial->tunnel->heard ? "closed the connection in the middle of its answer"
					       : "closed the connection without an answer");
}

void stream_tunnel_begin(struct stream *s)
{
	uint64_t now = loop_now_ms(s->loop);
	s->state = TUNNELLING;
	loop_timer_set(s->timer, s->dial->deadline_ms > now ? s->dial->deadline_ms - now : 0);
	stream_tunnel_step(s);
}
