#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/test/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { BIG = 5 * 1024 * 1024 };

struct site {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	struct endpoint at;
	struct tls *tls;
	struct machine_private priv;
	struct machine_key pub;
	struct control_server_link *link;
	struct h2_stream *held, *endless;
	uint8_t *big;
	size_t big_left, fed; /* a streamed answer, fed as the queue allows */
	int links, closed, gone, requests;
};

static void feed_big(void *arg)
{
	struct site *s = arg;
	while (s->endless && s->fed < BIG && h2_respond_chunk(s->endless, s->big + s->fed, 65536) == 0)
		s->fed += 65536;
	if (s->endless && s->fed == BIG) {
		struct h2_stream *st = s->endless;
		s->endless = NULL;
		h2_respond_end(st);
	}
}

static void srv_request(void *arg, struct control_server_link *c, struct h2_stream *st, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	s->requests++;
	assert_ptr_equal(h2_stream_link(st), c);
	assert_string_equal(method, "POST");
	if (!strcmp(path, "/echo")) {
		h2_respond(st, 200, "application/json", body, len);
	} else if (!strcmp(path, "/hold")) {
		s->held = st;
		h2_respond_begin(st, 200, NULL);
		assert_int_equal(h2_respond_chunk(st, "part", 4), 0);
	} else if (!strcmp(path, "/big")) {
		s->endless = st;
		h2_respond_begin(st, 200, NULL);
		feed_big(s);
	} else {
		h2_respond(st, 404, NULL, NULL, 0);
	}
}

static void srv_gone(void *arg, struct h2_stream *st, void *data)
{
	struct site *s = arg;
	assert_ptr_equal(data, h2_stream_data(st));
	s->gone++;
	if (st == s->held)
		s->held = NULL;
	if (st == s->endless)
		s->endless = NULL;
}

static void srv_closed(void *arg, struct control_server_link *c, void *data)
{
	struct site *s = arg;
	assert_ptr_equal(c, s->link);
	assert_ptr_equal(data, s);
	s->closed++;
	s->link = NULL;
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)h;
	(void)p;
	(void)len;
	http_reply(c, 404, NULL, NULL, NULL, 0);
}

static bool web_upgrade(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct site *s = arg;
	struct control_server_ops ops = {
		.request = srv_request, .stream_gone = srv_gone, .closed = srv_closed, .arg = s
	};
	s->link = control_server_accept(s->loop, conn, head, &s->priv, &random_system, &ops);
	if (s->link) {
		s->links++;
		control_server_data_set(s->link, s);
	}
	return true;
}

static void incoming(void *arg, int what)
{
	struct site *s = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = web_request, .upgrade = web_upgrade, .arg = s };
	(void)what;
	int fd = sock_accept(s->fd, NULL);
	assert_non_null(http_server_accept(s->loop, stream_accept(s->loop, fd, s->tls, &none), &ops));
}

static void site_start(struct site *s)
{
	s->loop = loop_new();
	s->fd = scratch_listen(&s->at);
	s->watch = loop_fd_new(s->loop, s->fd, incoming, s);
	loop_fd_set(s->watch, LOOP_READ);
	key_generate(&random_system, s->priv.b);
	key_public(s->priv.b, s->pub.b);
	s->big = malloc(BIG);
	assert_non_null(s->big);
	for (size_t i = 0; i < BIG; i++)
		s->big[i] = (uint8_t)(i * 13 + i / 257);
}

static void site_stop(struct site *s)
{
	control_server_close(s->link);
	loop_fd_free(s->watch);
	close(s->fd);
	tls_free(s->tls);
	loop_free(s->loop);
	free(s->big);
}

struct client {
	struct control_client_link *link;
	int ready, closed, code;
	char why[400];
	struct machine_private priv;
	struct machine_key pub;
};

static void cl_ready(void *arg)
{
	((struct client *)arg)->ready++;
}

