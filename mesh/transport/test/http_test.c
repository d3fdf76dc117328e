#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include "mesh/transport/test/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* A server whose answers depend on the path, driven by raw bytes or by the client. */
struct site {
	struct loop *loop;
	struct http_server_conn *conn, *waiting;
	struct stream *taken;
	struct buf got; /* bytes after an upgrade */
	int requests, gone;
	struct endpoint at;
	int fd;
	struct loop_fd *watch;
	struct http_server_conn *made_for;
	size_t made, ended;
};

enum { SOURCE_PIECE = 10000, SOURCE_BYTES = 1000 * SOURCE_PIECE };

/* More than any queue takes; made no faster than it is taken. */
static bool next_piece(void *arg, struct buf *out)
{
	static const uint8_t zeros[SOURCE_PIECE];
	struct site *s = arg;
	assert_true(stream_queued(http_conn_stream(s->made_for)) < HTTP_AHEAD_MAX);
	assert_true(buf_append(out, zeros, SOURCE_PIECE));
	s->made += SOURCE_PIECE;
	return s->made < SOURCE_BYTES;
}

static void source_ended(void *arg)
{
	((struct site *)arg)->ended++;
}

static void on_request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	char path[64], q[32] = "";
	s->requests++;
	assert_true(http_target_path(head, path, sizeof(path)));
	if (!strcmp(path, "/echo")) {
		http_reply(c, 200, "text/plain", "X-Mark: yes\r\n", body, len);
	} else if (!strcmp(path, "/query")) {
		(void)http_target_query(head, "q", q, sizeof(q));
		http_reply(c, 200, NULL, NULL, q, strlen(q));
	} else if (!strcmp(path, "/header")) {
		const char *v = http_header(head, "x-MARK");
		http_reply(c, 200, NULL, NULL, v ? v : "none", v ? strlen(v) : 4);
	} else if (!strcmp(path, "/chunks")) {
		http_reply_begin(c, 200, "text/plain", NULL);
		for (int i = 0; i < 3; i++)
			assert_int_equal(http_reply_chunk(c, "chunk", 5), 0);
		http_reply_end(c);
	} else if (!strcmp(path, "/source")) {
		struct http_source from = { .next = next_piece, .ended = source_ended, .arg = s };
		s->made_for = c;
		http_reply_source(c, 200, "text/plain", &from);
	} else if (!strcmp(path, "/later")) {
		s->waiting = c;
	} else {
		http_reply(c, 404, "text/plain", NULL, "no", 2);
	}
	/* Valid until the end of the call, also after an answer. */
	assert_non_null(head->method);
	assert_true(!len || body[0] != 1);
}

static void on_data(void *arg, const uint8_t *p, size_t len)
{
	struct site *s = arg;
	assert_true(buf_append(&s->got, p, len));
	loop_stop(s->loop);
}

static void on_closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	loop_stop(((struct site *)arg)->loop);
}

static bool on_upgrade(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	struct site *s = arg;
	if (strcmp(http_header(head, "upgrade"), "test") != 0)
		return false;
	struct stream_events ev = { .data = on_data, .closed = on_closed, .arg = s };
	s->taken = http_upgrade_take(c, 101, "Upgrade: test\r\nConnection: upgrade\r\n", &ev);
	assert_int_equal(stream_write(s->taken, "first", 5), 0);
	return true;
}

static void on_gone(void *arg, struct http_server_conn *c)
{
	struct site *s = arg;
	(void)c;
	s->gone++;
	s->conn = NULL;
	loop_stop(s->loop);
}

static struct http_server_ops site_ops(struct site *s)
{
	return (struct http_server_ops) {
		.request = on_request, .upgrade = on_upgrade, .gone = on_gone, .arg = s, .body_cap = 100000
	};
}

static void on_accept(void *arg, int what)
{
	struct site *s = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = site_ops(s);
	(void)what;
	int fd = sock_accept(s->fd, NULL);
	s->conn = http_server_accept(s->loop, stream_accept(s->loop, fd, NULL, &none), &ops);
	assert_non_null(s->conn);
}

