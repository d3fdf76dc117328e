#include "simnet/service/service.h"

#include "mesh/base/buf.h"
#include "mesh/os/resolve.h"
#include "mesh/os/sock.h"
#include "simnet/service/http_head.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection goes HEAD -> (WAITING ->) ANSWERED for HTTP, HEAD -> LOOKUP -> CONNECTING -> TUNNEL for the proxy, and
 * is a TUNNEL with itself for the echo. What one end sends waits in the other's `out`; while that holds OUT_FULL no
 * more is read, so nothing is lost and nothing grows. */
enum { CONNS_OPEN_MAX = 256, OUT_FULL = 64 * 1024, READ_BYTES = 16 * 1024, ACCEPTS_AT_ONCE = 32 };
enum stream_state {
	STREAM_HEAD,
	STREAM_WAITING,	   /* slow: the answer is written when the timer is due */
	STREAM_ANSWERED,   /* closes when `out` is empty */
	STREAM_LOOKUP,	   /* the proxy asks for the name */
	STREAM_CONNECTING, /* and connects */
	STREAM_TUNNEL
};
enum { CLIENT, UPSTREAM, ENDS };

struct stream_end {
	struct stream_conn *conn;
	int which;
	int fd; /* -1 = none, or it has been closed */
	struct loop_fd *watch;
	struct buf out; /* waits to be written to it */
	bool ended;	/* it says no more */
	bool shut;	/* and is told no more */
};
struct stream_conn {
	struct stream_service *service;
	struct stream_conn *next;
	struct endpoint from;
	enum stream_state state;
	struct stream_end ends[ENDS];
	struct buf head;
	struct resolve *lookup;
	struct loop_timer *timer;
	unsigned port;
	uint64_t sent; /* to the client */
};
struct stream_service {
	struct service *service;
	struct stream_answer answer; /* of portmap */
	int fd;
	struct loop_fd *watch;
	struct stream_conn *conns;
	size_t n;
};

static bool watch_end(struct stream_end *e);

static void conn_close(struct stream_conn *c)
{
	struct stream_conn **at = &c->service->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->service->n--;
	for (int i = 0; i < ENDS; i++) {
		loop_fd_free(c->ends[i].watch);
		if (c->ends[i].fd >= 0)
			close(c->ends[i].fd);
		buf_free(&c->ends[i].out);
	}
	buf_free(&c->head);
	resolve_cancel(c->lookup);
	loop_timer_free(c->timer);
	free(c);
}

/* ---- bytes ---- */

/* false: the connection is over. */
static bool flush_end(struct stream_conn *c, int which)
{
	struct stream_end *e = &c->ends[which];
	uint64_t cut = which == CLIENT ? c->service->service->faults.cut_bytes : 0;

	while (e->fd >= 0 && e->out.len) {
		size_t n = e->out.len;
		if (cut && n > cut - c->sent)
			n = cut - c->sent;
		ssize_t done = send(e->fd, buf_data(&e->out), n, MSG_NOSIGNAL);
		if (done < 0)
			return errno == EAGAIN;
		buf_consume(&e->out, (size_t)done);
		if (which == CLIENT)
			c->sent += (uint64_t)done;
		if (cut && which == CLIENT && c->sent >= cut)
			return false;
	}
	return true;
}

static int other_end(const struct stream_conn *c, int which)
{
	return c->service->service->kind == SERVICE_ECHO ? which : 1 - which;
}

static void watch_ends(struct stream_conn *c)
{
	for (int i = 0; i < ENDS; i++) {
		struct stream_end *e = &c->ends[i];
		const struct stream_end *to = &c->ends[other_end(c, i)];
		bool reads = c->state == STREAM_HEAD || (c->state == STREAM_TUNNEL && to->out.len < OUT_FULL);
		if (e->watch)
			loop_fd_set(e->watch,
				(reads && !e->ended ? LOOP_READ : 0) |
					(e->out.len || (i == UPSTREAM && c->state == STREAM_CONNECTING)
							? LOOP_WRITE
							: 0));
	}
}

/* Who has said all he will is told to the other when that has heard it; false: all have. */
static bool pass_ends_on(struct stream_conn *c)
{
	unsigned open = 0;

	for (int i = 0; i < ENDS; i++) {
		struct stream_end *e = &c->ends[i], *to = &c->ends[other_end(c, i)];
		if (e->fd < 0)
			continue;
		open += !e->ended || to->out.len;
		if (e->ended && !to->out.len && !to->shut && to->fd >= 0) {
			to->shut = true;
			(void)shutdown(to->fd, SHUT_WR);
		}
	}
	return open;
}