static void cl_closed(void *arg, int code, const char *why)
{
	struct client *c = arg;
	c->closed++;
	c->code = code;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

static void client_start(struct client *c, struct site *s, const struct machine_key *server)
{
	char url[80], at[ENDPOINT_TEXT];
	snprintf(url, sizeof(url), "%s://%s/", s->tls ? "https" : "http", endpoint_format(&s->at, at));
	key_generate(&random_system, c->priv.b);
	key_public(c->priv.b, c->pub.b);
	struct control_client_config cfg = {
		.server_url = url, .machine = &c->priv, .server = server, .capver = 119, .rnd = &random_system
	};
	struct control_client_events ev = { .ready = cl_ready, .closed = cl_closed, .arg = c };
	c->link = control_client_open(s->loop, &cfg, &ev);
	assert_non_null(c->link);
	while (!c->ready && !c->closed)
		loop_run_once(s->loop);
}

struct req {
	struct h2_request *rq;
	struct buf got;
	int status, done, code;
	struct control_client_link *close_on_data;
};

static void rq_head(void *arg, int status)
{
	((struct req *)arg)->status = status;
}

static void rq_data(void *arg, const uint8_t *p, size_t len)
{
	struct req *r = arg;
	assert_true(buf_append(&r->got, p, len));
	if (r->close_on_data)
		control_client_close(r->close_on_data);
}

static void rq_done(void *arg, int code)
{
	struct req *r = arg;
	r->done++;
	r->code = code;
}

static void ask(struct client *c, struct req *r, const char *path, const void *body, size_t len)
{
	struct h2_request_events ev = { .head = rq_head, .data = rq_data, .done = rq_done, .arg = r };
	r->rq = control_client_request(c->link, "POST", path, "Ts-Lb", "nodekey:00", body, len, &ev);
	assert_non_null(r->rq);
}

static void streams(bool tls)
{
	struct scratch sc;
	struct site s = { 0 };
	struct client c = { 0 };
	struct req echo = { 0 }, hold = { 0 }, big = { 0 }, upload = { 0 };
	scratch_init(&sc);
	s.tls = tls ? scratch_server(&sc) : NULL;
	site_start(&s);
	client_start(&c, &s, &s.pub);
	assert_int_equal(c.ready, 1);
	ask(&c, &hold, "/hold", "{}", 2);
	ask(&c, &big, "/big", "{}", 2);
	ask(&c, &echo, "/echo", "hello", 5);
	ask(&c, &upload, "/echo", s.big, 1024 * 1024);
	while (!big.done || !echo.done || !upload.done || hold.got.len < 4) {
		loop_run_once(s.loop);
		feed_big(&s);
	}
	assert_memory_equal(control_server_machine(s.link)->b, c.pub.b, KEY_LEN);
	assert_int_equal(control_server_capver(s.link), 119);
	assert_int_equal(echo.status, 200);
	assert_int_equal(echo.code, 0);
	assert_memory_equal(buf_data(&echo.got), "hello", 5);
	assert_int_equal(upload.got.len, 1024 * 1024);
	assert_memory_equal(buf_data(&upload.got), s.big, 1024 * 1024);
	assert_int_equal(big.got.len, BIG);
	assert_memory_equal(buf_data(&big.got), s.big, BIG);
	assert_int_equal(hold.done, 0);
	/* The held answer goes on, then is cancelled by the client. */
	assert_int_equal(h2_respond_chunk(s.held, "more", 4), 0);
	while (hold.got.len < 8)
		loop_run_once(s.loop);
	h2_request_cancel(hold.rq);
	while (!s.gone)
		loop_run_once(s.loop);
	assert_null(s.held);
	assert_int_equal(hold.done, 0);
	control_client_close(c.link);
	while (!s.closed)
		loop_run_once(s.loop);
	buf_free(&echo.got);
	buf_free(&hold.got);
	buf_free(&big.got);
	buf_free(&upload.got);
	site_stop(&s);
	scratch_fini(&sc);
}

static void test_streams(void **state)
{
	(void)state;
	streams(false);
}

static void test_streams_tls(void **state)
{
	(void)state;
	streams(true);
}

/* The server goes: requests end, closed() says so, and a new link works. */
static void test_restart(void **state)
{
	struct site s = { 0 };
	struct client c = { 0 };
	struct req hold = { 0 }, echo = { 0 };
	(void)state;
	site_start(&s);
	client_start(&c, &s, &s.pub);
	ask(&c, &hold, "/hold", "{}", 2);
	while (hold.got.len < 4)
		loop_run_once(s.loop);
	control_server_close(s.link);
	s.link = NULL;
	assert_int_equal(s.gone, 1);
	assert_int_equal(s.closed, 0);
	while (!c.closed)
		loop_run_once(s.loop);
	assert_int_equal(hold.done, 1);
	assert_true(hold.code < 0);
	assert_true(c.code < 0);
	control_client_close(c.link);

	c = (struct client) { 0 };
	client_start(&c, &s, &s.pub);
	ask(&c, &echo, "/echo", "again", 5);
	while (!echo.done)
		loop_run_once(s.loop);
	assert_memory_equal(buf_data(&echo.got), "again", 5);
	control_client_close(c.link);
	buf_free(&hold.got);
	buf_free(&echo.got);
	while (!s.closed)
		loop_run_once(s.loop);
	site_stop(&s);
}

/* Closing from inside an event of its own request. */
static void test_close_inside(void **state)
{
	struct site s = { 0 };
	struct client c = { 0 };
	struct req echo = { 0 }, hold = { 0 };
	(void)state;
	site_start(&s);
	client_start(&c, &s, &s.pub);
	echo.close_on_data = c.link;
	ask(&c, &hold, "/hold", "{}", 2);
	ask(&c, &echo, "/echo", "x", 1);
	while (!s.closed)
		loop_run_once(s.loop);
	assert_int_equal(c.closed, 0);
	assert_int_equal(echo.done + hold.done, 0);
	buf_free(&echo.got);
	buf_free(&hold.got);
	site_stop(&s);
}

static void test_wrong_key(void **state)
{
	struct site s = { 0 };
	struct client c = { 0 };
	struct machine_key other;
	struct machine_private priv;
	(void)state;
	site_start(&s);
	key_generate(&random_system, priv.b);
	key_public(priv.b, other.b);
	client_start(&c, &s, &other);
	assert_int_equal(c.closed, 1);
	assert_non_null(strstr(c.why, "400"));
	assert_null(s.link);
	control_client_close(c.link);
	site_stop(&s);
}

static void test_bad_url(void **state)
{
	struct client c = { 0 };
	struct machine_key server = { { 9 } };
	struct loop *loop = loop_new();
	struct control_client_config cfg = {
		.server_url = "ftp://x", .machine = &c.priv, .server = &server, .rnd = &random_system
	};
	struct control_client_events ev = { .ready = cl_ready, .closed = cl_closed, .arg = &c };
	(void)state;
	c.link = control_client_open(loop, &cfg, &ev);
	while (!c.closed)
		loop_run_once(loop);
	assert_non_null(strstr(c.why, "http://"));
	control_client_close(c.link);
	control_client_close(NULL);
	loop_free(loop);
}

/* ---------------------------------------------------------------------------------------------------- map
 * frames */

struct maps {
	int n;
	size_t last_len;
	char last[64];
	const char *want; /* NULL: anything */
};

static void map_seen(void *arg, const char *json, size_t len)
{
	struct maps *m = arg;
	m->n++;
	m->last_len = len;
	assert_true(!m->want || !memcmp(json, m->want, len));
	snprintf(m->last, sizeof(m->last), "%.60s", json);
}

static void test_map_frames(void **state)
{
	static const size_t steps[] = { 1, 5, 1 << 20 };
	char *big = malloc(3000000);
	(void)state;
	assert_non_null(big);
	for (size_t i = 0; i < 3000000; i++)
		big[i] = (char)('a' + (i * i / 7) % 26);
	struct map_packer *packer = map_packer_new();
	assert_non_null(packer);
	for (int zstd = 0; zstd < 2; zstd++)
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			struct map_packer *by = zstd ? packer : NULL;
			struct buf wire = { 0 };
			struct maps seen = { 0 };
			struct map_frames *m = map_frames_new(zstd);
			assert_int_equal(map_frame_write("{\"a\":1}", 7, by, &wire), 0);
			assert_int_equal(map_frame_write("", 0, by, &wire), 0);
			assert_int_equal(map_frame_write(big, 3000000, by, &wire), 0);
			assert_int_equal(map_frame_write("{}", 2, by, &wire), 0);
			for (size_t at = 0; at < wire.len; at += steps[i]) {
				size_t n = wire.len - at < steps[i] ? wire.len - at : steps[i];
				assert_int_equal(
					map_frames_feed(m, buf_data(&wire) + at, n, map_seen, &seen), 0);
			}
			assert_int_equal(seen.n, 4);
			assert_string_equal(seen.last, "{}");
			buf_free(&wire);
			map_frames_free(m);
		}
	map_packer_free(packer);
	free(big);
}

