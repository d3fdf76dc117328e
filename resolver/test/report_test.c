/* What is said of routes and servers, as they fare. */
#include "resolver/block.h"
#include "resolver/report.h"
#include "resolver/report_metrics.h"
#include "resolver/server_options.h"
#include "resolver/test/fake.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static struct fake f;

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 2);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static void test_routes(void **state)
{
	static const struct {
		const char *suffix;
		size_t n;
		bool site;
	} rows[] = { { ".", 2, false }, { "corp.test.net", 1, false }, { "1.64.100.in-addr.arpa", 1, false },
		{ "only.net", 0, false }, { ".", 0, true } };
	struct resolver_route_report got;
	struct endpoint second = fake_upstream(2);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(resolver_route_report(f.r, f.now_ms, i, &got));
		assert_string_equal(got.suffix, rows[i].suffix);
		assert_int_equal(got.n, rows[i].n);
		assert_int_equal(got.site, rows[i].site);
	}
	assert_false(resolver_route_report(f.r, f.now_ms, ARRAY_LEN(rows), &got));
	assert_true(resolver_route_report(f.r, f.now_ms, 0, &got));
	assert_true(endpoint_equal(&got.servers[1].at, &second));
	assert_string_equal(resolver_order_text(got.order), "preferred");
}

/* Each number has a sentence that says what it counts. */
static void test_helps(void **state)
{
	(void)state;
#define X(name) assert_non_null(report_metrics_help(#name));
	RESOLVER_STATS(X)
	RESOLVER_SERVER_STATS(X)
#undef X
	assert_null(report_metrics_help("nothing"));
}

static enum resolver_health health(struct resolver_route_report *got)
{
	assert_true(resolver_route_report(f.r, f.now_ms, 0, got));
	return got->servers[0].health;
}

static void test_health(void **state)
{
	static const struct fake_answer good = { .an = 1, .records = A_RECORD };
	struct resolver_route_report got;
	struct addr ip = fake_upstream(1).ip;
	(void)state;
	fake_ask(&f, 1, "a.example.com", DNS_A);
	f.now_ms += 20;
	fake_answer(&f, 0, &good);
	assert_int_equal(health(&got), RESOLVER_WELL);
	assert_in_range(got.servers[0].rtt_ms, 20, 21);
	assert_int_equal(got.servers[1].rtt_ms, 0);
	assert_true(resolver_cache_bytes(f.r) > 0);
	f.now_ms++;
	fake_ask(&f, 1, "b.example.com", DNS_A);
	fake_until(&f, f.now_ms + 500);
	assert_string_equal(resolver_health_text(health(&got)), "checked");
	resolver_upstream_doubted(f.r, f.now_ms, &ip);
	assert_string_equal(resolver_health_text(health(&got)), "held");
	for (size_t i = 0; i < f.n_sent; i++) /* its canary comes back to us */
		if (f.sent[i].msg[DNS_HEADER] == 16) {
			resolver_query(f.r, f.now_ms, 2, f.sent[i].msg, f.sent[i].len, false);
			break;
		}
	assert_string_equal(resolver_health_text(health(&got)), "ring");
}

static void test_way(void **state)
{
	static const struct fake_answer good = { .an = 1, .records = A_RECORD };
	static const struct {
		const char *name, *route;
		enum resolver_source source;
	} rows[] = {
		{ "Bob.mesh", NULL, RESOLVER_FROM_ZONE },
		{ "nobody.mesh", NULL, RESOLVER_FROM_ZONE },
		{ "host", NULL, RESOLVER_FROM_RULES },
		{ "x.only.net", NULL, RESOLVER_FROM_RULES },
		{ "localhost", NULL, RESOLVER_FROM_RULES }, /* a list names it */
		{ "ads.example.com", NULL, RESOLVER_FROM_BLOCK },
		{ "new.example.com", ".", RESOLVER_FROM_UPSTREAM },
		{ "known.example.com", ".", RESOLVER_FROM_CACHE },
		{ "wiki.corp.test.net", "corp.test.net", RESOLVER_FROM_UPSTREAM },
	};
	static const char *const listed[] = { "localhost", "ads.example.com" };
	static const uint64_t seed[2] = { 5, 6 };
	struct block *set = block_new(seed);
	struct resolver_way way;
	unsigned list = 0;
	(void)state;
	assert_true(set && !block_list_add(set, "ads", false, &list));
	for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
		struct dns_name n;
		assert_true(dns_name_parse(listed[i], &n) && !block_add(set, list, &n, BLOCK_NAME));
	}
	resolver_block_set(f.r, set, &(struct block_answer) { .kind = BLOCK_ANSWER_NULL });
	block_put(set);
	fake_ask(&f, 1, "known.example.com", DNS_A);
	fake_answer(&f, 0, &good);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(resolver_way(f.r, f.now_ms, rows[i].name, DNS_A, &way));
		if (way.source != rows[i].source || way.has_route != (rows[i].route != NULL) ||
			(way.has_route && strcmp(way.route.suffix, rows[i].route) != 0))
			fail_msg("%s: %s", rows[i].name, resolver_source_text(way.source));
	}
	fake_until(&f, f.now_ms + 61000);
	assert_true(resolver_way(f.r, f.now_ms, "known.example.com", DNS_A, &way));
	assert_int_equal(way.source, RESOLVER_FROM_STALE);
	assert_false(resolver_way(f.r, f.now_ms, "a..b", DNS_A, &way));
	assert_int_equal(f.n_sent, 1); /* nobody was asked */
}

/* Who was to be asked may not have known. */
static void test_way_went(void **state)
{
	static const struct {
		enum resolver_source before, after;
		uint8_t rcode;
	} rows[] = {
		{ RESOLVER_FROM_UPSTREAM, RESOLVER_FROM_UPSTREAM, DNS_NXDOMAIN },
		{ RESOLVER_FROM_UPSTREAM, RESOLVER_FROM_NOWHERE, DNS_SERVFAIL },
		{ RESOLVER_FROM_STALE, RESOLVER_FROM_NOWHERE, DNS_SERVFAIL },
		{ RESOLVER_FROM_STALE, RESOLVER_FROM_STALE, DNS_NOERROR },
		{ RESOLVER_FROM_CACHE, RESOLVER_FROM_CACHE, DNS_SERVFAIL },
		{ RESOLVER_FROM_RULES, RESOLVER_FROM_RULES, DNS_SERVFAIL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint8_t answer[DNS_HEADER] = { 0, 0, 0x81, 0x80 | rows[i].rcode };
		const struct resolver_way way = { .source = rows[i].before };
		if (resolver_way_went(&way, answer, sizeof(answer)) != rows[i].after)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_helps),
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_way, setup, teardown), cmocka_unit_test(test_way_went) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
