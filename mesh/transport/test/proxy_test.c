#include "mesh/base/key.h"
#include "mesh/os/sock.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/test/scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* --- what the variables say --- */

static void test_variables(void **state)
{
	static const struct {
		const char *value, *host;
		uint16_t port;
		const char *auth, *fault;
	} rows[] = {
		{ NULL, "", 0, "", "" },
		{ "", "", 0, "", "" },
		{ "http://10.0.0.8:3128", "10.0.0.8", 3128, "", "" },
		{ "HTTP://proxy.test", "proxy.test", 80, "", "" },
		{ "proxy.test:8080", "proxy.test", 8080, "", "" },
		{ "http://[fd00::8]:3128/", "fd00::8", 3128, "", "" },
		{ "http://me:secret@10.0.0.8:3128", "10.0.0.8", 3128, "bWU6c2VjcmV0", "" },
		{ "me:secret@10.0.0.8:3128", "10.0.0.8", 3128, "bWU6c2VjcmV0", "" },
		{ "http://me@10.0.0.8", "10.0.0.8", 80, "bWU6", "" },
		{ "http://me:s%40%3A%2f@10.0.0.8", "10.0.0.8", 80, "bWU6c0A6Lw==", "" },
		{ "http://me:a@b@10.0.0.8", "10.0.0.8", 80, "bWU6YUBi", "" },
		{ "https://10.0.0.8:3128", "", 0, "", "without TLS" },
		{ "socks5://me:secret@10.0.0.8:1080", "", 0, "", "without TLS" },
		{ "http://me:secret%zz@10.0.0.8", "", 0, "", "badly encoded" },
		{ "http://me:secret%00@10.0.0.8", "", 0, "", "badly encoded" },
		{ "http://me:secret@", "", 0, "", "no host" },
		{ "http://me:secret@10.0.0.8:99999", "", 0, "", "no host" },
		{ "http://me:secret@a b", "", 0, "", "no host" },
		{ "://", "", 0, "", "without TLS" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxies *p = proxies_new(rows[i].value, NULL, NULL);
		assert_non_null(p);
		bool ok = !strcmp(p->secure.host, rows[i].host) && !strcmp(p->secure.auth, rows[i].auth) &&
			  (!*rows[i].host || p->secure.port == rows[i].port) && !p->plain.host[0];
		ok = ok && (*rows[i].fault ? strstr(p->fault, rows[i].fault) != NULL : !p->fault[0]);
		if (!ok || strstr(p->fault, "secret"))
			fail_msg("row %zu: %s port %u auth %s: %s", i, p->secure.host, p->secure.port,
				p->secure.auth, p->fault);
		proxies_free(p);
	}
}

static void test_long_variables(void **state)
{
	char value[1200];
	(void)state;
	for (size_t user = 505; user < 515; user++) {
		snprintf(value, sizeof(value), "http://%0*d:@h", (int)user, 7);
		struct proxies *p = proxies_new(NULL, value, NULL);
		assert_non_null(p);
		assert_int_equal(p->plain.host[0] != 0, user + 1 <= PROXY_USER_MAX - 2);
		assert_int_equal(p->fault[0] != 0, user + 1 > PROXY_USER_MAX - 2);
		proxies_free(p);
	}
	for (size_t host = 250; host < 400; host++) {
		snprintf(value, sizeof(value), "http://%0*d", (int)host, 7);
		struct proxies *p = proxies_new(NULL, value, NULL);
		assert_non_null(p);
		assert_int_equal(p->plain.host[0] != 0, host < sizeof(p->plain.host));
		proxies_free(p);
	}
}

static void test_environment(void **state)
{
	char text[PROXIES_TEXT];
	(void)state;
	unsetenv("HTTP_PROXY");
	setenv("http_proxy", "http://low:p@10.0.0.8:1", 1);
	setenv("HTTPS_PROXY", "http://[fd00::8]:2", 1);
	setenv("https_proxy", "http://10.0.0.8:3", 1);
	setenv("NO_PROXY", "", 1);
	setenv("no_proxy", "example.com", 1);
	struct proxies *p = proxies_of_environment();
	assert_non_null(p);
	assert_string_equal(proxies_text(p, text), "HTTPS_PROXY=[fd00::8]:2, HTTP_PROXY=10.0.0.8:1");
	assert_string_equal(p->none, "example.com");
	proxies_free(p);
	assert_string_equal(proxies_text(NULL, text), "");
	unsetenv("http_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("https_proxy");
	unsetenv("NO_PROXY");
	unsetenv("no_proxy");
}

static void test_no_proxy(void **state)
{
	static const struct {
		const char *list, *host;
		uint16_t port;
		bool skipped;
	} rows[] = {
		{ NULL, "a.test", 443, false },
		{ "", "a.test", 443, false },
		{ "*", "a.test", 443, true },
		{ " * ", "10.0.0.1", 443, true },
		{ "a.test", "a.test", 443, true },
		{ "A.Test", "a.tesT", 443, true },
		{ "a.test", "b.a.test", 443, true },
		{ "a.test", "ba.test", 443, false },
		{ ".a.test", "b.a.test", 443, true },
		{ ".a.test", "a.test", 443, false },
		{ "*.a.test", "b.a.test", 443, true },
		{ "*.a.test", "a.test", 443, false },
		{ "x, a.test ,y", "a.test", 443, true },
		{ ",,a.test", "a.test", 443, true },
		{ ",", "a.test", 443, false },
		{ ".", "a.test", 443, false },
		{ "a.test:443", "a.test", 443, true },
		{ "a.test:443", "a.test", 80, false },
		{ "a.test:x", "a.test", 443, false },
		{ "10.0.0.1", "10.0.0.1", 443, true },
		{ "10.0.0.1:443", "10.0.0.1", 443, true },
		{ "10.0.0.1:80", "10.0.0.1", 443, false },
		{ "0.0.1", "10.0.0.1", 443, false },
		{ "10.0.0.0/8", "10.9.9.9", 443, true },
		{ "10.0.0.0/8", "11.0.0.0", 443, false },
		{ "10.0.0.0/8", "a.test", 443, false },
		{ "10.0.0.0/99", "10.0.0.0", 443, false },
		{ "fd00::/8", "fd00::1", 443, true },
		{ "fd00::1", "fd00::1", 443, true },
		{ "[fd00::1]", "fd00::1", 443, true },
		{ "[fd00::1]:443", "fd00::1", 443, true },
		{ "[fd00::1]:80", "fd00::1", 443, false },
		{ "fd00::2", "fd00::1", 443, false },
		{ "]:", "a.test", 443, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (proxy_is_skipped(rows[i].list, rows[i].host, rows[i].port) != rows[i].skipped)
			fail_msg("row %zu", i);
}

static void test_who_is_proxied(void **state)
{
	struct proxies *p = proxies_new("http://s:1", "http://p:2", "none.test");
	(void)state;
	assert_non_null(p);
	assert_ptr_equal(proxies_for(p, true, "a.test", 443), &p->secure);
	assert_ptr_equal(proxies_for(p, false, "a.test", 80), &p->plain);
	assert_null(proxies_for(p, true, "none.test", 443));
	assert_null(proxies_for(p, true, "localhost", 443));
	assert_null(proxies_for(p, true, "127.0.0.9", 443));
	assert_null(proxies_for(p, true, "::1", 443));
	assert_null(proxies_for(NULL, true, "a.test", 443));
	proxies_free(p);
	p = proxies_new(NULL, "http://p:2", NULL);
	assert_non_null(p);
	assert_null(proxies_for(p, true, "a.test", 443));
	proxies_free(p);
}

/* --- a stream by a proxy that does as the script says --- */

enum { PATIENCE_MS = 60000, SHORT_MS = 300, TRIES = 20 };

struct run {
	struct loop *loop;
	struct loop_fd *watch;
	int listener;
	struct endpoint at;
	struct tls *tls; /* of the host behind the proxy; NULL: it is plain */
	const char *answer;
	size_t piece;  /* of the answer at a time; 0: whole */
	bool hangs_up; /* after the answer */
	/* the proxy's side */
	struct stream *proxy, *host;
	char asked[2048];
	size_t n_asked, told;
	struct loop_timer *more;
	/* ours */
	struct stream *s;
	bool opened, closed;
	int code;
	char why[400], got[64];
	size_t n_got;
};

static void host_data(void *arg, const uint8_t *p, size_t len)
{
	struct run *r = arg;
	assert_int_equal(stream_write(r->host, p, len), 0);
}
static void host_closed(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	(void)why;
}

/* The host is the proxy's own socket from here on. */
static void become_host(struct run *r)
{
	struct stream_events ev = { .data = host_data, .closed = host_closed, .arg = r };
	int fd = stream_take(r->proxy);
	assert_true(fd >= 0);
	r->proxy = NULL;
	r->host = stream_accept(r->loop, fd, r->tls, &ev);
	assert_non_null(r->host);
}

static void answer_more(void *arg)
{
	struct run *r = arg;
	size_t left = strlen(r->answer) - r->told, n = r->piece && r->piece < left ? r->piece : left;
	if (!r->proxy)
		return;
	assert_int_equal(stream_write(r->proxy, r->answer + r->told, n), 0);
	r->told += n;
	if (n < left) {
		loop_timer_set(r->more, 0);
	} else if (r->hangs_up) {
		stream_close(r->proxy, true);
		r->proxy = NULL;
	} else if (strstr(r->answer, " 200 ")) {
		become_host(r);
	}
}

static void proxy_data(void *arg, const uint8_t *p, size_t len)
{
	struct run *r = arg;
	assert_true(r->n_asked + len < sizeof(r->asked));
	memcpy(r->asked + r->n_asked, p, len);
	r->n_asked += len;
	if (strstr(r->asked, "\r\n\r\n") && r->answer)
		loop_timer_set(r->more, 0);
}
static void proxy_closed(void *arg, int code, const char *why)
{
	struct run *r = arg;
	(void)code;
	(void)why;
	stream_close(r->proxy, false);
	r->proxy = NULL;
}

static void incoming(void *arg, int what)
{
	struct run *r = arg;
	struct stream_events ev = { .data = proxy_data, .closed = proxy_closed, .arg = r };
	(void)what;
	int fd = sock_accept(r->listener, NULL);
	if (fd >= 0)
		r->proxy = stream_accept(r->loop, fd, NULL, &ev);
}

static void opened(void *arg)
{
	struct run *r = arg;
	r->opened = true;
	assert_int_equal(stream_write(r->s, "hello", 5), 0);
}
static void data(void *arg, const uint8_t *p, size_t len)
{
	struct run *r = arg;
	assert_true(r->n_got + len < sizeof(r->got));
	memcpy(r->got + r->n_got, p, len);
	r->n_got += len;
	if (r->n_got >= 5)
		loop_stop(r->loop);
}
static void closed(void *arg, int code, const char *why)
{
	struct run *r = arg;
	r->closed = true;
	r->code = code;
	snprintf(r->why, sizeof(r->why), "%s", why);
	loop_stop(r->loop);
}

static void gave_up(void *arg)
{
	(void)arg;
	fail_msg("nothing happened");
}

/* user: "" or "me:secret@". host: whom the stream is for. */
static void run(struct run *r, const char *user, const char *host, struct tls *client, uint64_t timeout_ms)
{
	char url[80];
	r->loop = loop_new();
	r->listener = scratch_listen(&r->at);
	r->watch = loop_fd_new(r->loop, r->listener, incoming, r);
	loop_fd_set(r->watch, LOOP_READ);
	r->more = loop_timer_new(r->loop, answer_more, r);
	struct loop_timer *bound = loop_timer_new(r->loop, gave_up, NULL);
	loop_timer_set(bound, PATIENCE_MS);
	snprintf(url, sizeof(url), "http://%s127.0.0.1:%u", user, r->at.port);
	struct proxies *by = proxies_new(client ? url : NULL, client ? NULL : url, NULL);
	struct endpoint unused = { .ip = addr_v4(0xcb007101), .port = 1 };
	struct stream_target to = { .host = host,
		.port = 443,
		.at = &unused,
		.tls = client,
		.proxies = by,
		.timeout_ms = timeout_ms };
	struct stream_events ev = { .opened = opened, .data = data, .closed = closed, .arg = r };
	r->s = stream_connect(r->loop, &to, &ev);
	assert_non_null(r->s);
	loop_run(r->loop);
	stream_close(r->s, false);
	stream_close(r->proxy, false);
	stream_close(r->host, false);
	loop_timer_free(bound);
	loop_timer_free(r->more);
	loop_fd_free(r->watch);
	close(r->listener);
	loop_free(r->loop);
	proxies_free(by);
}

static void test_through(void **state)
{
	static const struct {
		const char *answer;
		size_t piece;
	} rows[] = {
		{ "HTTP/1.1 200 Connection established\r\n\r\n", 0 },
		{ "HTTP/1.1 200 Connection established\r\n\r\n", 1 },
		{ "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n", 7 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 0 }, /* means nothing here */
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 0 },
		{ "HTTP/1.1 103 Wait\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 3 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct run r = { .answer = rows[i].answer, .piece = rows[i].piece };
		run(&r, "", "relay.test", NULL, 0);
		if (!r.opened || r.closed || memcmp(r.got, "hello", 5) != 0)
			fail_msg("row %zu: %s", i, r.why);
		assert_string_equal(
			r.asked, "CONNECT relay.test:443 HTTP/1.1\r\nHost: relay.test:443\r\n\r\n");
	}
}

/* The certificate is the host's, not the proxy's. */
static void test_tls_through(void **state)
{
	struct scratch sc;
	struct run r = { .answer = "HTTP/1.1 200 OK\r\n\r\n", .piece = 2 };
	(void)state;
	scratch_init(&sc);
	r.tls = scratch_server(&sc);
	struct tls *client = tls_client(sc.pin, NULL);
	run(&r, "me:secret@", "relay.test", client, 0);
	assert_true(r.opened);
	assert_memory_equal(r.got, "hello", 5);
	assert_string_equal(r.asked, "CONNECT relay.test:443 HTTP/1.1\r\nHost: relay.test:443\r\n"
				     "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
	tls_free(client);
	tls_free(r.tls);
	scratch_fini(&sc);
}

/* Without a name the address is asked for. */
static void test_addresses(void **state)
{
	static const struct {
		const char *host, *asked;
	} rows[] = {
		{ "", "CONNECT 203.0.113.1:443 " },
		{ "192.0.2.9", "CONNECT 192.0.2.9:443 " },
		{ "2001:db8::9", "CONNECT [2001:db8::9]:443 HTTP/1.1\r\nHost: [2001:db8::9]:443\r\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct run r = { .answer = "HTTP/1.1 200 OK\r\n\r\n" };
		run(&r, "", rows[i].host, NULL, 0);
		if (!r.opened || strncmp(r.asked, rows[i].asked, strlen(rows[i].asked)) != 0)
			fail_msg("row %zu: %s: %s", i, r.asked, r.why);
	}
}

/* A relay's name is its server's word: it must not say requests of its own with the user's password at the proxy. */
static void test_bad_names(void **state)
{
	static const char *const rows[] = { "a/\r\nX: y\r\n\r\nPOST http://inside/do HTTP/1.1\r\nX:", "a\nb",
		"a b", "\ta", "a\x7f", "a\x80", "\r" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct run r = { .answer = "HTTP/1.1 200 OK\r\n\r\n" };
		run(&r, "me:secret@", rows[i], NULL, 0);
		if (r.code != ERR_MALFORMED || r.opened || r.n_asked)
			fail_msg("row %zu: %d, asked %s", i, r.code, r.asked);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *user, *answer;
		bool hangs_up;
		int code;
		const char *why;
	} rows[] = {
		{ "",
			"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: "
			"4\r\n\r\nbody",
			false, ERR_REFUSED, "set HTTP_PROXY to http://USER:PASSWORD@" },
		{ "", "HTTP/1.1 407 No\r\n\r\n", true, ERR_REFUSED, "wants a user and a password (407)" },
		{ "me:secret@",
			"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: basic\r\n\r\n",
			false, ERR_REFUSED, "does not take the user and password of HTTP_PROXY" },
		{ "me:secret@", "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\n\r\n", false,
			ERR_REFUSED, "only Basic is" },
		{ "", "HTTP/1.1 403 Forbidden\r\n\r\n", false, ERR_REFUSED,
			"answers 403 Forbidden when asked for relay.test port 443" },
		{ "", "HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", false, ERR_REFUSED, "302" },
		{ "", "SSH-2.0-OpenSSH\r\n", false, ERR_MALFORMED, "does not speak HTTP" },
		{ "", "HTTP/1.1 200 OK\r\nA b\r\n\r\n", false, ERR_MALFORMED, "does not speak HTTP" },
		{ "", "HTTP/1.1 200 OK\r\n\r\nextra", false, ERR_MALFORMED, "more than its answer" },
		{ "", "", true, ERR_CLOSED, "without an answer" },
		{ "", "HTTP/1.1 2", true, ERR_CLOSED, "in the middle" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t piece = 0; piece < 2; piece++) {
			struct run r = {
				.answer = rows[i].answer, .hangs_up = rows[i].hangs_up, .piece = piece
			};
			bool whole_only = strstr(rows[i].answer, "extra");
			if (piece && whole_only)
				continue; /* what is read later is the host's */
			run(&r, rows[i].user, "relay.test", NULL, 0);
			if (r.opened || r.code != rows[i].code || !strstr(r.why, rows[i].why) ||
				strncmp(r.why, "the proxy 127.0.0.1:", 20) != 0 || strstr(r.why, "secret"))
				fail_msg("row %zu: %d %s", i, r.code, r.why);
		}
	}
}

/* Heads, and interim answers without end, are bounded. */
static void test_too_long(void **state)
{
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	size_t size = 4 * HTTP_HEAD_BYTES_MAX;
	char *text = malloc(size + 1);
	(void)state;
	assert_non_null(text);
	for (int kind = 0; kind < 2; kind++) {
		size_t n = 0;
		if (kind == 0) {
			memset(text, 'a', size);
			memcpy(text, "HTTP/1.1 200 OK\r\nA: ", 20);
			n = size;
		}
		for (; kind == 1 && n + sizeof(interim) < size; n += sizeof(interim) - 1)
			memcpy(text + n, interim, sizeof(interim) - 1);
		text[n] = '\0';
		struct run r = { .answer = text };
		run(&r, "", "relay.test", NULL, 0);
		assert_false(r.opened);
		assert_int_equal(r.code, ERR_TOO_LARGE);
		assert_non_null(strstr(r.why, "too long an answer"));
	}
	free(text);
}

static void test_silence(void **state)
{
	static const char *const answers[] = { NULL, "HTTP/1.1 200" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct run r;
		int tries = 0;
		/* On a machine that stands still the time may be over before anything was asked. */
		do {
			r = (struct run) { .answer = answers[i] };
			run(&r, "", "relay.test", NULL, SHORT_MS);
			assert_int_equal(r.code, -ETIMEDOUT);
		} while (!r.n_asked && ++tries < TRIES);
		assert_non_null(strstr(r.why, "did not answer in time"));
		assert_non_null(strstr(r.why, "the proxy 127.0.0.1:"));
	}
}

/* Nobody is there. */
static void test_no_proxy_there(void **state)
{
	struct endpoint at;
	char url[64];
	struct run r = { .loop = loop_new() };
	int fd = scratch_listen(&at);
	(void)state;
	close(fd);
	snprintf(url, sizeof(url), "127.0.0.1:%u", at.port);
	struct proxies *by = proxies_new(NULL, url, NULL);
	struct stream_target to = { .host = "relay.test", .port = 443, .proxies = by };
	struct stream_events ev = { .opened = opened, .data = data, .closed = closed, .arg = &r };
	r.s = stream_connect(r.loop, &to, &ev);
	loop_run(r.loop);
	assert_int_equal(r.code, -ECONNREFUSED);
	assert_non_null(strstr(r.why, "connect to the proxy 127.0.0.1 ("));
	stream_close(r.s, false);
	loop_free(r.loop);
	proxies_free(by);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_long_variables),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_who_is_proxied),
		cmocka_unit_test(test_through),
		cmocka_unit_test(test_tls_through),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_no_proxy_there),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
