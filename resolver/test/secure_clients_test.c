/* Clients by TLS and by HTTPS on loopback, in the server's loop. */
#include "resolver/listen.h"

#include "mesh/base/buf.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "resolver/test/fake.h"
#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LIMIT_MS = 8000, SHORT_MS = 200, MANY = 150, ASKS = 160 };

struct asked {
	int32_t stream;
	unsigned status;
	bool over, dns;
	char age[32];
	struct buf body;
};
struct fixture {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint tls_at, https_at;
	char dir[64], cert[96], key[96];
	struct tls *tls;
	/* the client */
	struct stream *stream;
	nghttp2_session *session; /* by HTTPS */
	struct asked asked[ASKS];
	size_t n_asked, n_over;
	struct buf got;
	bool opened, closed, timed_out;
};
static struct fixture fx;

static void setup_with(uint32_t tcp_ms)
{
	static const char *const hosts[] = { "dns.test", "127.0.0.1" };
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	enum dns_secure_by by;
	struct resolver_server_options o = {
		.at = &at, .n = 1, .tcp_message_ms = tcp_ms, .tcp_idle_ms = tcp_ms
	};
	struct errbuf eb = { 0 };
	struct addr ip;
	struct zone *z = zone_new();
	memset(&fx, 0, sizeof(fx));
	fx.loop = loop_new();
	strcpy(fx.dir, "/tmp/rw-secure-XXXXXX");
	assert_non_null(mkdtemp(fx.dir));
	snprintf(fx.cert, sizeof(fx.cert), "%s/cert.pem", fx.dir);
	snprintf(fx.key, sizeof(fx.key), "%s/key.pem", fx.dir);
	fx.server = resolver_server_open(fx.loop, &o, &eb);
	if (!fx.server || tls_self_signed(fx.cert, fx.key, hosts, 2, &eb) ||
		resolver_server_certificate(fx.server, fx.cert, fx.key, &eb) ||
		resolver_server_listen_secure(fx.server, &at, DNS_SECURE_TLS, &eb) ||
		resolver_server_listen_secure(fx.server, &at, DNS_SECURE_HTTPS, &eb) ||
		!(fx.tls = tls_client_authorities(fx.cert, &eb)))
		fail_msg("%s", eb.text);
	assert_true(resolver_server_secure(fx.server, 0, &fx.tls_at, &by) && by == DNS_SECURE_TLS);
	assert_true(resolver_server_secure(fx.server, 1, &fx.https_at, &by) && by == DNS_SECURE_HTTPS);
	assert_false(resolver_server_secure(fx.server, 2, &at, &by));
	assert_true(addr_parse("100.64.0.2", &ip) && !zone_add_address(z, "bob.mesh", &ip, true));
	resolver_zone_set(resolver_server_core(fx.server), z);
	zone_put(z);
}

static int setup(void **state)
{
	(void)state;
	setup_with(0);
	return 0;
}
static int setup_hasty(void **state)
{
	(void)state;
	setup_with(SHORT_MS);
	return 0;
}

/* Slow as the machine may be, it is not for its slowness that a client is cut off. */
static int setup_patient(void **state)
{
	enum { LONG_MS = 600000 };
	(void)state;
	setup_with(LONG_MS);
	return 0;
}

static void client_close(void)
{
	for (size_t i = 0; i < fx.n_asked; i++)
		buf_free(&fx.asked[i].body);
	if (fx.session)
		nghttp2_session_del(fx.session);
	stream_close(fx.stream, false);
	buf_free(&fx.got);
	memset(fx.asked, 0, sizeof(fx.asked));
	fx.stream = NULL;
	fx.session = NULL;
	fx.n_asked = fx.n_over = 0;
	fx.opened = fx.closed = false;
}

static int teardown(void **state)
{
	(void)state;
	client_close();
	tls_free(fx.tls);
	resolver_server_close(fx.server);
	dir_remove(fx.dir, NULL);
	loop_free(fx.loop);
	return 0;
}

/* ---- the client ---- */

static void data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	if (fx.session)
		assert_int_equal(nghttp2_session_mem_recv(fx.session, p, len), len);
	else
		assert_true(buf_append(&fx.got, p, len));
	loop_stop(fx.loop);
}

static void opened(void *arg)
{
	(void)arg;
	fx.opened = true;
	loop_stop(fx.loop);
}

