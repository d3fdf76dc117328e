/* Orders against an authority that answers as a row says: each fault ends the order with a sentence, and
 * nothing of an answer gets where it does not belong. What a real authority does is
 * scenarios/interop/acme.yaml. */
#include "mesh/acme/acme.h"
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include "mesh/os/test/fake_proxy.h"
#include "mesh/transport/proxy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LIMIT_MS = 20000 };

struct authority {
	struct loop *loop;
	struct tls *tls;
	struct loop_fd *watch;
	struct loop_timer *limit;
	struct endpoint at;
	int fd;
	char dir[64], base[64], directory[96];
	struct jose_key *key;
	/* What one path answers instead of the good thing: status, body ("" = empty). */
	const char *odd_path, *odd_body;
	int odd_status, odd_times, odd_skip; /* so many times, -1 = always; after so many good ones */
	unsigned asked, nonces, polls;
	/* The order. */
	struct acme *order;
	bool over, prepared;
	int code;
	char why[512], token[ACME_TOKEN_MAX + 1], pem[512];
};

static void answer(struct authority *t, struct http_server_conn *c, int status, const char *location,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void answer(struct authority *t, struct http_server_conn *c, int status, const char *location,
	const char *fmt, ...)
{
	char body[1024], extra[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	int n = snprintf(extra, sizeof(extra), "Replay-Nonce: nonce%u\r\n", ++t->nonces);
	if (location)
		snprintf(extra + n, sizeof(extra) - (size_t)n, "Location: %s%s\r\n", t->base, location);
	http_reply(c, status, "application/json", extra, body, strlen(body));
}

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct authority *t = arg;
	const char *p = head->target, *b = t->base;
	(void)body;
	(void)len;
	t->asked++;
	bool odd = t->odd_path && !strcmp(p, t->odd_path) && t->odd_times && --t->odd_skip < 0;
	if (odd) {
		t->odd_times -= t->odd_times > 0;
		answer(t, c, t->odd_status, NULL, "%s", t->odd_body);
	} else if (!strcmp(p, "/dir")) {
		answer(t, c, 200, NULL,
			"{\"newNonce\":\"%s/nonce\",\"newAccount\":\"%s/acct\",\"newOrder\":\"%s/order\"}", b,
			b, b);
	} else if (!strcmp(p, "/nonce")) {
		answer(t, c, 200, NULL, "%s", "");
	} else if (!strcmp(p, "/acct")) {
		answer(t, c, 201, "/acct/1", "{\"status\":\"valid\"}");
	} else if (!strcmp(p, "/order")) {
		answer(t, c, 201, "/order/1",
			"{\"status\":\"pending\",\"authorizations\":[\"%s/authz\"],\"finalize\":\"%s/fin\"}",
			b, b);
	} else if (!strcmp(p, "/authz")) {
		answer(t, c, 200, NULL,
			"{\"status\":\"%s\",\"challenges\":[{\"type\":\"dns-01\",\"url\":\"%s/"
			"no\",\"token\":\"no\"},"
			"{\"type\":\"http-01\",\"url\":\"%s/chal\",\"token\":\"tok_1\"}]}",
			t->prepared && t->polls++ ? "valid" : "pending", b, b);
	} else if (!strcmp(p, "/chal")) {
		answer(t, c, 200, NULL, "{}");
	} else if (!strcmp(p, "/fin")) {
		answer(t, c, 200, NULL, "{\"status\":\"processing\"}");
	} else if (!strcmp(p, "/order/1")) {
		answer(t, c, 200, NULL, "{\"status\":\"valid\",\"certificate\":\"%s/cert\"}", b);
	} else if (!strcmp(p, "/cert")) {
		answer(t, c, 200, NULL, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----");
	} else {
		answer(t, c, 404, NULL, "{}");
	}
}

static void readable(void *arg, int events)
{
	struct authority *t = arg;
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = { .request = request, .arg = t };
	int fd = sock_accept(t->fd, NULL);
	(void)events;
	if (fd >= 0)
		(void)http_server_accept(t->loop, stream_accept(t->loop, fd, t->tls, &none), &ops);
}

static void too_late(void *arg)
{
	fail_msg("not over in %d ms; %u requests", LIMIT_MS, ((struct authority *)arg)->asked);
}

static int setup(void **state)
{
	struct authority *t = calloc(1, sizeof(*t));
	struct errbuf eb = { 0 };
	char cert[96], key[96], at[ENDPOINT_TEXT];
	const char *names[] = { "127.0.0.1" };
	assert_non_null(t);
	strcpy(t->dir, "/tmp/rw-acme-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(cert, sizeof(cert), "%s/c.crt", t->dir);
	snprintf(key, sizeof(key), "%s/c.pem", t->dir);
	if (tls_self_signed(cert, key, names, 1, &eb))
		fail_msg("%s", eb.text);
	setenv("SSL_CERT_FILE", cert, 1);
	t->tls = tls_server(cert, key, &eb);
	t->loop = loop_new();
	t->limit = loop_timer_new(t->loop, too_late, t);
	t->at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	t->fd = sock_tcp_listen(&t->at, &eb);
	sock_local(t->fd, &t->at);
	t->watch = loop_fd_new(t->loop, t->fd, readable, t);
	loop_fd_set(t->watch, LOOP_READ);
	snprintf(t->base, sizeof(t->base), "https://%s", endpoint_format(&t->at, at));
	snprintf(t->directory, sizeof(t->directory), "%s/dir", t->base);
	t->key = jose_key_make();
	assert_non_null(t->key);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct authority *t = *state;
	acme_free(t->order);
	loop_timer_free(t->limit);
	loop_fd_free(t->watch);
	close(t->fd);
	loop_free(t->loop);
	tls_free(t->tls);
	jose_key_free(t->key);
	dir_remove(t->dir, NULL);
	free(t);
	return 0;
}

static bool prepare(void *arg, const char *token, const char *key_authorization)
{
	struct authority *t = arg;
	char thumb[JOSE_THUMBPRINT];
	t->prepared = true;
	snprintf(t->token, sizeof(t->token), "%s", token);
	assert_true(jose_thumbprint(t->key, thumb));
	assert_string_equal(strchr(key_authorization, '.') + 1, thumb);
	return true;
}

static void done(void *arg, int code, const char *pem, size_t len, const char *why)
{
	struct authority *t = arg;
	t->over = true;
	t->code = code;
	snprintf(t->why, sizeof(t->why), "%s", why);
	snprintf(t->pem, sizeof(t->pem), "%.*s", (int)len, pem ? pem : "");
	acme_free(t->order); /* allowed from here */
	t->order = NULL;
}

static void run(struct authority *t)
{
	const struct acme_options o = { .directory = t->directory,
		.email = "a@hs.test",
		.host = "hs.test",
		.account = t->key,
		.challenge = ACME_HTTP_01 };
	const struct acme_ops ops = { .prepare = prepare, .done = done, .arg = t };
	t->over = t->prepared = false;
	t->asked = t->polls = 0;
	t->order = acme_order(t->loop, &o, &ops);
	assert_non_null(t->order);
	loop_timer_set(t->limit, LIMIT_MS);
	while (!t->over)
		loop_run_once(t->loop);
	loop_timer_clear(t->limit);
}

static void test_issued(void **state)
{
	struct authority *t = *state;
	run(t);
	assert_string_equal(t->why, "");
	assert_int_equal(t->code, 0);
	assert_string_equal(t->token, "tok_1");
	/* The chain, then the key that was made for it. */
	assert_int_equal(strncmp(t->pem, "-----BEGIN CERTIFICATE-----", 27), 0);
	assert_non_null(strstr(t->pem, "-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"));
}

#define BAD_NONCE "{\"type\":\"urn:ietf:params:acme:error:badNonce\",\"detail\":\"stale\"}"
#define LIMITED "{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"too many\\u0007\\n\"}"

static void test_odd(void **state)
{
	static const struct {
		const char *path;
		int status, times;
		const char *body, *why; /* why NULL: it works all the same */
	} rows[] = {
		{ "/dir", 200, -1, "{}", "its directory: this is no ACME directory" },
		{ "/dir", 200, -1, "[]", "its directory: its answer is no JSON object" },
		{ "/dir", 200, -1, "<html>", "its directory: its answer is no JSON object" },
		{ "/dir", 500, -1, "oops", "its directory: it answered with HTTP status 500" },
		{ "/dir", 200, -1,
			"{\"newNonce\":\"http://127.0.0.1:1/n\",\"newAccount\":\"https://"
			"a\",\"newOrder\":\"https://a\"}",
			"a nonce: it names an address that is not https://" },
		{ "/dir", 200, -1,
			"{\"newNonce\":\"https://a\\\"b\",\"newAccount\":\"https://a\",\"newOrder\":\"https:/"
			"/a\"}",
			"its directory: this is no ACME directory" },
		{ "/acct", 400, 3, BAD_NONCE, NULL },
		{ "/order/1", 400, 7, BAD_NONCE, NULL },
		{ "/order/1", 400, -1, BAD_NONCE, "the order: it says \"stale\" (badNonce)" },
		{ "/acct", 200, -1, "{}", "the account: it names no account" },
		{ "/order", 429, -1, LIMITED, "the order: it says \"too many??\" (rateLimited)" },
		{ "/order", 201, -1, "{}", "the order: it names no order" },
		{ "/authz", 200, -1, "{\"status\":\"pending\",\"challenges\":[]}",
			"the authorization: it does not offer the challenge that the settings ask for" },
		{ "/authz", 200, -1,
			"{\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://a/c\",\"token\":\"../"
			"x\"}]}",
			"the authorization: its challenge cannot be read" },
		{ "/authz", 200, 1, "{\"status\":\"valid\"}", NULL }, /* of an order before */
		{ "/chal", 403, -1, "{\"type\":\"x\",\"detail\":\"no\"}",
			"the challenge: it says \"no\" (no kind)" },
		{ "/fin", 403, -1, "{\"detail\":\"bad csr\"}",
			"the certificate request: it says \"bad csr\" (no kind)" },
		{ "/order/1", 200, 2, "{\"status\":\"processing\"}", NULL },
		{ "/order/1", 200, -1, "{\"status\":\"invalid\",\"error\":{\"detail\":\"revoked\"}}",
			"the order: it says \"revoked\" (no kind)" },
		{ "/cert", 200, -1, "hello", "the certificate: it sent no PEM" },
		{ "/cert", 200, -1, "", "the certificate: it sent no PEM" },
	};
	struct authority *t = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		t->odd_path = rows[i].path;
		t->odd_status = rows[i].status;
		t->odd_times = rows[i].times;
		t->odd_body = rows[i].body;
		run(t);
		const char *why = strstr(t->why, "/dir: ");
		if (rows[i].why ? !t->code || !why || strcmp(why + 6, rows[i].why) != 0 : t->code)
			fail_msg("row %zu: %d %s", i, t->code, t->why);
	}
}

/* A refused challenge says why: at once, or when the authority has looked. */
static void test_refused(void **state)
{
	struct authority *t = *state;
	t->odd_path = "/authz";
	t->odd_status = 200;
	t->odd_times = -1;
	t->odd_body =
		"{\"status\":\"invalid\",\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://a/"
		"c\",\"token\":\"t\","
		"\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\",\"detail\":\"refused\"}}]}";
	for (int later = 0; later < 2; later++) {
		t->odd_skip = later;
		run(t);
		assert_non_null(
			strstr(t->why, later ? "/dir: the challenge: it says \"refused\" (connection)"
					     : "/dir: the authorization: it says \"refused\" (connection)"));
		assert_int_equal(t->prepared, later);
	}
}

/* Given up in the middle: nothing is called any more. */
/* The authority is asked by a proxy, if that is what leads out. */
static void test_proxied(void **state)
{
	struct authority *t = *state;
	struct fake_proxy *proxy = fake_proxy_open(t->loop);
	struct proxies *by = proxies_new(fake_proxy_url(proxy), NULL, NULL);
	const struct acme_options o = { .directory = "https://acme.test/dir",
		.email = "",
		.host = "hs.test",
		.account = t->key,
		.proxies = by };
	const struct acme_ops ops = { .prepare = prepare, .done = done, .arg = t };
	t->order = acme_order(t->loop, &o, &ops);
	assert_non_null(t->order);
	loop_timer_set(t->limit, LIMIT_MS);
	while (!t->over)
		loop_run_once(t->loop);
	loop_timer_clear(t->limit);
	assert_string_equal(fake_proxy_asked(proxy), "CONNECT acme.test:443 HTTP/1.1");
	assert_int_equal(fake_proxy_inside(proxy)[0], 22); /* TLS begins */
	fake_proxy_close(proxy);
	proxies_free(by);
}

static void test_given_up(void **state)
{
	struct authority *t = *state;
	const struct acme_options o = {
		.directory = t->directory, .email = "", .host = "hs.test", .account = t->key
	};
	const struct acme_ops ops = { .prepare = prepare, .done = done, .arg = t };
	for (unsigned stop = 0; stop < 10; stop++) {
		t->asked = t->polls = 0;
		t->over = t->prepared = false;
		struct acme *a = acme_order(t->loop, &o, &ops);
		assert_non_null(a);
		t->order = a;
		loop_timer_set(t->limit, LIMIT_MS);
		while (t->asked < stop && !t->over)
			loop_run_once(t->loop);
		loop_timer_clear(t->limit);
		acme_free(t->order);
		t->order = NULL;
		if (stop < 10 && t->over)
			fail_msg("over after %u requests", stop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_issued, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proxied, setup, teardown),
	};
	return key_setup() ? cmocka_run_group_tests_name("acme", tests, NULL, NULL) : 1;
}
