/* A client that has its handshake right and means no good: frames written by hand against our server. Anybody
 * can make a machine key, so all of this comes before any right was checked. */
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/noise_link.h"
#include "mesh/transport/test/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { F_DATA, F_HEADERS, F_PRIORITY, F_RST, F_SETTINGS, F_PUSH, F_PING, F_GOAWAY, F_WINDOW, F_CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, FRAME_MAX = 16384 };
/* POST https x /echo, as HPACK literals */
static const char post_echo[] = "\x83\x87\x41\1x\x44\5/echo";

struct site {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	struct endpoint at;
	struct machine_private priv;
	struct machine_key pub;
	int requests, links;
	bool holds;		/* answers are begun and not ended: of as much as may wait */
	struct h2_stream *held; /* the last of them */
	long charged, most;	/* of links, and what they may have; most 0: no limit */
};

struct raw {
	struct site *site;
	int fd;
	struct noise_link *noise;
	struct buf plain, out; /* heard and not looked at; sealed and not sent */
	size_t n[16];	       /* frames heard, by type */
	bool over;
};

/* --- the server --- */
static void requested(void *arg, struct control_server_link *c, struct h2_stream *st, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	(void)c;
	(void)method;
	(void)path;
	static const uint8_t much[1024 * 1024];
	s->requests++;
	if (!s->holds) {
		h2_respond(st, 200, NULL, body, len);
		return;
	}
	s->held = st;
	h2_respond_begin(st, 200, NULL);
	assert_int_equal(h2_respond_chunk(st, much, sizeof(much)), 0);
}

static bool charge(void *arg, struct control_server_link *c, void *data, long bytes)
{
	struct site *s = arg;
	(void)c;
	(void)data;
	if (s->most && s->charged + bytes > s->most)
		return false;
	s->charged += bytes;
	return true;
}

static void link_closed(void *arg, struct control_server_link *c, void *data)
{
	(void)c;
	(void)data;
	((struct site *)arg)->links--;
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)h;
	http_reply(c, 404, NULL, NULL, p, len);
}

static bool web_upgrade(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct site *s = arg;
	struct control_server_ops ops = {
		.request = requested, .closed = link_closed, .charge = charge, .arg = s
	};
	s->links += control_server_accept(s->loop, conn, head, &s->priv, &random_system, &ops) != NULL;
	return true;
}

static void incoming(void *arg, int what)
{
	struct site *s = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = web_request, .upgrade = web_upgrade, .arg = s };
	(void)what;
	int fd = sock_accept(s->fd, NULL);
	assert_non_null(http_server_accept(s->loop, stream_accept(s->loop, fd, NULL, &none), &ops));
}

static int setup(void **state)
{
	struct site *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->loop = loop_new();
	s->fd = scratch_listen(&s->at);
	s->watch = loop_fd_new(s->loop, s->fd, incoming, s);
	loop_fd_set(s->watch, LOOP_READ);
	key_generate(&random_system, s->priv.b);
	key_public(s->priv.b, s->pub.b);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct site *s = *state;
	while (s->links)
		loop_run_once(s->loop);
	loop_fd_free(s->watch);
	close(s->fd);
	loop_free(s->loop);
	free(s);
	return 0;
}

/* --- the client --- */
static void tally(struct raw *r)
{
	for (;;) {
		if (r->plain.len < 9)
			return;
		const uint8_t *p = buf_data(&r->plain);
		size_t len = be_get(p, 3);
		if (p[0] == 0xff) /* the early payload */
			len = be_get(p + 5, 4);
		if (r->plain.len < 9 + len)
			return;
		if (p[0] != 0xff)
			r->n[p[3] & 15]++;
		buf_consume(&r->plain, 9 + len);
	}
}