static void closed(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	(void)why;
	fx.closed = true;
	loop_stop(fx.loop);
}

static void gave_up(void *arg)
{
	(void)arg;
	fx.timed_out = true;
	loop_stop(fx.loop);
}

static bool is_opened(void)
{
	return fx.opened || fx.closed;
}
static bool is_closed(void)
{
	return fx.closed;
}
static bool are_all_over(void)
{
	return fx.n_over == fx.n_asked || fx.closed;
}

static void pump(void)
{
	const uint8_t *p;
	for (ssize_t n; fx.session && (n = nghttp2_session_mem_send(fx.session, &p)) > 0;)
		assert_int_equal(stream_write(fx.stream, p, (size_t)n), 0);
}

static void until(bool (*done)(void))
{
	struct loop_timer *limit = loop_timer_new(fx.loop, gave_up, NULL);
	loop_timer_set(limit, LIMIT_MS);
	while (!done() && !fx.timed_out) {
		if (!fx.closed)
			pump();
		loop_run(fx.loop);
	}
	loop_timer_free(limit);
	assert_false(fx.timed_out);
}

static void connect_to(const struct endpoint *at, const char *alpn)
{
	struct tls_expect x = { .alpn = alpn };
	struct stream_target to = {
		.host = "dns.test", .port = at->port, .at = at, .tls = fx.tls, .expect = &x
	};
	struct stream_events ev = { .opened = opened, .data = data, .closed = closed };
	fx.stream = stream_connect(fx.loop, &to, &ev);
	until(is_opened);
}

/* ---- TLS ---- */

static size_t answers(void)
{
	size_t n = 0, at = 0;
	while (fx.got.len - at >= 2 && fx.got.len - at - 2 >= be_get(buf_data(&fx.got) + at, 2)) {
		const uint8_t *msg = buf_data(&fx.got) + at + 2;
		assert_int_equal(be_get(msg, 2), n + 1);
		assert_int_equal(msg[3] & 15, DNS_NOERROR);
		assert_int_equal(be_get(msg + 6, 2), 1);
		at += 2 + be_get(buf_data(&fx.got) + at, 2);
		n++;
	}
	return n;
}
static bool is_one(void)
{
	return answers() >= 1 || fx.closed;
}
static bool are_many(void)
{
	return answers() >= MANY || fx.closed;
}

static size_t question(uint8_t *buf, uint16_t id)
{
	size_t len = fake_question(buf + 2, "bob.mesh", DNS_A, DNS_RD);
	be_put(buf, 2, len);
	be_put(buf + 2, 2, id);
	return 2 + len;
}

static void test_tls(void **state)
{
	uint8_t buf[300];
	(void)state;
	connect_to(&fx.tls_at, "dot");
	size_t len = question(buf, 1);
	for (size_t i = 0; i < len; i++) /* byte by byte */
		assert_int_equal(stream_write(fx.stream, buf + i, 1), 0);
	until(is_one);
	assert_int_equal(answers(), 1);
	assert_int_equal(be_get(buf_data(&fx.got), 2), 468); /* RFC 8467 4.2 */
	client_close();
	connect_to(&fx.tls_at, "h2"); /* another protocol */
	assert_false(fx.opened);
	client_close();
	connect_to(&fx.tls_at, NULL); /* ALPN is not asked for */
	assert_true(fx.opened);
	stream_write(fx.stream, buf, question(buf, 1));
	until(is_one);
}

/* More than one may have out: the rest waits, and is answered. */
static void test_tls_many(void **state)
{
	uint8_t buf[300 * MANY];
	size_t len = 0;
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		len += question(buf + len, (uint16_t)(i + 1));
	connect_to(&fx.tls_at, "dot");
	assert_int_equal(stream_write(fx.stream, buf, len), 0);
	until(are_many);
	assert_int_equal(answers(), MANY);
}

