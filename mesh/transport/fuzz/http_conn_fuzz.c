/* Whole HTTP connections, with and without TLS. First byte: bit 0 our client against a strange server, else
 * our server against a strange client; bit 1 TLS, bit 2 (with TLS) the bytes are what goes over the wire
 * instead of what is inside; bit 3 the stranger reads nothing; bit 4 time passes in the end; bit 5 our client has a body and no upgrade in mind; bit 6 it goes
 * by a proxy, which the strange server is first. Each input once more with
 * short memory. Second byte: into how many pieces the rest is
 * cut. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include "mesh/transport/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	OUR_CLIENT = 1,
	TLS = 2,
	RAW = 4,
	DEAF = 8,
	LATE = 16,
	BODY = 32,
	PROXIED = 64,
	LATE_MS = 120000,
	TURNS = 3,
	HANDSHAKE_TURNS = 400,
	SOURCE_PIECES = 6,
	PIECE = 40000
};

/* --- what outlives an input --- */

struct place {
	struct endpoint at;
	int fd;
	struct tls *server, *client, *other;
	struct proxies *proxies;
};

/* A certificate is made once, and its files are gone at once. */
static const struct place *place(void)
{
	static struct place p = { .fd = -1 };
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[64], key[64], by[96], at[ENDPOINT_TEXT];
	const char *hosts[] = { "fuzz.test" };
	if (p.fd >= 0)
		return &p;
	if (!key_setup() || !mkdtemp(dir))
		abort();
	snprintf(cert, sizeof(cert), "%s/c", dir);
	snprintf(key, sizeof(key), "%s/k", dir);
	p.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	p.fd = sock_tcp_listen(&p.at, NULL);
	if (p.fd < 0 || sock_local(p.fd, &p.at) != 0 || tls_self_signed(cert, key, hosts, 1, NULL) != 0)
		abort();
	p.server = tls_server(cert, key, NULL);
	p.other = tls_server(cert, key, NULL);
	p.client = tls_client("insecure", NULL);
	dir_remove(dir, NULL);
	snprintf(by, sizeof(by), "http://me:secret@%s", endpoint_format(&p.at, at));
	p.proxies = proxies_new(by, by, NULL);
	if (!p.server || !p.client || !p.other || !p.proxies)
		abort();
	tls_server_alpn(p.server, "acme-tls/1", p.other);
	return &p;
}

/* --- a stranger: a socket, or a stream inside TLS --- */

struct stranger {
	struct loop *loop;
	int fd; /* -1: by stream */
	struct stream *stream;
	bool open, deaf;
};

static void stranger_opened(void *arg)
{
	((struct stranger *)arg)->open = true;
}
static void stranger_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
}
static void stranger_closed(void *arg, int code, const char *why)
{
	struct stranger *s = arg;
	if (code && (!why || !*why))
		abort(); /* somebody reads it */
	stream_close(s->stream, false);
	s->stream = NULL;
}
static struct stream_events stranger_events(struct stranger *s)
{
	return (struct stream_events) {
		.opened = stranger_opened, .data = stranger_data, .closed = stranger_closed, .arg = s
	};
}

static void turn(struct loop *l, int n)
{
	while (n--)
		loop_run_once(l);
}