/* One turn of the loop, and what can be sent and heard now. */
static void step(struct raw *r, bool listening)
{
	uint8_t in[65536];
	ssize_t n = r->out.len ? send(r->fd, buf_data(&r->out), r->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	if (n > 0)
		buf_consume(&r->out, (size_t)n);
	else if (n < 0 && !(r->out.len && sock_error(r->fd) == 0))
		buf_free(&r->out);
	loop_run_once(r->site->loop);
	n = listening ? recv(r->fd, in, sizeof(in), MSG_DONTWAIT) : -1;
	if (n > 0) {
		assert_int_equal(noise_link_receive(r->noise, in, (size_t)n, &r->plain), 0);
		tally(r);
	}
	r->over = r->over || n == 0 || !r->site->links;
}

static void put(struct raw *r, const void *p, size_t len)
{
	assert_int_equal(noise_link_send(r->noise, p, len, &r->out), 0);
}

static void frame(struct raw *r, int type, int flags, uint32_t stream, const void *p, size_t len)
{
	uint8_t out[9 + FRAME_MAX];
	struct wr w = wr_of(out, sizeof(out));
	wr_be(&w, 3, len);
	wr_u8(&w, (uint8_t)type);
	wr_u8(&w, (uint8_t)flags);
	wr_u32(&w, stream);
	wr_bytes(&w, p, len);
	assert_false(w.bad);
	put(r, out, w.len);
}

static void say_hello(struct raw *r)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	put(r, preface, sizeof(preface) - 1);
	frame(r, F_SETTINGS, 0, 0, NULL, 0);
	frame(r, F_SETTINGS, ACK, 0, NULL, 0);
}

static void raw_open(struct raw *r, struct site *s)
{
	struct machine_private us;
	uint8_t initiation[NOISE_INITIATION], in[2048];
	char text[(NOISE_INITIATION + 2) / 3 * 4 + 1], head[400];
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&s->at, false, &ss);
	size_t have = 0;
	const uint8_t *end = NULL;
	*r = (struct raw) { .site = s, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_int_equal(connect(r->fd, (struct sockaddr *)&ss, n), 0);
	key_generate(&random_system, us.b);
	struct noise_initiator *i = noise_initiate(&us, &s->pub, 119, &random_system, initiation);
	int len = snprintf(head, sizeof(head),
		"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: "
		"upgrade\r\nX-Tailscale-Handshake: %s\r\n\r\n",
		base64_encode(initiation, sizeof(initiation), text));
	assert_int_equal(send(r->fd, head, (size_t)len, 0), len);
	while (!end || in + have < end + 4 + NOISE_RESPONSE) {
		loop_run_once(s->loop);
		ssize_t got = recv(r->fd, in + have, sizeof(in) - have, MSG_DONTWAIT);
		have += got > 0 ? (size_t)got : 0;
		end = memmem(in, have, "\r\n\r\n", 4);
	}
	end += 4;
	r->noise = noise_finish(i, end, NOISE_RESPONSE, NULL);
	assert_non_null(r->noise);
	end += NOISE_RESPONSE;
	assert_int_equal(noise_link_receive(r->noise, end, (size_t)(in + have - end), &r->plain), 0);
	tally(r);
}

static void raw_close(struct raw *r)
{
	close(r->fd);
	noise_link_free(r->noise);
	buf_free(&r->plain);
	buf_free(&r->out);
}

static void honest(struct site *s)
{
	struct raw r;
	int before = s->requests;
	raw_open(&r, s);
	say_hello(&r);
	frame(&r, F_HEADERS, END_HEADERS | END_STREAM, 1, post_echo, sizeof(post_echo) - 1);
	while (!r.n[F_HEADERS])
		step(&r, true);
	assert_int_equal(s->requests, before + 1);
	raw_close(&r);
}

/* --- what it does --- */
static void reset_rapidly(struct raw *r)
{
	for (uint32_t i = 0; i < 3000; i++) {
		frame(r, F_HEADERS, END_HEADERS, 1 + 2 * i, post_echo, sizeof(post_echo) - 1);
		frame(r, F_RST, 0, 1 + 2 * i, "\0\0\0\10", 4);
	}
}

static void ping_endlessly(struct raw *r)
{
	for (int i = 0; i < 200000; i++)
		frame(r, F_PING, 0, 0, "12345678", 8);
}