/* The same where they wait for somebody: none is answered before the core gives up, and then all are. */
static size_t failures(void)
{
	size_t n = 0;
	for (size_t at = 0; fx.got.len - at >= 2 && fx.got.len - at - 2 >= be_get(buf_data(&fx.got) + at, 2);
		n++, at += 2 + be_get(buf_data(&fx.got) + at, 2))
		assert_int_equal(buf_data(&fx.got)[at + 5] & 15, DNS_SERVFAIL);
	return n;
}
static bool have_all_failed(void)
{
	return failures() >= MANY || fx.closed;
}
static void test_tls_many_wait(void **state)
{
	uint8_t buf[300 * MANY];
	struct errbuf eb;
	size_t len = 0;
	struct endpoint silent = { .ip = addr_v4(INADDR_LOOPBACK) };
	int fd = sock_udp(&silent, &eb);
	sock_local(fd, &silent);
	struct resolver_upstream up = { .at = silent };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	(void)state;
	assert_int_equal(resolver_server_configure(fx.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, &eb),
		0);
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example.com", i);
		size_t n = fake_question(buf + len + 2, name, DNS_A, DNS_RD);
		be_put(buf + len, 2, n);
		len += 2 + n;
	}
	connect_to(&fx.tls_at, "dot");
	assert_int_equal(stream_write(fx.stream, buf, len), 0);
	until(have_all_failed);
	assert_int_equal(failures(), MANY);
	assert_false(fx.closed);
	close(fd);
}

static void test_tls_garbage(void **state)
{
	static const char *const rows[] = { "\x00\x05hello", "\xff\xff", "GET / HTTP/1.1\r\n\r\n" };
	static const size_t lens[] = { 7, 2, 18 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		connect_to(&fx.tls_at, "dot");
		stream_write(fx.stream, rows[i], lens[i]);
		until(is_closed);
		client_close();
	}
	assert_int_equal(resolver_server_stats(fx.server)->tcp_garbage, 3);
}

/* Who says nothing, or not all of it, does not stay; nor does who only says that he is there. */
static void test_slow(void **state)
{
	(void)state;
	connect_to(&fx.tls_at, "dot");
	until(is_closed);
	client_close();
	connect_to(&fx.tls_at, "dot");
	stream_write(fx.stream, "\x00", 1);
	until(is_closed);
	client_close();
	connect_to(&fx.https_at, "h2");
	until(is_closed);
	assert_int_equal(resolver_server_stats(fx.server)->tcp_timeout, 3);
}

static void test_not_allowed(void **state)
{
	struct prefix other;
	struct errbuf eb;
	(void)state;
	assert_true(prefix_parse("192.0.2.0/24", &other));
	assert_int_equal(resolver_server_allow(fx.server, &other, 1, &eb), 0);
	connect_to(&fx.tls_at, "dot");
	assert_true(fx.closed && !fx.opened);
	client_close();
	connect_to(&fx.https_at, "h2");
	assert_true(fx.closed && !fx.opened);
}

/* A new certificate is for those who come; a wrong one changes nothing. */
static void test_certificate(void **state)
{
	static const char *const hosts[] = { "new.test" };
	struct errbuf eb;
	char cert[120], key[120];
	(void)state;
	snprintf(cert, sizeof(cert), "%s/new.pem", fx.dir);
	snprintf(key, sizeof(key), "%s/newkey.pem", fx.dir);
	assert_true(resolver_server_certificate(fx.server, fx.cert, "/nonexistent", &eb) < 0);
	assert_int_equal(resolver_server_certificate(fx.server, fx.cert, "/nonexistent", NULL), eb.code);
	connect_to(&fx.tls_at, "dot");
	assert_true(fx.opened);
	client_close();
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, &eb), 0);
	assert_int_equal(resolver_server_certificate(fx.server, cert, key, &eb), 0);
	connect_to(&fx.tls_at, "dot");
	assert_false(fx.opened);
	client_close();
	assert_int_equal(resolver_server_certificate(fx.server, fx.cert, fx.key, &eb), 0);
	connect_to(&fx.https_at, "h2");
	assert_true(fx.opened);
}

/* ---- HTTPS ---- */

static struct asked *asked_find(int32_t stream)
{
	size_t i = 0;
	while (i < fx.n_asked && fx.asked[i].stream != stream)
		i++;
	return i < fx.n_asked ? &fx.asked[i] : NULL;
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct asked *a = asked_find(frame->hd.stream_id);
	(void)session, (void)name_len, (void)flags, (void)user;
	if (!a)
		return 0;
	if (!strcmp((const char *)name, ":status"))
		a->status = (unsigned)atoi((const char *)value);
	else if (!strcmp((const char *)name, "content-type"))
		a->dns = !strcmp((const char *)value, "application/dns-message");
	else if (!strcmp((const char *)name, "cache-control"))
		snprintf(a->age, sizeof(a->age), "%.*s", (int)len, (const char *)value);
	return 0;
}

