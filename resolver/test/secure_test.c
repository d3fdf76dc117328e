/* Upstreams that are spoken to in private (TLS, HTTPS): never in clear, whatever comes. */
#include "resolver/test/fake.h"

#include "resolver/message.h"
#include "resolver/report.h"
#include "resolver/report_api.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct fake f;
static struct dns_secure tls = { .name = "dns.test" }, https = { .by = DNS_SECURE_HTTPS, .path = "/q" };

static void configure(const struct resolver_upstream *up, size_t n)
{
	struct resolver_route route = { .suffix = "", .upstreams = up, .n_upstreams = n };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	configure(&(struct resolver_upstream) { .at = fake_upstream(1), .secure = &tls }, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static struct resolver_server_report report(void)
{
	static struct resolver_route_report r;
	assert_true(resolver_route_report(f.r, f.now_ms, 0, &r));
	return r.servers[0];
}

/* RFC 8467: names of any length look alike. */
static void test_padded(void **state)
{
	(void)state;
	char name[240] = "a.example.com";
	for (unsigned i = 0; i < 100; i++) {
		assert_true(fake_ask(&f, i, name, DNS_A));
		const struct sent *s = &f.sent[f.n_sent - 1];
		assert_string_equal(s->secure->name, "dns.test");
		assert_false(s->tcp);
		assert_int_equal(s->len % DNS_PAD_BLOCK, 0);
		size_t opt = dns_name_skip(s->msg, s->len, DNS_HEADER) + 4;
		assert_int_equal(be_get(s->msg + opt + 1, 2), DNS_OPT);
		assert_int_equal(be_get(s->msg + opt + 9, 2), s->len - opt - DNS_OPT_LEN);
		assert_int_equal(be_get(s->msg + opt + 11, 2), 12);
		assert_int_equal(be_get(s->msg + opt + 13, 2), s->len - opt - DNS_OPT_LEN - 4);
		size_t more = i % 30 == 28 ? 2 : 1; /* a letter, or a label */
		memmove(name + more, name, strlen(name) + 1);
		memcpy(name, more == 2 ? "a." : "a", more);
	}
	assert_int_equal(resolver_stats(f.r)->upstream_secure, 100);
	configure(&(struct resolver_upstream) { .at = fake_upstream(1) }, 1);
	assert_true(fake_ask(&f, 1, "b.example.com", DNS_A));
	assert_null(f.sent[f.n_sent - 1].secure);
	assert_int_equal(f.sent[f.n_sent - 1].len, DNS_HEADER + 15 + 4 + DNS_OPT_LEN);
}

/* What makes a plain one be asked by TCP, or anew, never leads out of the tunnel. */
static void test_never_plain(void **state)
{
	static const struct fake_answer rows[] = { { .flags = DNS_TC }, { .rcode = DNS_SERVFAIL },
		{ .an = 1, .records = "c00c 0001 0001 0000003c 0005 c6336407" } };
	static const int codes[] = { ERR_CRYPTO, -ECONNREFUSED, -ETIMEDOUT, ERR_CLOSED, ERR_MALFORMED,
		-EPROTO, -EMFILE };
	uint8_t msg[64] = { 0 };
	char name[32];
	uint64_t client = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) + ARRAY_LEN(codes) + 2; i++) {
		resolver_network_changed(f.r);
		snprintf(name, sizeof(name), "n%zu.example.com", i);
		assert_true(fake_ask(&f, ++client, name, DNS_A));
		uint64_t id = f.sent[f.n_sent - 1].id;
		if (i < ARRAY_LEN(rows))
			fake_answer(&f, f.n_sent - 1, &rows[i]);
		else if (i < ARRAY_LEN(rows) + ARRAY_LEN(codes))
			resolver_upstream_failed(f.r, f.now_ms, id, codes[i - ARRAY_LEN(rows)]);
		else if (i == ARRAY_LEN(rows) + ARRAY_LEN(codes))
			resolver_upstream_received(f.r, f.now_ms, id, msg, sizeof(msg));
		fake_until(&f, f.now_ms + 6000);
		assert_int_equal(f.client, client);
		assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	}
	for (size_t i = 0; i < f.n_sent; i++)
		assert_true(f.sent[i].secure && !f.sent[i].tcp);
	assert_int_equal(resolver_stats(f.r)->upstream_tcp, 0);
}

/* B61: it is who it says. */
static void test_ad(void **state)
{
	uint8_t msg[300];
	(void)state;
	size_t len = fake_question(msg, "x.example.com", DNS_A, DNS_RD | DNS_AD);
	resolver_query(f.r, f.now_ms, 1, msg, len, false);
	fake_answer(&f, 0, &(struct fake_answer) { .flags = DNS_AD, .an = 1, .records = A_RECORD });
	assert_int_equal(f.reply[3] & DNS_AD, DNS_AD);
}

/* One that shows the wrong certificate is as good as gone until it shows the right one; an error of HTTP is a sign of
 * life. What went wrong last can be seen until it answers. */