/* Writes what waits, and looks whether it is over; c may be gone. */
static void conn_settle(struct stream_conn *c)
{
	bool good = flush_end(c, CLIENT) && flush_end(c, UPSTREAM);

	if (good && c->state == STREAM_ANSWERED && !c->ends[CLIENT].out.len)
		good = false;
	if (good && c->state == STREAM_TUNNEL)
		good = pass_ends_on(c);
	if (good)
		watch_ends(c);
	else
		conn_close(c);
}

static void say(struct stream_conn *c, unsigned status, const char *fields, const char *body)
{
	buf_printf(&c->ends[CLIENT].out,
		"HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", status,
		status < 300   ? "OK"
		: status < 400 ? "Found"
			       : "Error",
		strlen(body), fields, body);
	c->state = STREAM_ANSWERED;
	conn_settle(c);
}

/* ---- HTTP ---- */

static void answer_http(void *arg)
{
	struct stream_conn *c = arg;
	const struct faults *f = &c->service->service->faults;
	char fields[FAULT_TEXT + 32] = "", body[HTTP_TARGET_MAX + 160] = "", text[ENDPOINT_TEXT];
	struct http_head h = { 0 };

	(void)http_head_read((const char *)buf_data(&c->head), c->head.len, &h);
	unsigned status = f->status			       ? f->status
			  : *f->redirect		       ? 302
			  : !strcmp(h.target, "/generate_204") ? 204
							       : 200;
	if (*f->redirect)
		snprintf(fields, sizeof(fields), "Location: %s\r\n", f->redirect);
	if (status == 200)
		snprintf(body, sizeof(body), "%s says to %s: %s %s\n", service_kind_name(SERVICE_HTTP),
			endpoint_format(&c->from, text), h.method, h.target);
	say(c, status, fields, body);
}

/* ---- portmap ---- */

static void answer_portmap(void *arg)
{
	struct stream_conn *c = arg;
	const struct stream_answer *answer = &c->service->answer;
	struct http_head h = { 0 };
	struct endpoint own = { 0 };
	struct buf body = { 0 };

	(void)http_head_read((const char *)buf_data(&c->head), c->head.len, &h);
	(void)sock_local(c->ends[CLIENT].fd, &own);
	struct stream_asked rq = {
		.from = c->from, .own = own.ip, .head = &h, .body = (const char *)buf_data(&c->head) + h.len
	};
	unsigned status = answer->say(answer->arg, &rq, &body);
	say(c, status, "Content-Type: text/xml; charset=\"utf-8\"\r\n", buf_cstr(&body));
	buf_free(&body);
}

/* Its requests have a body, which comes after the head. */
static bool is_whole(const struct stream_conn *c, const struct http_head *h)
{
	return c->service->service->kind != SERVICE_PORTMAP || c->head.len - h->len >= h->body_len;
}

/* ---- the proxy ---- */

static void lookup_done(void *arg, int code, const struct endpoint *at, size_t n, const char *why)
{
	struct stream_conn *c = arg;
	struct errbuf eb = { 0 };
	(void)why;

	c->lookup = NULL;
	if (code || !n) {
		say(c, 502, "", "no such host\n");
		return;
	}
	struct endpoint to = at[0];
	to.port = (uint16_t)c->port;
	c->ends[UPSTREAM].fd = sock_tcp_connect(&to, &eb);
	if (c->ends[UPSTREAM].fd < 0) {
		say(c, 502, "", "no way there\n");
		return;
	}
	c->state = STREAM_CONNECTING;
	if (watch_end(&c->ends[UPSTREAM]))
		watch_ends(c);
	else
		conn_close(c);
}

static void answer_proxy(void *arg)
{
	struct stream_conn *c = arg;
	const struct faults *f = &c->service->service->faults;
	char host[256];
	struct http_head h = { 0 };

	(void)http_head_read((const char *)buf_data(&c->head), c->head.len, &h);
	if (*f->auth && !http_basic_is(h.proxy_auth, f->auth)) {
		say(c, 407, "Proxy-Authenticate: Basic realm=\"simnet\"\r\n", "who are you?\n");
	} else if (strcmp(h.method, "CONNECT") != 0) {
		say(c, 405, "Allow: CONNECT\r\n", "CONNECT alone\n");
	} else if (!http_authority(h.target, host, sizeof(host), &c->port)) {
		say(c, 400, "", "CONNECT takes HOST:PORT\n");
	} else if (*f->only && !faults_name_in(f->only, host)) {
		say(c, 403, "", "not there\n");
	} else {
		c->state = STREAM_LOOKUP;
		c->lookup = resolve_start(c->service->service->loop, host, lookup_done, c);
		if (c->lookup)
			watch_ends(c);
		else
			conn_close(c);
	}
}