/* Parts, each packed alone, are one message; what comes last may be of any length. */
static void test_map_parts(void **state)
{
	static const size_t rests[] = { 0, 1, 150, 1023, 1024, 100000 };
	static const uint8_t length[4];
	char *text = malloc(200000);
	struct map_packer *packer = map_packer_new();
	(void)state;
	assert_non_null(text);
	assert_non_null(packer);
	for (size_t i = 0; i < 200000; i++)
		text[i] = (char)('a' + (i * i / 7) % 26);
	for (size_t i = 0; i < ARRAY_LEN(rests) * 2; i++) {
		struct map_packer *by = i % 2 ? packer : NULL;
		const size_t n = rests[i / 2];
		struct buf wire = { 0 };
		struct maps seen = { .want = text };
		struct map_frames *m = map_frames_new(by);
		assert_true(buf_append(&wire, length, sizeof(length)));
		assert_int_equal(map_part_write(text, 500, by, &wire), 0);
		assert_int_equal(map_rest_write(text + 500, n, by, &wire), 0);
		le_put(buf_data(&wire), 4, wire.len - 4);
		assert_int_equal(map_frames_feed(m, buf_data(&wire), wire.len, map_seen, &seen), 0);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.last_len, 500 + n);
		buf_free(&wire);
		map_frames_free(m);
	}
	map_packer_free(packer);
	free(text);
}