static void test_health(void **state)
{
	static const struct {
		int code;
		enum resolver_health after;
		int fault;
	} rows[] = { { ERR_CRYPTO, RESOLVER_HELD, ERR_CRYPTO },
		{ -ECONNREFUSED, RESOLVER_HELD, -ECONNREFUSED }, { -EPROTO, RESOLVER_WELL, -EPROTO },
		{ ERR_MALFORMED, RESOLVER_WELL, ERR_MALFORMED }, { -EMFILE, RESOLVER_WELL, 0 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%zu.example.com", i);
		assert_true(fake_ask(&f, i, name, DNS_A));
		resolver_upstream_failed(f.r, f.now_ms, f.sent[f.n_sent - 1].id, rows[i].code);
		assert_int_equal(report().health, rows[i].after);
		assert_int_equal(report().fault, rows[i].fault);
		assert_true(!memmem(f.reply, f.reply_len, "wrong certificate", 17) ==
			    (rows[i].code != ERR_CRYPTO));
		snprintf(name, sizeof(name), "m%zu.example.com", i);
		assert_true(fake_ask(&f, i, name, DNS_A));
		fake_answer(&f, f.n_sent - 1, &(struct fake_answer) { .an = 1, .records = A_RECORD });
		assert_int_equal(fake_rcode(&f), DNS_NOERROR);
		assert_int_equal(report().health, RESOLVER_WELL);
		assert_int_equal(report().fault, 0);
	}
}

/* The same address in clear, by TLS and by HTTPS are three: of health, and of what they said. */
static void test_three_of_one(void **state)
{
	const struct resolver_upstream up[] = { { .at = fake_upstream(1), .secure = &https },
		{ .at = fake_upstream(1), .secure = &tls }, { .at = fake_upstream(1) } };
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		configure(&up[i], 1);
		assert_true(fake_ask(&f, i, "x.example.com", DNS_A));
		assert_int_equal(f.n_sent, i + 1);
		fake_answer(&f, i, &(struct fake_answer) { .an = 1, .records = A_RECORD });
	}
	configure(up, 3);
	assert_true(fake_ask(&f, 9, "y.example.com", DNS_A));
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(f.n_sent, i + 1);
		assert_true(!up[i - 3].secure == !f.sent[i].secure);
		if (f.sent[i].secure && up[i - 3].secure)
			assert_int_equal(f.sent[i].secure->by, up[i - 3].secure->by);
		resolver_upstream_failed(f.r, f.now_ms, f.sent[i].id, -ECONNREFUSED);
	}
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

/* How often a name of one letter was asked for since then, in clear or not. */
static size_t asked(size_t since, bool secure)
{
	size_t n = 0;
	for (size_t i = since; i < f.n_sent; i++)
		n += !f.sent[i].secure != secure && f.sent[i].msg[DNS_HEADER] == 1;
	return n;
}

/* A connection loses nothing: the same is not asked on it twice within moments, but once more when it may be dead. */
static void test_not_twice(void **state)
{
	const struct resolver_upstream up[] = { { .at = fake_upstream(1), .secure = &tls },
		{ .at = fake_upstream(2) } };
	(void)state;
	assert_true(fake_ask(&f, 1, "x.example.com", DNS_A));
	fake_until(&f, f.now_ms + 1500);
	assert_int_equal(asked(0, true), 1);
	assert_int_equal(f.n_replies, 0);
	fake_until(&f, f.now_ms + 200);
	assert_int_equal(asked(0, true), 2);
	fake_until(&f, f.now_ms + 3000);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	configure(up, 2); /* the one in clear is asked as ever */
	resolver_network_changed(f.r);
	size_t since = f.n_sent;
	assert_true(fake_ask(&f, 2, "y.example.com", DNS_A));
	fake_until(&f, f.now_ms + 1500);
	assert_int_equal(asked(since, true), 1);
	assert_true(asked(since, false) > 1);
}

/* As status shows them. */
static void test_report(void **state)
{
	const struct resolver_upstream up[] = { { .at = fake_upstream(1), .secure = &https },
		{ .at = fake_upstream(2), .secure = &tls }, { .at = fake_upstream(3) } };
	static const char *const addrs[] = { "192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53" },
				 *const urls[] = { "https://192.0.2.1:53/q", "tls://192.0.2.2:53#dns.test",
					 "" };
	struct api_dns_servers m;
	struct arena a = { 0 };
	(void)state;
	configure(up, 3);
	assert_true(fake_ask(&f, 1, "x.example.com", DNS_A));
	resolver_upstream_failed(f.r, f.now_ms, f.sent[0].id, ERR_CRYPTO);
	assert_true(report_api_servers(&a, f.r, f.now_ms, &m));
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(m.routes[0].servers[i].addr, addrs[i]);
		assert_string_equal(m.routes[0].servers[i].url, urls[i]);
		assert_true(!m.routes[0].servers[i].fault[0] == (i != 0));
	}
	assert_non_null(strstr(m.routes[0].servers[0].fault, "certificate"));
	arena_free(&a);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_padded), CASE(test_never_plain), CASE(test_ad),
		CASE(test_health), CASE(test_three_of_one), CASE(test_report), CASE(test_not_twice) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