static int data_came(
	nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *p, size_t len, void *user)
{
	(void)session, (void)flags, (void)user;
	assert_true(buf_append(&asked_find(stream)->body, p, len));
	return 0;
}

static int stream_ended(nghttp2_session *session, int32_t stream, uint32_t error_code, void *user)
{
	struct asked *a = asked_find(stream);
	(void)session, (void)user;
	a->over = true;
	if (error_code)
		a->status = 0;
	fx.n_over++;
	return 0;
}

static void https_connect(void)
{
	nghttp2_session_callbacks *cb;
	connect_to(&fx.https_at, "h2");
	assert_true(fx.opened);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, stream_ended);
	nghttp2_session_client_new(&fx.session, cb, NULL);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(fx.session, 0, NULL, 0);
}

struct body {
	const uint8_t *p;
	size_t len;
};
static ssize_t body_read(nghttp2_session *session, int32_t stream, uint8_t *p, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct body *b = source->ptr;
	size_t n = b->len < cap ? b->len : cap;
	(void)session, (void)stream, (void)user;
	memcpy(p, b->p, n);
	b->p += n;
	b->len -= n;
	if (!b->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv) { (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

/* body NULL: none. It must last until it is sent. */
static struct asked *request(const char *method, const char *path, const char *media, struct body *body)
{
	const nghttp2_nv head[] = { pair(":method", method), pair(":scheme", "https"),
		pair(":authority", "dns.test"), pair(":path", path),
		pair("content-type", media ? media : "") };
	nghttp2_data_provider source = { .source.ptr = body, .read_callback = body_read };
	assert_true(fx.n_asked < ASKS);
	struct asked *a = &fx.asked[fx.n_asked++];
	a->stream =
		nghttp2_submit_request(fx.session, NULL, head, media ? 5 : 4, body ? &source : NULL, NULL);
	return a;
}

static void answer_check(const struct asked *a)
{
	assert_int_equal(a->status, 200);
	assert_true(a->dns && a->body.len >= DNS_HEADER);
	assert_int_equal(be_get(buf_data(&a->body) + 6, 2), 1);
	assert_int_equal(a->body.len, 468);
	assert_string_equal(a->age, "max-age=5");
}

#define GET_BOB "AAABAAABAAAAAAAAA2JvYgRtZXNoAAABAAE"
static void test_https(void **state)
{
	uint8_t msg[300], many[5000] = { 0 };
	char big[6000] = "/dns-query?dns=";
	size_t len = fake_question(msg, "bob.mesh", DNS_A, DNS_RD);
	memset(big + 15, 'A', 5600);
	const struct {
		const char *method, *path, *media;
		size_t len; /* of the body; 0: none */
		unsigned status;
	} rows[] = {
		{ "POST", "/dns-query", "application/dns-message", len, 200 },
		{ "POST", "/dns-query?dns=AAAA", "application/dns-message", len, 200 },
		{ "POST", "/dns-query", "text/plain", len, 415 },
		{ "POST", "/dns-query", NULL, len, 415 },
		{ "POST", "/dns-query", "application/dns-message", 0, 400 },
		{ "POST", "/dns-query", "application/dns-message", 5, 400 },
		{ "POST", "/dns-query", "application/dns-message", 5000, 413 },
		{ "POST", "/dns-queryx", "application/dns-message", len, 404 },
		{ "POST", "/", "application/dns-message", len, 404 },
		{ "PUT", "/dns-query", "application/dns-message", len, 405 },
		{ "GET", "/dns-query", NULL, 0, 400 },
		{ "GET", "/dns-query?dns=" GET_BOB, NULL, 0, 200 },
		{ "GET", "/dns-query?ct&dns=" GET_BOB "&x=1", NULL, 0, 200 },
		{ "GET", "/dns-query?xdns=" GET_BOB, NULL, 0, 400 },
		{ "GET", "/dns-query?dns=" GET_BOB "=", NULL, 0, 400 },
		{ "GET", "/dns-query?dns=A+A/", NULL, 0, 400 },
		{ "GET", "/dns-query?dns=AAAA", NULL, 0, 400 },
		{ "GET", big, NULL, 0, 413 },
	};
	(void)state;
	https_connect();
	memcpy(many, msg, len);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct body body = { many, rows[i].len };
		struct asked *a =
			request(rows[i].method, rows[i].path, rows[i].media, rows[i].len ? &body : NULL);
		until(are_all_over);
		if (a->status != rows[i].status)
			fail_msg("%s %.40s: %u", rows[i].method, rows[i].path, a->status);
		if (a->status == 200 && rows[i].len)
			answer_check(a);
		else if (a->status != 200)
			assert_int_equal(a->body.len, 0);
	}
	assert_false(fx.closed);
}

/* All at once, with the same id; some are given up meanwhile. */
static void test_https_many(void **state)
{
	uint8_t msg[300];
	struct body bodies[MANY];
	size_t len = fake_question(msg, "bob.mesh", DNS_A, DNS_RD);
	(void)state;
	https_connect();
	for (unsigned i = 0; i < MANY; i++) {
		bodies[i] = (struct body) { msg, len };
		struct asked *a = request("POST", "/dns-query", "application/dns-message", &bodies[i]);
		if (i % 10 == 9)
			nghttp2_submit_rst_stream(fx.session, 0, a->stream, NGHTTP2_CANCEL);
	}
	until(are_all_over);
	for (unsigned i = 0; i < MANY; i++)
		if (i % 10 != 9)
			answer_check(&fx.asked[i]);
}

/* One that begins requests and does not end them takes no place from others for long. */
static void test_https_slow(void **state)
{
	(void)state;
	https_connect();
	const nghttp2_nv head[] = { pair(":method", "POST"), pair(":scheme", "https"),
		pair(":authority", "dns.test"), pair(":path", "/dns-query") };
	fx.asked[fx.n_asked++].stream = nghttp2_submit_headers(fx.session, 0, -1, NULL, head, 4, NULL);
	until(is_closed);
	assert_int_equal(resolver_server_stats(fx.server)->tcp_timeout, 1);
}

static void test_https_nonsense(void **state)
{
	(void)state;
	connect_to(&fx.https_at, "h2");
	stream_write(fx.stream, "GET /dns-query HTTP/1.1\r\n\r\n", 27);
	until(is_closed);
}

static size_t frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, const void *body, size_t len)
{
	be_put(out, 3, len);
	out[3] = type;
	out[4] = flags;
	be_put(out + 5, 4, stream);
	memcpy(out + 9, body, len);
	return 9 + len;
}

/* One that asks on and on and reads nothing is not read either: what is to be said to it would fill the memory. */
static void test_https_deaf(void **state)
{
	enum { FLOOD = 16 << 20, QUEUE = 1 << 20, PIECE = 16384, STILL_MS = 500, SETTINGS = 4, HEADERS = 1 };
	static const uint8_t get[] = { 0x82, 0x87, 0x84, 0x01, 0x01, 'a' }; /* GET https://a/ */
	uint8_t piece[PIECE + 64];
	size_t len = 24, sent = 0, queued = SIZE_MAX;
	uint32_t id = 1;
	uint64_t moved_ms;
	(void)state;
	connect_to(&fx.https_at, "h2");
	stream_pause(fx.stream, true);
	memcpy(piece, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	len += frame(piece + len, SETTINGS, 0, 0, get, 0); /* and what the server sets is never agreed to */
	struct loop_timer *tick = loop_timer_new(fx.loop, gave_up, NULL);
	for (moved_ms = clock_now_ms(); sent < FLOOD && clock_now_ms() - moved_ms < STILL_MS && !fx.closed;) {
		for (; len < PIECE; id += 2)
			len += frame(piece + len, HEADERS, 5, id, get, sizeof(get));
		if (stream_queued(fx.stream) < QUEUE) {
			assert_int_equal(stream_write(fx.stream, piece, len), 0);
			sent += len;
			len = 0;
			moved_ms = clock_now_ms();
		}
		loop_timer_set(tick, 10);
		loop_run_once(fx.loop);
		if (stream_queued(fx.stream) != queued)
			moved_ms = clock_now_ms();
		queued = stream_queued(fx.stream);
	}
	loop_timer_free(tick);
	assert_false(fx.closed);
	assert_in_range(sent, 1, FLOOD - 1);
	stream_pause(fx.stream, false); /* it reads: all that is due comes, and more is read */
	for (fx.timed_out = false; stream_queued(fx.stream) && !fx.closed;)
		loop_run_once(fx.loop);
	assert_false(fx.closed);
}

/* A front with these upstreams is asked for bob.mesh: its rcode, and after how many ms. */
static unsigned ask_through(const struct resolver_upstream *up, size_t n, uint64_t *took_ms)
{
	uint8_t msg[300], got[600];
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct resolver_route route = { .suffix = "", .upstreams = up, .n_upstreams = n };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	struct errbuf eb;
	struct resolver_server *front = resolver_server_open(fx.loop, &o, &eb);
	assert_int_equal(resolver_server_authorities(front, fx.cert, &eb), 0);
	assert_int_equal(resolver_server_configure(front, &c, &eb), 0);
	at = resolver_server_endpoint(front, 0);
	int fd = sock_udp_connect(&at, NULL, &eb);
	size_t len = fake_question(msg, "bob.mesh", DNS_A, DNS_RD);
	uint64_t began_ms = loop_now_ms(fx.loop);
	ssize_t got_len = -1;
	assert_int_equal(write(fd, msg, len), len);
	while (got_len < 0) {
		loop_run_once(fx.loop);
		got_len = read(fd, got, sizeof(got));
	}
	*took_ms = loop_now_ms(fx.loop) - began_ms;
	close(fd);
	resolver_server_close(front);
	return got[3] & 15;
}

/* A resolver asks another, as those do that forward to us. */
static void test_resolver_to_resolver(void **state)
{
	uint64_t took_ms;
	struct dns_secure secure[2] = { { .name = "dns.test" },
		{ .by = DNS_SECURE_HTTPS, .name = "dns.test", .path = "/dns-query" } };
	struct endpoint *const to[2] = { &fx.tls_at, &fx.https_at };
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct resolver_upstream up = { .at = *to[i], .secure = &secure[i] };
		assert_int_equal(ask_through(&up, 1, &took_ms), DNS_NOERROR);
	}
}

/* One whose handshake never ends costs less than a second where there is another, and never silence. */
static void test_handshake_never_ends(void **state)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct errbuf eb;
	struct dns_secure secure = { .name = "dns.test" };
	int fd = sock_tcp_listen(&at, &eb);
	uint64_t took_ms;
	(void)state;
	sock_local(fd, &at);
	const struct resolver_upstream up[] = { { .at = at, .secure = &secure },
		{ .at = fx.tls_at, .secure = &secure } };
	assert_int_equal(ask_through(up, 2, &took_ms), DNS_NOERROR);
	assert_in_range(took_ms, 300, 2000);
	assert_int_equal(ask_through(up, 1, &took_ms), DNS_SERVFAIL);
	assert_in_range(took_ms, 0, 5000);
	close(fd);
}