static void site_start(struct site *s)
{
	s->loop = loop_new();
	s->fd = scratch_listen(&s->at);
	s->watch = loop_fd_new(s->loop, s->fd, on_accept, s);
	loop_fd_set(s->watch, LOOP_READ);
}

static void site_stop(struct site *s)
{
	stream_close(s->taken, false);
	buf_free(&s->got);
	loop_fd_free(s->watch);
	close(s->fd);
	loop_free(s->loop);
}

/* Sends `in` to a fresh connection in pieces of `step` bytes; returns all that comes back until the server
 * closes. */
static char *exchange(struct site *s, const char *in, size_t len, size_t step)
{
	struct buf out = { 0 };
	char chunk[4096];
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&s->at, false, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	int before = s->gone;
	while (!s->conn)
		loop_run_once(s->loop);
	for (size_t at = 0; at < len && s->gone == before; at += step) {
		size_t k = len - at < step ? len - at : step;
		(void)!send(fd, in + at, k, MSG_NOSIGNAL);
		loop_run_once(s->loop);
	}
	shutdown(fd, SHUT_WR);
	while (s->gone == before)
		loop_run_once(s->loop);
	for (;;) {
		ssize_t got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (got == 0)
			break;
		if (got < 0)
			loop_run_once(s->loop);
		else
			assert_true(buf_append(&out, chunk, (size_t)got));
	}
	close(fd);
	char *text = strdup(buf_cstr(&out));
	buf_free(&out);
	return text;
}

static void test_server(void **state)
{
	static const struct {
		const char *in;
		int requests;
		const char *want[4];
	} rows[] = {
		{ "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1,
			{ "HTTP/1.1 200 OK\r\n", "X-Mark: yes\r\n", "Content-Length: 0\r\n",
				"Connection: close\r\n" } },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET /nothing "
		  "HTTP/1.1\r\nHost: x\r\n"
		  "Connection: close\r\n\r\n",
			2, { "Content-Length: 4\r\n\r\nbody", "HTTP/1.1 404 Not Found\r\n" } },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
			1, { "\r\n\r\nabcde" } },
		{ "GET /chunks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1,
			{ "chunked\r\n", "5\r\nchunk\r\n5\r\nchunk\r\n5\r\nchunk\r\n0\r\n\r\n" } },
		{ "GET /chunks HTTP/1.0\r\nHost: x\r\n\r\n", 1, { "\r\n\r\nchunkchunkchunk" } },
		{ "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1,
			{ "Content-Length: 0\r\n" } },
		{ "GET /query?a=1&q=b%20c+d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1,
			{ "\r\n\r\nb c d" } },
		{ "GET http://x/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, { "200 OK" } },
		{ "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n", 1,
			{ "200 OK" } },
		{ "GET /header HTTP/1.1\r\nX-Empty:\r\nx-mark: right \r\nX-Also-Empty: \r\nCONNECTION: "
		  "Close\r\n\r\n",
			1, { "\r\n\r\nright" } },
		{ "GET /header HTTP/1.1\r\nX-Mark: folded\r\n\tline\r\nConnection: close\r\n\r\n", 1,
			{ "200 OK", "folded", "line" } },
		{ "GET /header HTTP/1.1\nX-Mark: bare\nConnection: close\n\n", 1, { "\r\n\r\nbare" } },
		{ "GET /header HTTP/1.1\r\nX-Mark : space\r\nConnection: close\r\n\r\n", 0, { "400" } },
		{ "get /header HTTP/1.1\r\n\r\n", 0, { "400" } },
		{ "GET /header HTTP/2.0\r\nConnection: close\r\n\r\n", 0, { "400" } },
		{ "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 0, { "400" } },
		{ "POST /echo HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", 0, { "400" } },
		{ "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 0, { "400" } },
		{ "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 0,
			{ "400" } },
		{ "nonsense\r\n\r\n", 0, { "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n" } },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 0, { "501" } },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0,
			{ "400" } },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
		  "chunked\r\n\r\nab",
			0, { "400" } },
	};
	static const size_t steps[] = { 1, 7, 100000 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
			struct site s = { 0 };
			site_start(&s);
			char *out = exchange(&s, rows[i].in, strlen(rows[i].in), steps[j]);
			for (size_t k = 0; k < ARRAY_LEN(rows[i].want) && rows[i].want[k]; k++)
				if (!strstr(out, rows[i].want[k]))
					fail_msg("row %zu step %zu: no %s in %s", i, steps[j],
						rows[i].want[k], out);
			if (s.requests != rows[i].requests || s.gone != 1)
				fail_msg("row %zu step %zu: %d requests, gone %d", i, steps[j], s.requests,
					s.gone);
			free(out);
			site_stop(&s);
		}
}