static void set_endlessly(struct raw *r)
{
	for (int i = 0; i < 200000; i++)
		frame(r, F_SETTINGS, 0, 0, "\0\3\0\0\0\1", 6);
}

/* What the server sets is never agreed to, so that more streams than it wants are refused one by one. */
static void begin_endlessly(struct raw *r)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	put(r, preface, sizeof(preface) - 1);
	frame(r, F_SETTINGS, 0, 0, NULL, 0);
	for (uint32_t i = 0; i < 600000; i++) /* more than lies between us */
		frame(r, F_HEADERS, END_HEADERS, 1 + 2 * i, post_echo, sizeof(post_echo) - 1);
}

static void continue_endlessly(struct raw *r)
{
	static const char pair[] = "\0\3abc\3def";
	frame(r, F_HEADERS, 0, 1, post_echo, sizeof(post_echo) - 1);
	for (int i = 0; i < 100000; i++)
		frame(r, F_CONTINUATION, 0, 1, pair, sizeof(pair) - 1);
}

static void settings_too_many(struct raw *r)
{
	uint8_t many[6 * 2000] = { 0 };
	frame(r, F_SETTINGS, 0, 0, many, sizeof(many));
}

static void talk_nonsense(struct raw *r)
{
	put(r, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
}

static void frame_too_large(struct raw *r)
{
	static const uint8_t head[9] = { 0xff, 0xff, 0xff, F_DATA, 0, 0, 0, 0, 1 };
	put(r, head, sizeof(head));
}

/* The link ends, having cost little, and the next one is served. */
static void test_ended(void **state)
{
	static const struct {
		const char *name;
		void (*act)(struct raw *r);
		bool listening; /* to what the server says */
		bool hello;
	} rows[] = {
		{ "rapid reset", reset_rapidly, true, true },
		{ "pings, deaf", ping_endlessly, false, true },
		{ "settings, deaf", set_endlessly, false, true },
		{ "requests, deaf", begin_endlessly, false, false },
		{ "settings, too many", settings_too_many, true, true },
		{ "endless headers", continue_endlessly, true, true },
		{ "a large frame", frame_too_large, true, true },
		{ "no preface", talk_nonsense, true, false },
	};
	struct site *s = *state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct raw r;
		raw_open(&r, s);
		if (rows[i].hello)
			say_hello(&r);
		rows[i].act(&r);
		while (!r.over && (r.out.len || rows[i].listening))
			step(&r, rows[i].listening);
		if (!r.over && !r.n[F_GOAWAY])
			fail_msg("%s: the link goes on", rows[i].name);
		if (s->requests != (int)i)
			fail_msg("%s: %d requests", rows[i].name, s->requests - (int)i);
		raw_close(&r);
		while (s->links)
			loop_run_once(s->loop);
		honest(s);
	}
}

/* Requests that never end hold only so much; the ones refused for it free what they held, and the link goes
 * on. */
static void test_unfinished(void **state)
{
	enum { REQUESTS = 16, EACH = 32, CAN_HOLD = 8 }; /* of half a MiB; the server holds 4 MiB */
	static const uint8_t data[FRAME_MAX];
	struct site *s = *state;
	struct raw r;
	raw_open(&r, s);
	say_hello(&r);
	for (uint32_t i = 0; i < REQUESTS; i++) {
		frame(&r, F_HEADERS, END_HEADERS, 1 + 2 * i, post_echo, sizeof(post_echo) - 1);
		for (int k = 0; k < EACH; k++)
			frame(&r, F_DATA, 0, 1 + 2 * i, data, sizeof(data));
	}
	while (r.n[F_RST] < REQUESTS - CAN_HOLD)
		step(&r, true);
	for (uint32_t i = 0; i < CAN_HOLD; i++)
		frame(&r, F_DATA, END_STREAM, 1 + 2 * i, NULL, 0);
	frame(&r, F_HEADERS, END_HEADERS | END_STREAM, 1 + 2 * REQUESTS, post_echo, sizeof(post_echo) - 1);
	while (s->requests < CAN_HOLD + 1)
		step(&r, true);
	assert_int_equal(r.n[F_RST], REQUESTS - CAN_HOLD);
	assert_false(r.over);
	raw_close(&r);
}