static void hear(struct stranger *s)
{
	char sink[4096];
	while (s->fd >= 0 && !s->deaf && recv(s->fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void say(struct stranger *s, const uint8_t *p, size_t len, size_t pieces)
{
	for (size_t i = 0; i < pieces; i++) {
		size_t from = len * i / pieces, n = len * (i + 1) / pieces - from;
		if (s->fd >= 0)
			(void)!send(s->fd, p + from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		else if (s->stream && n)
			(void)stream_write(s->stream, p + from, n);
		turn(s->loop, TURNS);
		hear(s);
	}
}

static void leave(struct stranger *s)
{
	struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	if (s->fd >= 0) {
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(s->fd);
	}
	if (s->stream)
		setsockopt(stream_fd(s->stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(s->stream, false);
	turn(s->loop, TURNS);
}

/* --- our server --- */

struct site {
	struct http_server_conn *conn, *later;
	struct stream *taken;
	unsigned pieces;
};

static bool next_piece(void *arg, struct buf *out)
{
	struct site *s = arg;
	uint8_t *room = buf_room(out, PIECE);
	if (!room)
		return false;
	memset(room, 'p', PIECE);
	buf_grown(out, PIECE);
	return --s->pieces;
}
static void source_ended(void *arg)
{
	((struct site *)arg)->pieces = 0;
}

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	http_conn_data_set(c, s);
	if (http_conn_data(c) != s)
		abort();
	struct http_source source = { .next = next_piece, .ended = source_ended, .arg = s };
	char path[16] = "";
	(void)http_target_path(head, path, sizeof(path));
	if (!strcmp(path, "/source")) {
		s->pieces = SOURCE_PIECES;
		http_reply_source(c, 200, "text/plain", &source);
	} else if (!strcmp(path, "/chunks")) {
		http_reply_begin(c, 200, NULL, "X: y\r\n");
		(void)http_reply_chunk(c, body, len);
		(void)http_reply_chunk(c, "end", 3);
		http_reply_end(c);
	} else if (!strcmp(path, "/twice")) {
		http_reply(c, 200, NULL, NULL, body, len);
		http_reply(c, 200, NULL, NULL, body, len);
		http_reply_begin(c, 200, NULL, NULL);
		(void)http_reply_chunk(c, "x", 1);
		http_reply_end(c);
	} else if (!strcmp(path, "/over")) {
		http_server_close(c, true);
		http_reply(c, 200, NULL, NULL, body, len);
		http_reply_source(c, 200, "text/plain", &source);
	} else if (!strcmp(path, "/later")) {
		s->later = c;
	} else if (!strcmp(path, "/close")) {
		http_server_close(c, len & 1);
	} else {
		http_reply(c, len ? 200 : 404, "text/plain", NULL, body, len);
	}
}

static void taken_data(void *arg, const uint8_t *p, size_t len)
{
	struct site *s = arg;
	(void)stream_write(s->taken, p, len);
}
static void taken_closed(void *arg, int code, const char *why)
{
	struct site *s = arg;
	(void)code;
	(void)why;
	stream_close(s->taken, true);
	s->taken = NULL;
}

static bool upgrade(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	struct site *s = arg;
	const struct stream_events ev = { .data = taken_data, .closed = taken_closed, .arg = s };
	const char *to = http_header(head, "Upgrade");
	if (!to || strcmp(to, "echo") != 0)
		return false;
	s->conn = NULL;
	s->taken = http_upgrade_take(c, 101, "Upgrade: echo\r\n", &ev);
	return true;
}

static void conn_gone(void *arg, struct http_server_conn *c)
{
	struct site *s = arg;
	if (s->later == c)
		s->later = NULL;
	s->conn = NULL;
}

static int accept_one(struct loop *l, int listener)
{
	for (int i = 0; i < HANDSHAKE_TURNS; i++) {
		int fd = sock_accept(listener, NULL);
		if (fd >= 0)
			return fd;
		turn(l, 1);
	}
	abort();
}

static void against_server(struct loop *l, uint8_t how, const uint8_t *p, size_t len, size_t pieces)
{
	const struct place *at = place();
	struct site site = { 0 };
	struct stranger s = { .loop = l, .fd = -1, .deaf = how & DEAF };
	struct stream_events none = { 0 }, ev = stranger_events(&s);
	struct http_server_ops ops = {
		.request = request, .upgrade = upgrade, .gone = conn_gone, .arg = &site, .body_cap = 4096
	};
	bool inside = (how & TLS) && !(how & RAW);
	int small = 4096, fd[2];
	if (inside) {
		struct stream_target to = {
			.host = "fuzz.test", .port = at->at.port, .at = &at->at, .tls = at->client
		};
		s.stream = stream_connect(l, &to, &ev);
		fd[0] = accept_one(l, at->fd);
	} else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0) {
		s.fd = fd[1];
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
	trouble_begin();
	site.conn =
		http_server_accept(l, stream_accept(l, fd[0], how & TLS ? at->server : NULL, &none), &ops);
	for (int i = 0; inside && s.stream && !s.open && i < HANDSHAKE_TURNS; i++)
		turn(l, 1);
	if (inside && s.stream && s.deaf)
		stream_pause(s.stream, true);
	say(&s, p, len, pieces);
	if (site.later)
		http_reply(site.later, 200, NULL, NULL, "late", 4);
	turn(l, TURNS);
	if (how & LATE)
		trouble_pass_ms(LATE_MS);
	turn(l, TURNS);
	s.deaf = false;
	hear(&s);
	turn(l, TURNS);
	trouble_end();
	leave(&s);
	if (site.conn)
		http_server_close(site.conn, false);
	stream_close(site.taken, false);
	turn(l, TURNS);
}

/* --- our client --- */

struct asked {
	struct http_client *rq;
	struct stream *up;
};
static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)head;
	(void)body;
	(void)len;
	((struct asked *)arg)->rq = NULL;
}
static void failed(void *arg, int code, const char *why)
{
	if (!code || !why || !*why)
		abort();
	((struct asked *)arg)->rq = NULL;
}
static void up_closed(void *arg, int code, const char *why)
{
	struct asked *a = arg;
	(void)code;
	(void)why;
	stream_close(a->up, false);
	a->up = NULL;
}
static void upgraded(
	void *arg, const struct http_head *head, struct stream *s, const uint8_t *leftover, size_t len)
{
	struct asked *a = arg;
	const struct stream_events ev = { .data = stranger_data, .closed = up_closed, .arg = a };
	(void)head;
	(void)leftover;
	(void)len;
	a->rq = NULL;
	a->up = s;
	stream_events_set(s, &ev);
}

static void against_client(struct loop *l, uint8_t how, const uint8_t *p, size_t len, size_t pieces)
{
	const struct place *at = place();
	struct asked a = { 0 };
	struct stranger s = { .loop = l, .fd = -1, .deaf = how & DEAF };
	struct stream_events ev = stranger_events(&s);
	const struct http_client_events events = {
		.done = done, .failed = failed, .upgraded = upgraded, .arg = &a
	};
	struct http_request rq = { .to = { .host = "fuzz.test",
					   .port = at->at.port,
					   .at = &at->at,
					   .proxies = how & PROXIED ? at->proxies : NULL,
					   .tls = how & TLS ? at->client : NULL },
		.method = len & 1 ? "GET" : "HEAD",
		.target = "/x",
		.host = "fuzz.test",
		.extra = "Upgrade: echo\r\nConnection: upgrade\r\n",
		.body_cap = 2048 };
	const struct http_client_events plain = { .done = done, .failed = failed, .arg = &a };
	if (how & BODY) {
		rq.method = "POST";
		rq.extra = NULL;
		rq.body = "a body";
		rq.body_len = 6;
		rq.content_type = "text/plain";
	}
	a.rq = http_request(l, &rq, how & BODY ? &plain : &events);
	int fd = accept_one(l, at->fd);
	if ((how & TLS) && !(how & (RAW | PROXIED))) {
		s.stream = stream_accept(l, fd, at->server, &ev);
		for (int i = 0; s.stream && !s.open && i < HANDSHAKE_TURNS; i++)
			turn(l, 1);
	} else {
		s.fd = fd;
	}
	trouble_begin();
	turn(l, TURNS);
	say(&s, p, len, pieces);
	if (how & LATE)
		trouble_pass_ms(LATE_MS);
	turn(l, TURNS);
	trouble_end();
	leave(&s);
	http_client_cancel(a.rq);
	stream_close(a.up, false);
	turn(l, TURNS);
}

static void http_conn_target(const uint8_t *data, size_t len)
{
	if (len <= 2)
		return;
	struct awake a = awake_loop(loop_new());
	if (data[0] & OUR_CLIENT)
		against_client(a.loop, data[0], data + 2, len - 2, data[1] % 8 + 1);
	else
		against_server(a.loop, data[0], data + 2, len - 2, data[1] % 8 + 1);
	awake_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(http_conn_target, data, len);
}