/* Asked to, the server says that it will take the body, unless the body is there already. */
static void test_continue(void **state)
{
	static const char in[] = "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: "
				 "2\r\nConnection: close\r\n\r\nhi";
	(void)state;
	for (size_t step = 1; step <= sizeof(in); step += sizeof(in) - 1) {
		struct site s = { 0 };
		site_start(&s);
		char *out = exchange(&s, in, sizeof(in) - 1, step);
		assert_int_equal(strstr(out, "HTTP/1.1 100 Continue\r\n\r\n") == out, step == 1);
		assert_non_null(strstr(out, "\r\n\r\nhi"));
		free(out);
		site_stop(&s);
	}
}

static void test_caps(void **state)
{
	struct {
		const char *head;
		size_t fill;
		char c;
		const char *tail, *want;
	} rows[] = {
		{ "GET /", 20000, 'a', " HTTP/1.1\r\n\r\n", "431" },
		{ "GET / HTTP/1.1\r\nA: ", 20000, 'a', "\r\n\r\n", "431" },
		{ "POST /echo HTTP/1.1\r\nContent-Length: 100001\r\n\r\n", 100001, 'a', "", "413" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site s = { 0 };
		struct buf in = { 0 };
		site_start(&s);
		buf_append(&in, rows[i].head, strlen(rows[i].head));
		memset(buf_room(&in, rows[i].fill), rows[i].c, rows[i].fill);
		buf_grown(&in, rows[i].fill);
		buf_append(&in, rows[i].tail, strlen(rows[i].tail));
		char *out = exchange(&s, (const char *)buf_data(&in), in.len, 8192);
		if (!strstr(out, rows[i].want))
			fail_msg("row %zu: %s", i, out);
		free(out);
		buf_free(&in);
		site_stop(&s);
	}
	/* More headers than there is room for. */
	struct site s = { 0 };
	struct buf in = { 0 };
	site_start(&s);
	buf_printf(&in, "GET / HTTP/1.1\r\n");
	for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
		buf_printf(&in, "A%d: b\r\n", i);
	buf_printf(&in, "\r\n");
	char *out = exchange(&s, (const char *)buf_data(&in), in.len, 8192);
	assert_non_null(strstr(out, "431"));
	free(out);
	buf_free(&in);
	site_stop(&s);
}

/* --------------------------------------------------------------------------------------------------------
 * client */

struct answer {
	struct loop *loop;
	int status, calls, code;
	bool chunks;
	struct buf body, leftover;
	struct stream *up;
	char why[200];
};

static void ans_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct answer *a = arg;
	a->calls++;
	a->status = head->status;
	assert_true(buf_append(&a->body, body, len));
	loop_stop(a->loop);
}

static void ans_chunk(void *arg, const uint8_t *p, size_t len)
{
	struct answer *a = arg;
	a->chunks = true;
	assert_true(buf_append(&a->body, p, len));
}

static void ans_failed(void *arg, int code, const char *why)
{
	struct answer *a = arg;
	a->calls++;
	a->code = code;
	snprintf(a->why, sizeof(a->why), "%s", why);
	loop_stop(a->loop);
}

static void ans_data(void *arg, const uint8_t *p, size_t len)
{
	struct answer *a = arg;
	assert_true(buf_append(&a->leftover, p, len));
	loop_stop(a->loop);
}

static void ans_closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	loop_stop(((struct answer *)arg)->loop);
}

static void ans_upgraded(
	void *arg, const struct http_head *head, struct stream *st, const uint8_t *p, size_t len)
{
	struct answer *a = arg;
	a->calls++;
	a->status = head->status;
	a->up = st;
	stream_events_set(st, &(struct stream_events) { .data = ans_data, .closed = ans_closed, .arg = a });
	assert_true(buf_append(&a->leftover, p, len));
	loop_stop(a->loop);
}