/* A reader that never opens its window: what waits for it is dropped when the owner has enough. */
static void test_cut(void **state)
{
	static const uint8_t no_window[] = { 0, 4, 0, 0, 0, 0 }; /* SETTINGS_INITIAL_WINDOW_SIZE */
	struct site *s = *state;
	struct raw r;
	s->holds = true;
	raw_open(&r, s);
	say_hello(&r);
	frame(&r, F_SETTINGS, 0, 0, no_window, sizeof(no_window));
	frame(&r, F_HEADERS, END_HEADERS | END_STREAM, 1, post_echo, sizeof(post_echo) - 1);
	while (!r.n[F_HEADERS])
		step(&r, true);
	assert_int_equal(r.n[F_DATA], 0);
	assert_true(s->charged > 0);
	h2_respond_cut(s->held);
	while (!r.n[F_RST])
		step(&r, true);
	assert_int_equal(r.n[F_DATA], 0);
	assert_int_equal(s->charged, 0); /* the stream is gone with all it had */
	s->holds = false;
	frame(&r, F_HEADERS, END_HEADERS | END_STREAM, 3, post_echo, sizeof(post_echo) - 1);
	while (r.n[F_HEADERS] < 2)
		step(&r, true);
	raw_close(&r);
}

/* The owner of the links says what all of them may hold; what is refused is given back. */
static void test_charged(void **state)
{
	enum { REQUESTS = 16, EACH = 8, MOST = 600 * 1000 }; /* of 128 KiB */
	static const uint8_t data[FRAME_MAX];
	struct site *s = *state;
	struct raw r;
	s->most = MOST;
	raw_open(&r, s);
	say_hello(&r);
	for (uint32_t i = 0; i < REQUESTS; i++) {
		frame(&r, F_HEADERS, END_HEADERS, 1 + 2 * i, post_echo, sizeof(post_echo) - 1);
		for (int k = 0; k < EACH; k++)
			frame(&r, F_DATA, 0, 1 + 2 * i, data, sizeof(data));
	}
	while (r.n[F_RST] < REQUESTS - 4)
		step(&r, true);
	assert_true(s->charged <= MOST && s->charged > MOST / 2);
	assert_false(r.over);
	raw_close(&r);
	while (s->links)
		loop_run_once(s->loop);
	assert_int_equal(s->charged, 0);
}

/* A hundred requests and more at once, as one client may make. */
static void test_concurrent(void **state)
{
	enum { REQUESTS = 200 };
	struct site *s = *state;
	struct raw r;
	raw_open(&r, s);
	say_hello(&r);
	for (uint32_t i = 0; i < REQUESTS; i++)
		frame(&r, F_HEADERS, END_HEADERS, 1 + 2 * i, post_echo, sizeof(post_echo) - 1);
	for (uint32_t i = 0; i < REQUESTS; i++)
		frame(&r, F_DATA, END_STREAM, 1 + 2 * i, "{}", 2);
	while (r.n[F_HEADERS] < REQUESTS)
		step(&r, true);
	assert_int_equal(s->requests, REQUESTS);
	assert_int_equal(r.n[F_RST] + r.n[F_GOAWAY], 0);
	raw_close(&r);
}

/* What the server says before it has heard anything, byte for byte in its kind: the early payload, SETTINGS.
 */
static void test_speaks_first(void **state)
{
	struct site *s = *state;
	struct raw r;
	raw_open(&r, s);
	while (!r.n[F_SETTINGS])
		step(&r, true);
	assert_int_equal(s->requests, 0);
	raw_close(&r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_ended),
		T(test_unfinished),
		T(test_cut),
		T(test_charged),
		T(test_concurrent),
		T(test_speaks_first),
	};
#undef T
	return key_setup() ? cmocka_run_group_tests_name("h2_hostile", tests, NULL, NULL) : 1;
}