/* What the client sent behind its head goes first. */
static void open_tunnel(struct stream_conn *c)
{
	static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct http_head h = { 0 };

	(void)http_head_read((const char *)buf_data(&c->head), c->head.len, &h);
	if (!buf_append(&c->ends[CLIENT].out, yes, sizeof(yes) - 1) ||
		!buf_append(&c->ends[UPSTREAM].out, buf_data(&c->head) + h.len, c->head.len - h.len)) {
		conn_close(c);
		return;
	}
	c->state = STREAM_TUNNEL;
	conn_settle(c);
}

/* ---- events ---- */

static void head_received(struct stream_conn *c)
{
	struct service *s = c->service->service;
	struct http_head h;
	enum http_head_state state = http_head_read((const char *)buf_data(&c->head), c->head.len, &h);

	void (*answer)(void *) = s->kind == SERVICE_PROXY     ? answer_proxy
				 : s->kind == SERVICE_PORTMAP ? answer_portmap
							      : answer_http;

	if (state == HTTP_HEAD_BAD) {
		say(c, 400, "", "that is no request\n");
	} else if (state == HTTP_HEAD_DONE && is_whole(c, &h)) {
		c->state = STREAM_WAITING;
		if (s->faults.dead) /* heard, and never answered */
			watch_ends(c);
		else if (c->timer || (c->timer = loop_timer_new(s->loop, answer, c)))
			loop_timer_set(c->timer, s->faults.slow_ms), watch_ends(c);
		else
			conn_close(c);
	} else if (c->ends[CLIENT].ended) {
		conn_close(c);
	} else {
		watch_ends(c);
	}
}

static void end_read(struct stream_end *e)
{
	struct stream_conn *c = e->conn;
	uint8_t bytes[READ_BYTES];
	ssize_t n = recv(e->fd, bytes, sizeof(bytes), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	e->ended = n <= 0;
	if (c->state == STREAM_HEAD) {
		if (n > 0 && !buf_append(&c->head, bytes, (size_t)n))
			say(c, 400, "", "that is too long\n");
		else
			head_received(c);
		return;
	}
	bool kept = n <= 0 || c->service->service->faults.dead ||
		    buf_append(&c->ends[other_end(c, e->which)].out, bytes, (size_t)n);
	if (kept)
		conn_settle(c);
	else
		conn_close(c);
}

static void end_ready(void *arg, int events)
{
	struct stream_end *e = arg;
	struct stream_conn *c = e->conn;

	if (c->state == STREAM_CONNECTING && e->which == UPSTREAM) {
		if (sock_error(e->fd) == 0)
			open_tunnel(c);
		else
			say(c, 502, "", "nobody answers there\n");
	} else if (events & LOOP_READ) {
		end_read(e);
	} else {
		conn_settle(c);
	}
}

static bool watch_end(struct stream_end *e)
{
	e->watch = loop_fd_new(e->conn->service->service->loop, e->fd, end_ready, e);
	return e->watch;
}

static void accept_streams(void *arg, int events)
{
	struct stream_service *t = arg;
	(void)events;

	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct endpoint from;
		int fd = sock_accept(t->fd, &from);
		if (fd < 0)
			return;
		struct stream_conn *c = t->n < CONNS_OPEN_MAX ? calloc(1, sizeof(*c)) : NULL;
		if (!c) {
			close(fd);
			continue;
		}
		*c = (struct stream_conn) {
			.service = t, .next = t->conns, .from = from, .head = { .cap = HTTP_HEAD_MAX }
		};
		for (int k = 0; k < ENDS; k++)
			c->ends[k] =
				(struct stream_end) { .conn = c, .which = k, .fd = k == CLIENT ? fd : -1 };
		c->state = t->service->kind == SERVICE_ECHO ? STREAM_TUNNEL : STREAM_HEAD;
		t->conns = c;
		t->n++;
		if (watch_end(&c->ends[CLIENT]))
			watch_ends(c);
		else
			conn_close(c);
	}
}

struct stream_service *stream_service_open(
	struct service *s, const struct endpoint *at, const struct stream_answer *answer, struct errbuf *eb)
{
	struct stream_service *t = calloc(1, sizeof(*t));

	if (!t) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*t = (struct stream_service) { .service = s, .fd = sock_tcp_listen(at, eb) };
	if (answer)
		t->answer = *answer;
	if (t->fd >= 0 && !(t->watch = loop_fd_new(s->loop, t->fd, accept_streams, t)))
		err_say(eb, -ENOMEM, "out of memory");
	if (!t->watch) {
		stream_service_close(t);
		return NULL;
	}
	loop_fd_set(t->watch, LOOP_READ);
	return t;
}

void stream_service_close(struct stream_service *t)
{
	if (!t)
		return;
	for (struct stream_conn *c = t->conns, *next; c; c = next) {
		next = c->next;
		conn_close(c);
	}
	loop_fd_free(t->watch);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}