static struct http_client *ask(
	struct site *s, struct answer *a, const char *method, const char *target, const char *extra)
{
	struct http_request rq = { .to = { .host = "x.test", .at = &s->at },
		.method = method,
		.target = target,
		.host = "x.test",
		.extra = extra };
	struct http_client_events ev = {
		.done = ans_done, .failed = ans_failed, .upgraded = ans_upgraded, .arg = a
	};
	a->loop = s->loop;
	if (!strcmp(target, "/chunks"))
		ev.chunk = ans_chunk;
	if (!strcmp(method, "POST") && !extra) {
		rq.body = "body";
		rq.body_len = 4;
	}
	return http_request(s->loop, &rq, &ev);
}

static void test_client(void **state)
{
	static const struct {
		const char *method, *target;
		int status;
		const char *body;
	} rows[] = {
		{ "GET", "/echo", 200, "" },
		{ "POST", "/echo", 200, "body" },
		{ "GET", "/none", 404, "no" },
		{ "GET", "/chunks", 200, "chunkchunkchunk" },
		{ "HEAD", "/none", 404, "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site s = { 0 };
		struct answer a = { 0 };
		site_start(&s);
		assert_non_null(ask(&s, &a, rows[i].method, rows[i].target, NULL));
		while (!a.calls)
			loop_run(s.loop);
		if (a.status != rows[i].status || strcmp(buf_cstr(&a.body), rows[i].body) != 0)
			fail_msg("row %zu: %d %s", i, a.status, buf_cstr(&a.body));
		while (!s.gone)
			loop_run_once(s.loop);
		buf_free(&a.body);
		site_stop(&s);
	}
}

static void test_upgrade(void **state)
{
	struct site s = { 0 };
	struct answer a = { 0 };
	(void)state;
	site_start(&s);
	assert_non_null(ask(&s, &a, "POST", "/up", "Upgrade: test\r\nConnection: upgrade\r\n"));
	while (!a.calls)
		loop_run(s.loop);
	assert_int_equal(a.status, 101);
	while (a.leftover.len < 5)
		loop_run(s.loop);
	assert_memory_equal(buf_data(&a.leftover), "first", 5);
	assert_int_equal(stream_write(a.up, "ping", 4), 0);
	while (s.got.len < 4)
		loop_run(s.loop);
	assert_memory_equal(buf_data(&s.got), "ping", 4);
	assert_int_equal(s.gone, 0);
	stream_close(a.up, false);
	buf_free(&a.leftover);
	site_stop(&s);
}

/* Bytes right behind the head of an upgrade request go to the new owner. */
static void test_upgrade_leftover(void **state)
{
	static const char in[] =
		"GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\nextra";
	struct site s = { 0 };
	struct sockaddr_storage ss;
	(void)state;
	site_start(&s);
	socklen_t n = endpoint_to_sockaddr(&s.at, false, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(send(fd, in, sizeof(in) - 1, 0), sizeof(in) - 1);
	while (s.got.len < 5)
		loop_run(s.loop);
	assert_memory_equal(buf_data(&s.got), "extra", 5);
	close(fd);
	site_stop(&s);
}

static void test_failures(void **state)
{
	struct site s = { 0 };
	struct answer a = { 0 };
	(void)state;
	site_start(&s);
	/* The server goes away while the answer is due. */
	assert_non_null(ask(&s, &a, "GET", "/later", NULL));
	while (!s.waiting)
		loop_run_once(s.loop);
	shutdown(stream_fd(http_conn_stream(s.waiting)), SHUT_RDWR);
	while (!a.calls || !s.gone)
		loop_run_once(s.loop);
	assert_int_equal(a.code, ERR_CLOSED);
	/* What is one word of a head stays one. */
	static const struct {
		const char *target, *host;
	} rows[] = { { "/a b", "x" }, { "/a\r\nX: y", "x" }, { "/a\x7f", "x" }, { "/", "x\r\nX: y" },
		{ "/", "x y" }, { "/", "x\n" } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_request rq = { .unix_path = "/nowhere/socket",
			.method = "GET",
			.target = rows[i].target,
			.host = rows[i].host };
		const struct http_client_events ev = { 0 };
		if (http_request(s.loop, &rq, &ev))
			fail_msg("row %zu", i);
	}
	site_stop(&s);
}

/* A server that stops in the middle is not one that speaks no HTTP. */
static void test_cut_answer(void **state)
{
	static const struct {
		const char *answer, *why;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "middle of its answer" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha", "middle of its answer" },
		{ "HTTP/1.1 200 O", "without an answer" },
		{ "SSH-2.0-x\r\n", "not HTTP" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site s = { 0 };
		struct answer a = { 0 };
		s.loop = loop_new();
		s.fd = scratch_listen(&s.at);
		assert_non_null(ask(&s, &a, "GET", "/", NULL));
		int fd;
		while ((fd = sock_accept(s.fd, NULL)) < 0)
			loop_run_once(s.loop);
		size_t len = strlen(rows[i].answer);
		assert_int_equal(send(fd, rows[i].answer, len, 0), len);
		shutdown(fd, SHUT_WR);
		while (!a.calls)
			loop_run_once(s.loop);
		if (a.code >= 0 || !strstr(a.why, rows[i].why))
			fail_msg("row %zu: %d %s", i, a.code, a.why);
		close(fd);
		close(s.fd);
		loop_free(s.loop);
	}
}

static void test_late_and_cancel(void **state)
{
	struct site s = { 0 };
	struct answer a = { 0 };
	(void)state;
	site_start(&s);
	assert_non_null(ask(&s, &a, "GET", "/later", NULL));
	while (!s.waiting)
		loop_run_once(s.loop);
	http_reply(s.waiting, 200, NULL, NULL, "late", 4);
	while (!a.calls)
		loop_run_once(s.loop);
	assert_string_equal(buf_cstr(&a.body), "late");
	buf_free(&a.body);
	while (s.gone < 1)
		loop_run_once(s.loop);

	s.waiting = NULL;
	a = (struct answer) { 0 };
	struct http_client *c = ask(&s, &a, "GET", "/later", NULL);
	while (!s.waiting)
		loop_run_once(s.loop);
	http_client_cancel(c);
	http_client_cancel(NULL);
	while (s.gone < 2)
		loop_run_once(s.loop);
	assert_int_equal(a.calls, 0);
	site_stop(&s);
}

static void count_bytes(void *arg, const uint8_t *p, size_t len)
{
	(void)p;
	*(size_t *)arg += len;
}

static void count_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)head;
	(void)body;
	assert_int_equal(len, 0);
	*(size_t *)arg |= (size_t)1 << 40;
}

static void count_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

static void test_source(void **state)
{
	struct site s = { 0 };
	size_t got = 0;
	(void)state;
	site_start(&s);
	struct http_client_events ev = {
		.done = count_done, .chunk = count_bytes, .failed = count_failed, .arg = &got
	};
	struct http_request rq = { .to = { .host = "127.0.0.1", .port = s.at.port },
		.method = "GET",
		.target = "/source",
		.host = "x",
		.body_cap = (size_t)2 * SOURCE_BYTES };
	assert_non_null(http_request(s.loop, &rq, &ev));
	while (got < (size_t)1 << 40)
		loop_run_once(s.loop);
	assert_int_equal(got, (size_t)1 << 40 | SOURCE_BYTES);
	assert_int_equal(s.ended, 1);
	while (s.gone < 1)
		loop_run_once(s.loop);

	/* Who leaves in the middle costs no more than what waited. */
	got = s.made = 0;
	struct http_client *c = http_request(s.loop, &rq, &ev);
	while (!got)
		loop_run_once(s.loop);
	http_client_cancel(c);
	while (s.gone < 2)
		loop_run_once(s.loop);
	assert_int_equal(s.ended, 2);
	assert_true(s.made < SOURCE_BYTES);
	site_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_upgrade_leftover),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_cut_answer),
		cmocka_unit_test(test_late_and_cancel),
		cmocka_unit_test(test_source),
	};
	return key_setup() ? cmocka_run_group_tests_name("http", tests, NULL, NULL) : 1;
}
