/* Clients by HTTPS on loopback, in the server's loop. */
#include "resolver/listen.h"

#include "mesh/base/buf.h"
#include "mesh/transport/stream.h"
#include "resolver/test/fake.h"
#include "resolver/test/secure_lab.h"
#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 150 };

static struct secure_asked *asked_find(int32_t stream)
{
	size_t i = 0;
	while (i < secure_lab.n_asked && secure_lab.asked[i].stream != stream)
		i++;
	return i < secure_lab.n_asked ? &secure_lab.asked[i] : NULL;
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct secure_asked *a = asked_find(frame->hd.stream_id);
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
	struct secure_asked *a = asked_find(stream);
	(void)session, (void)user;
	a->over = true;
	if (error_code)
		a->status = 0;
	secure_lab.n_over++;
	return 0;
}

static bool are_all_over(void)
{
	return secure_lab.n_over == secure_lab.n_asked || secure_lab.closed;
}

static void https_connect(void)
{
	nghttp2_session_callbacks *cb;
	secure_lab_connect(&secure_lab.https_at, "h2");
	assert_true(secure_lab.opened);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, stream_ended);
	nghttp2_session_client_new(&secure_lab.session, cb, NULL);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(secure_lab.session, 0, NULL, 0);
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
static struct secure_asked *request(
	const char *method, const char *path, const char *media, struct body *body)
{
	const nghttp2_nv head[] = { pair(":method", method), pair(":scheme", "https"),
		pair(":authority", "dns.test"), pair(":path", path),
		pair("content-type", media ? media : "") };
	nghttp2_data_provider source = { .source.ptr = body, .read_callback = body_read };
	assert_true(secure_lab.n_asked < SECURE_LAB_ASKS);
	struct secure_asked *a = &secure_lab.asked[secure_lab.n_asked++];
	a->stream = nghttp2_submit_request(
		secure_lab.session, NULL, head, media ? 5 : 4, body ? &source : NULL, NULL);
	return a;
}

static void answer_check(const struct secure_asked *a)
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
		struct secure_asked *a =
			request(rows[i].method, rows[i].path, rows[i].media, rows[i].len ? &body : NULL);
		secure_lab_until(are_all_over);
		if (a->status != rows[i].status)
			fail_msg("%s %.40s: %u", rows[i].method, rows[i].path, a->status);
		if (a->status == 200 && rows[i].len)
			answer_check(a);
		else if (a->status != 200)
			assert_int_equal(a->body.len, 0);
	}
	assert_false(secure_lab.closed);
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
		struct secure_asked *a = request("POST", "/dns-query", "application/dns-message", &bodies[i]);
		if (i % 10 == 9)
			nghttp2_submit_rst_stream(secure_lab.session, 0, a->stream, NGHTTP2_CANCEL);
	}
	secure_lab_until(are_all_over);
	for (unsigned i = 0; i < MANY; i++)
		if (i % 10 != 9)
			answer_check(&secure_lab.asked[i]);
}

/* One that begins requests and does not end them takes no place from others for long. */
static void test_https_slow(void **state)
{
	(void)state;
	https_connect();
	const nghttp2_nv head[] = { pair(":method", "POST"), pair(":scheme", "https"),
		pair(":authority", "dns.test"), pair(":path", "/dns-query") };
	secure_lab.asked[secure_lab.n_asked++].stream =
		nghttp2_submit_headers(secure_lab.session, 0, -1, NULL, head, 4, NULL);
	secure_lab_until(secure_lab_is_closed);
	assert_int_equal(resolver_server_stats(secure_lab.server)->tcp_timeout, 1);
}

static void test_https_nonsense(void **state)
{
	(void)state;
	secure_lab_connect(&secure_lab.https_at, "h2");
	stream_write(secure_lab.stream, "GET /dns-query HTTP/1.1\r\n\r\n", 27);
	secure_lab_until(secure_lab_is_closed);
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

static void passed(void *arg)
{
	(void)arg;
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
	secure_lab_connect(&secure_lab.https_at, "h2");
	stream_pause(secure_lab.stream, true);
	memcpy(piece, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	len += frame(piece + len, SETTINGS, 0, 0, get, 0); /* and what the server sets is never agreed to */
	struct loop_timer *tick = loop_timer_new(secure_lab.loop, passed, NULL);
	for (moved_ms = clock_now_ms();
		sent < FLOOD && clock_now_ms() - moved_ms < STILL_MS && !secure_lab.closed;) {
		for (; len < PIECE; id += 2)
			len += frame(piece + len, HEADERS, 5, id, get, sizeof(get));
		if (stream_queued(secure_lab.stream) < QUEUE) {
			assert_int_equal(stream_write(secure_lab.stream, piece, len), 0);
			sent += len;
			len = 0;
			moved_ms = clock_now_ms();
		}
		loop_timer_set(tick, 10);
		loop_run_once(secure_lab.loop);
		if (stream_queued(secure_lab.stream) != queued)
			moved_ms = clock_now_ms();
		queued = stream_queued(secure_lab.stream);
	}
	loop_timer_free(tick);
	assert_false(secure_lab.closed);
	assert_in_range(sent, 1, FLOOD - 1);
	stream_pause(secure_lab.stream, false); /* it reads: all that is due comes, and more is read */
	while (stream_queued(secure_lab.stream) && !secure_lab.closed)
		loop_run_once(secure_lab.loop);
	assert_false(secure_lab.closed);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, secure_lab_setup, secure_lab_teardown)
#define HASTY(t) cmocka_unit_test_setup_teardown(t, secure_lab_setup_hasty, secure_lab_teardown)
#define PATIENT(t) cmocka_unit_test_setup_teardown(t, secure_lab_setup_patient, secure_lab_teardown)
	const struct CMUnitTest tests[] = { CASE(test_https), CASE(test_https_many), PATIENT(test_https_deaf),
		HASTY(test_https_slow), CASE(test_https_nonsense) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
