/* Clients by TLS on loopback, in the server's loop, and what those by HTTPS have in common with them. */
#include "resolver/listen.h"

#include "mesh/base/buf.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "resolver/test/fake.h"
#include "resolver/test/secure_lab.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MANY = 150 };

static size_t answers(void)
{
	size_t n = 0, at = 0;
	while (secure_lab.got.len - at >= 2 &&
		secure_lab.got.len - at - 2 >= be_get(buf_data(&secure_lab.got) + at, 2)) {
		const uint8_t *msg = buf_data(&secure_lab.got) + at + 2;
		assert_int_equal(be_get(msg, 2), n + 1);
		assert_int_equal(msg[3] & 15, DNS_NOERROR);
		assert_int_equal(be_get(msg + 6, 2), 1);
		at += 2 + be_get(buf_data(&secure_lab.got) + at, 2);
		n++;
	}
	return n;
}
static bool is_one(void)
{
	return answers() >= 1 || secure_lab.closed;
}
static bool are_many(void)
{
	return answers() >= MANY || secure_lab.closed;
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
	secure_lab_connect(&secure_lab.tls_at, "dot");
	size_t len = question(buf, 1);
	for (size_t i = 0; i < len; i++) /* byte by byte */
		assert_int_equal(stream_write(secure_lab.stream, buf + i, 1), 0);
	secure_lab_until(is_one);
	assert_int_equal(answers(), 1);
	assert_int_equal(be_get(buf_data(&secure_lab.got), 2), 468); /* RFC 8467 4.2 */
	secure_lab_hang_up();
	secure_lab_connect(&secure_lab.tls_at, "h2"); /* another protocol */
	assert_false(secure_lab.opened);
	secure_lab_hang_up();
	secure_lab_connect(&secure_lab.tls_at, NULL); /* ALPN is not asked for */
	assert_true(secure_lab.opened);
	stream_write(secure_lab.stream, buf, question(buf, 1));
	secure_lab_until(is_one);
}

/* More than one may have out: the rest waits, and is answered. */
static void test_tls_many(void **state)
{
	uint8_t buf[300 * MANY];
	size_t len = 0;
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		len += question(buf + len, (uint16_t)(i + 1));
	secure_lab_connect(&secure_lab.tls_at, "dot");
	assert_int_equal(stream_write(secure_lab.stream, buf, len), 0);
	secure_lab_until(are_many);
	assert_int_equal(answers(), MANY);
}

/* The same where they wait for somebody: none is answered before the core gives up, and then all are. */
static size_t failures(void)
{
	size_t n = 0;
	for (size_t at = 0; secure_lab.got.len - at >= 2 &&
			    secure_lab.got.len - at - 2 >= be_get(buf_data(&secure_lab.got) + at, 2);
		n++, at += 2 + be_get(buf_data(&secure_lab.got) + at, 2))
		assert_int_equal(buf_data(&secure_lab.got)[at + 5] & 15, DNS_SERVFAIL);
	return n;
}
static bool have_all_failed(void)
{
	return failures() >= MANY || secure_lab.closed;
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
	assert_int_equal(resolver_server_configure(secure_lab.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, &eb),
		0);
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example.com", i);
		size_t n = fake_question(buf + len + 2, name, DNS_A, DNS_RD);
		be_put(buf + len, 2, n);
		len += 2 + n;
	}
	secure_lab_connect(&secure_lab.tls_at, "dot");
	assert_int_equal(stream_write(secure_lab.stream, buf, len), 0);
	secure_lab_until(have_all_failed);
	assert_int_equal(failures(), MANY);
	assert_false(secure_lab.closed);
	close(fd);
}

static void test_tls_garbage(void **state)
{
	static const char *const rows[] = { "\x00\x05hello", "\xff\xff", "GET / HTTP/1.1\r\n\r\n" };
	static const size_t lens[] = { 7, 2, 18 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		secure_lab_connect(&secure_lab.tls_at, "dot");
		stream_write(secure_lab.stream, rows[i], lens[i]);
		secure_lab_until(secure_lab_is_closed);
		secure_lab_hang_up();
	}
	assert_int_equal(resolver_server_stats(secure_lab.server)->tcp_garbage, 3);
}

/* Who says nothing, or not all of it, does not stay; nor does who only says that he is there. */
static void test_slow(void **state)
{
	(void)state;
	secure_lab_connect(&secure_lab.tls_at, "dot");
	secure_lab_until(secure_lab_is_closed);
	secure_lab_hang_up();
	secure_lab_connect(&secure_lab.tls_at, "dot");
	stream_write(secure_lab.stream, "\x00", 1);
	secure_lab_until(secure_lab_is_closed);
	secure_lab_hang_up();
	secure_lab_connect(&secure_lab.https_at, "h2");
	secure_lab_until(secure_lab_is_closed);
	assert_int_equal(resolver_server_stats(secure_lab.server)->tcp_timeout, 3);
}