static void test_bad_map_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool zstd;
	} rows[] = {
		{ "\377\377\377\377", 4, false },
		{ "\1\0\0\1", 4, false },
		{ "\3\0\0\0abc", 7, true },
		{ "\0\0\0\0", 4, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct maps seen = { 0 };
		struct map_frames *m = map_frames_new(rows[i].zstd);
		if (map_frames_feed(m, (const uint8_t *)rows[i].bytes, rows[i].len, map_seen, &seen) >= 0)
			fail_msg("row %zu", i);
		assert_true(map_frames_feed(m, (const uint8_t *)"\0\0\0\0", 4, map_seen, &seen) < 0);
		assert_int_equal(seen.n, 0);
		map_frames_free(m);
	}
	/* A frame may ask for a window as large as a message, and for no larger one. */
	static const uint8_t windows[][15] = {
		{ 11, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3, 17, 0, 0, '{', '}' },
		{ 11, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd, 0, 15 << 3, 17, 0, 0, '{', '}' },
	};
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct maps seen = { 0 };
		struct map_frames *m = map_frames_new(true);
		int err = map_frames_feed(m, windows[i], sizeof(windows[i]), map_seen, &seen);
		assert_int_equal(err, i ? ERR_MALFORMED : 0);
		assert_int_equal(seen.n, !i);
		map_frames_free(m);
	}
	/* One that is cut anywhere is no message, nor is what it holds so far. */
	struct map_packer *cutter = map_packer_new();
	struct buf whole = { 0 };
	assert_non_null(cutter);
	assert_int_equal(map_frame_write("{\"Peers\":[{\"ID\":7}]}", 21, cutter, &whole), 0);
	for (size_t n = 0; n <= whole.len - 4; n++) {
		struct maps seen = { 0 };
		struct map_frames *m = map_frames_new(true);
		le_put(buf_data(&whole), 4, n);
		int err = map_frames_feed(m, buf_data(&whole), 4 + n, map_seen, &seen);
		bool is_whole = n == whole.len - 4;
		if ((err == 0) != is_whole || seen.n != is_whole)
			fail_msg("cut to %zu of %zu: %d", n, whole.len - 4, err);
		map_frames_free(m);
	}
	map_packer_free(cutter);
	buf_free(&whole);
	/* A small frame that unpacks to more than the cap. */
	size_t len = 20 * 1024 * 1024;
	char *zeros = calloc(1, len);
	struct buf wire = { 0 };
	struct maps seen = { 0 };
	struct map_frames *m = map_frames_new(true);
	struct map_packer *packer = map_packer_new();
	assert_non_null(zeros);
	assert_non_null(packer);
	assert_true(map_frame_write(zeros, len, packer, &wire) < 0);
	assert_int_equal(map_frame_write(zeros, 16 * 1024 * 1024, packer, &wire), 0);
	assert_int_equal(map_frames_feed(m, buf_data(&wire), wire.len, map_seen, &seen), 0);
	assert_int_equal(seen.last_len, 16 * 1024 * 1024);
	map_packer_free(packer);
	map_frames_free(m);
	buf_free(&wire);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_streams_tls),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_close_inside),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_bad_url),
		cmocka_unit_test(test_map_frames),
		cmocka_unit_test(test_map_parts),
		cmocka_unit_test(test_bad_map_frames),
	};
	return key_setup() ? cmocka_run_group_tests_name("control_link", tests, NULL, NULL) : 1;
}
