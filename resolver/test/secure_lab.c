#include "resolver/test/secure_lab.h"

#include "mesh/os/file.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_MS = 200 };

struct secure_lab secure_lab;

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
	memset(&secure_lab, 0, sizeof(secure_lab));
	secure_lab.loop = loop_new();
	strcpy(secure_lab.dir, "/tmp/rw-secure-XXXXXX");
	assert_non_null(mkdtemp(secure_lab.dir));
	snprintf(secure_lab.cert, sizeof(secure_lab.cert), "%s/cert.pem", secure_lab.dir);
	snprintf(secure_lab.key, sizeof(secure_lab.key), "%s/key.pem", secure_lab.dir);
	secure_lab.server = resolver_server_open(secure_lab.loop, &o, &eb);
	if (!secure_lab.server || tls_self_signed(secure_lab.cert, secure_lab.key, hosts, 2, &eb) ||
		resolver_server_certificate(secure_lab.server, secure_lab.cert, secure_lab.key, &eb) ||
		resolver_server_listen_secure(secure_lab.server, &at, DNS_SECURE_TLS, &eb) ||
		resolver_server_listen_secure(secure_lab.server, &at, DNS_SECURE_HTTPS, &eb) ||
		!(secure_lab.tls = tls_client_authorities(secure_lab.cert, &eb)))
		fail_msg("%s", eb.text);
	assert_true(resolver_server_secure(secure_lab.server, 0, &secure_lab.tls_at, &by) &&
		    by == DNS_SECURE_TLS);
	assert_true(resolver_server_secure(secure_lab.server, 1, &secure_lab.https_at, &by) &&
		    by == DNS_SECURE_HTTPS);
	assert_false(resolver_server_secure(secure_lab.server, 2, &at, &by));
	assert_true(addr_parse("100.64.0.2", &ip) && !zone_add_address(z, "bob.mesh", &ip, true));
	resolver_zone_set(resolver_server_core(secure_lab.server), z);
	zone_put(z);
}

int secure_lab_setup(void **state)
{
	(void)state;
	setup_with(0);
	return 0;
}
int secure_lab_setup_hasty(void **state)
{
	(void)state;
	setup_with(SHORT_MS);
	return 0;
}

/* Slow as the machine may be, it is not for its slowness that a client is cut off. */
int secure_lab_setup_patient(void **state)
{
	enum { LONG_MS = 600000 };
	(void)state;
	setup_with(LONG_MS);
	return 0;
}

void secure_lab_hang_up(void)
{
	for (size_t i = 0; i < secure_lab.n_asked; i++)
		buf_free(&secure_lab.asked[i].body);
	if (secure_lab.session)
		nghttp2_session_del(secure_lab.session);
	stream_close(secure_lab.stream, false);
	buf_free(&secure_lab.got);
	memset(secure_lab.asked, 0, sizeof(secure_lab.asked));
	secure_lab.stream = NULL;
	secure_lab.session = NULL;
	secure_lab.n_asked = secure_lab.n_over = 0;
	secure_lab.opened = secure_lab.closed = false;
}

int secure_lab_teardown(void **state)
{
	(void)state;
	secure_lab_hang_up();
	tls_free(secure_lab.tls);
	resolver_server_close(secure_lab.server);
	dir_remove(secure_lab.dir, NULL);
	loop_free(secure_lab.loop);
	return 0;
}

/* ---- the client ---- */

static void data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	if (secure_lab.session)
		assert_int_equal(nghttp2_session_mem_recv(secure_lab.session, p, len), len);
	else
		assert_true(buf_append(&secure_lab.got, p, len));
	loop_stop(secure_lab.loop);
}

static void opened(void *arg)
{
	(void)arg;
	secure_lab.opened = true;
	loop_stop(secure_lab.loop);
}

static void closed(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	(void)why;
	secure_lab.closed = true;
	loop_stop(secure_lab.loop);
}

static void gave_up(void *arg)
{
	(void)arg;
	secure_lab.timed_out = true;
	loop_stop(secure_lab.loop);
}

static bool is_opened(void)
{
	return secure_lab.opened || secure_lab.closed;
}
bool secure_lab_is_closed(void)
{
	return secure_lab.closed;
}

static void pump(void)
{
	const uint8_t *p;
	for (ssize_t n; secure_lab.session && (n = nghttp2_session_mem_send(secure_lab.session, &p)) > 0;)
		assert_int_equal(stream_write(secure_lab.stream, p, (size_t)n), 0);
}

void secure_lab_until(bool (*done)(void))
{
	struct loop_timer *limit = loop_timer_new(secure_lab.loop, gave_up, NULL);
	loop_timer_set(limit, SECURE_LAB_LIMIT_MS);
	while (!done() && !secure_lab.timed_out) {
		if (!secure_lab.closed)
			pump();
		loop_run(secure_lab.loop);
	}
	loop_timer_free(limit);
	assert_false(secure_lab.timed_out);
}

void secure_lab_connect(const struct endpoint *at, const char *alpn)
{
	struct tls_expect x = { .alpn = alpn };
	struct stream_target to = {
		.host = "dns.test", .port = at->port, .at = at, .tls = secure_lab.tls, .expect = &x
	};
	struct stream_events ev = { .opened = opened, .data = data, .closed = closed };
	secure_lab.stream = stream_connect(secure_lab.loop, &to, &ev);
	secure_lab_until(is_opened);
}