static void test_not_allowed(void **state)
{
	struct prefix other;
	struct errbuf eb;
	(void)state;
	assert_true(prefix_parse("192.0.2.0/24", &other));
	assert_int_equal(resolver_server_allow(secure_lab.server, &other, 1, &eb), 0);
	secure_lab_connect(&secure_lab.tls_at, "dot");
	assert_true(secure_lab.closed && !secure_lab.opened);
	secure_lab_hang_up();
	secure_lab_connect(&secure_lab.https_at, "h2");
	assert_true(secure_lab.closed && !secure_lab.opened);
}

/* A new certificate is for those who come; a wrong one changes nothing. */
static void test_certificate(void **state)
{
	static const char *const hosts[] = { "new.test" };
	struct errbuf eb;
	char cert[120], key[120];
	(void)state;
	snprintf(cert, sizeof(cert), "%s/new.pem", secure_lab.dir);
	snprintf(key, sizeof(key), "%s/newkey.pem", secure_lab.dir);
	assert_true(resolver_server_certificate(secure_lab.server, secure_lab.cert, "/nonexistent", &eb) < 0);
	assert_int_equal(
		resolver_server_certificate(secure_lab.server, secure_lab.cert, "/nonexistent", NULL),
		eb.code);
	secure_lab_connect(&secure_lab.tls_at, "dot");
	assert_true(secure_lab.opened);
	secure_lab_hang_up();
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, &eb), 0);
	assert_int_equal(resolver_server_certificate(secure_lab.server, cert, key, &eb), 0);
	secure_lab_connect(&secure_lab.tls_at, "dot");
	assert_false(secure_lab.opened);
	secure_lab_hang_up();
	assert_int_equal(
		resolver_server_certificate(secure_lab.server, secure_lab.cert, secure_lab.key, &eb), 0);
	secure_lab_connect(&secure_lab.https_at, "h2");
	assert_true(secure_lab.opened);
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
	struct resolver_server *front = resolver_server_open(secure_lab.loop, &o, &eb);
	assert_int_equal(resolver_server_authorities(front, secure_lab.cert, &eb), 0);
	assert_int_equal(resolver_server_configure(front, &c, &eb), 0);
	at = resolver_server_endpoint(front, 0);
	int fd = sock_udp_connect(&at, NULL, &eb);
	size_t len = fake_question(msg, "bob.mesh", DNS_A, DNS_RD);
	uint64_t began_ms = loop_now_ms(secure_lab.loop);
	ssize_t got_len = -1;
	assert_int_equal(write(fd, msg, len), len);
	while (got_len < 0) {
		loop_run_once(secure_lab.loop);
		got_len = read(fd, got, sizeof(got));
	}
	*took_ms = loop_now_ms(secure_lab.loop) - began_ms;
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
	struct endpoint *const to[2] = { &secure_lab.tls_at, &secure_lab.https_at };
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
		{ .at = secure_lab.tls_at, .secure = &secure } };
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
	const struct resolver_server_stats *stats = resolver_server_stats(secure_lab.server);
	struct errbuf eb;
	(void)state;
	int fds[] = { sock_tcp_connect(&secure_lab.tls_at, &eb),
		sock_tcp_connect(&secure_lab.https_at, &eb) };
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	uint64_t began = clock_now_ms();
	while (stats->tcp_paused < 2 * PAUSES && clock_now_ms() - began < SECURE_LAB_LIMIT_MS)
		loop_run_once(secure_lab.loop);
	assert_true(stats->tcp_paused >= 2 * PAUSES);
	assert_true(clock_now_ms() - began >= (PAUSES - 1) * PAUSE_MS);
	assert_int_equal(stats->tcp_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	while (stats->tcp_accepted < 2 && clock_now_ms() - began < 2 * SECURE_LAB_LIMIT_MS)
		loop_run_once(secure_lab.loop);
	assert_int_equal(stats->tcp_accepted, 2);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, secure_lab_setup, secure_lab_teardown)
#define HASTY(t) cmocka_unit_test_setup_teardown(t, secure_lab_setup_hasty, secure_lab_teardown)
	const struct CMUnitTest tests[] = { CASE(test_tls), CASE(test_tls_many), CASE(test_tls_many_wait),
		CASE(test_tls_garbage), HASTY(test_slow), CASE(test_not_allowed), CASE(test_certificate),
		CASE(test_resolver_to_resolver), CASE(test_handshake_never_ends),
		CASE(test_no_descriptor_for_a_client) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