/* A client for whom there is no descriptor waits, the server sleeps meanwhile, and then it comes in. */
static void test_no_descriptor_for_a_client(void **state)
{
	enum { PAUSES = 3, PAUSE_MS = 99 };
	struct rlimit before, low = { .rlim_cur = 3 };
	const struct resolver_server_stats *stats = resolver_server_stats(fx.server);
	struct errbuf eb;
	(void)state;
	int fds[] = { sock_tcp_connect(&fx.tls_at, &eb), sock_tcp_connect(&fx.https_at, &eb) };
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	uint64_t began = clock_now_ms();
	while (stats->tcp_paused < 2 * PAUSES && clock_now_ms() - began < LIMIT_MS)
		loop_run_once(fx.loop);
	assert_true(stats->tcp_paused >= 2 * PAUSES);
	assert_true(clock_now_ms() - began >= (PAUSES - 1) * PAUSE_MS);
	assert_int_equal(stats->tcp_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	while (stats->tcp_accepted < 2 && clock_now_ms() - began < 2 * LIMIT_MS)
		loop_run_once(fx.loop);
	assert_int_equal(stats->tcp_accepted, 2);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define PATIENT(t) cmocka_unit_test_setup_teardown(t, setup_patient, teardown)
#define HASTY(t) cmocka_unit_test_setup_teardown(t, setup_hasty, teardown)
	const struct CMUnitTest tests[] = { CASE(test_tls), CASE(test_tls_many), CASE(test_tls_many_wait),
		CASE(test_tls_garbage), HASTY(test_slow), CASE(test_not_allowed), CASE(test_certificate),
		CASE(test_https), CASE(test_https_many), PATIENT(test_https_deaf), HASTY(test_https_slow),
		CASE(test_https_nonsense), CASE(test_resolver_to_resolver), CASE(test_handshake_never_ends),
		CASE(test_no_descriptor_for_a_client) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
