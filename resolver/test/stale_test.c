/* B69: what serves past its time, and when; what is asked for anew before its time is over; what is forgotten
 * on demand. */
#include "resolver/test/fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define NAME "www.example.com"
enum { TTL_MS = 60000, WAIT_MS = 1800, DAY_MS = 86400 * 1000 };

static struct fake f;
static const struct fake_answer good = { .an = 1, .records = A_RECORD };
static const struct fake_answer none = { .rcode = DNS_NXDOMAIN,
	.ns = 1,
	.records = "c010 0006 0001 0000003c 0018 c010 c010 00000001 00000e10 00000e10 00000e10 0000003c" };

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static unsigned ede(void)
{
	static const uint8_t option[] = { 0, 15 };
	for (size_t i = DNS_HEADER; i + 6 <= f.reply_len; i++)
		if (!memcmp(f.reply + i, option, 2) && i + 4 + be_get(f.reply + i + 2, 2) == f.reply_len)
			return (unsigned)be_get(f.reply + i + 4, 2);
	return EDE_NONE;
}

static uint32_t first_ttl(void)
{
	size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
	struct dns_rr rr;
	assert_true(dns_rr_next(f.reply, f.reply_len, &at, &rr));
	return rr.ttl_s;
}

/* The cache holds NAME's answer, and its time is over. */
static void grow_stale(const char *name, const struct fake_answer *a)
{
	fake_ask(&f, 1, name, DNS_A);
	fake_answer(&f, f.n_sent - 1, a);
	fake_until(&f, f.now_ms + TTL_MS);
}

/* The upstream says nothing: the client has its answer before it would ask again, and what the upstream says
 * late is for the next. */
static void test_silence(void **state)
{
	(void)state;
	grow_stale(NAME, &good);
	size_t before = f.n_replies, asked = f.n_sent;
	uint64_t at = f.now_ms;
	fake_ask(&f, 2, NAME, DNS_A);
	assert_int_equal(f.n_sent, asked + 1);
	fake_until(&f, at + WAIT_MS - 1);
	assert_int_equal(f.n_replies, before);
	fake_until(&f, at + WAIT_MS);
	assert_int_equal(f.n_replies, before + 1);
	assert_int_equal(f.client, 2);
	assert_int_equal(fake_rcode(&f), DNS_NOERROR);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_int_equal(first_ttl(), 30);
	assert_int_equal(ede(), EDE_STALE);
	fake_ask(&f, 3, NAME, DNS_A); /* and nobody waits again for what just said nothing */
	assert_int_equal(f.n_replies, before + 2);
	fake_answer(&f, asked, &good);
	fake_ask(&f, 4, NAME, DNS_A);
	assert_int_equal(first_ttl(), 60);
	assert_int_equal(ede(), EDE_NONE);
	assert_int_equal(resolver_stats(f.r)->stale, 2);
}

static void test_nxdomain(void **state)
{
	(void)state;
	grow_stale(NAME, &none);
	fake_ask(&f, 2, NAME, DNS_A);
	fake_until(&f, f.now_ms + WAIT_MS);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_int_equal(fake_count(&f, 2), 1);
	assert_int_equal(ede(), EDE_STALE_NXDOMAIN);
}

/* A failure is worth less than an answer past its time, and does not take its place in the cache. It is asked
 * again after a while, not by each question. */
static void test_failure(void **state)
{
	static const struct fake_answer failure = { .rcode = DNS_SERVFAIL };
	(void)state;
	grow_stale(NAME, &good);
	for (int round = 0; round < 2; round++) {
		size_t asked = f.n_sent, before = f.n_replies;
		fake_ask(&f, 2, NAME, DNS_A);
		assert_int_equal(f.n_sent, asked + 1);
		fake_answer(&f, asked, &failure);
		for (int i = 0; i < 10; i++)
			fake_ask(&f, 3, NAME, DNS_A);
		assert_int_equal(f.n_sent, asked + 1);
		assert_int_equal(f.n_replies, before + 11);
		assert_int_equal(fake_count(&f, 1), 1);
		assert_int_equal(ede(), EDE_STALE);
		fake_until(&f, f.now_ms + 5000);
	}
}

/* Where every upstream is known to be gone nobody waits at all, and all the same they are asked. */
static void test_held(void **state)
{
	(void)state;
	struct addr ip = fake_upstream(1).ip;
	grow_stale(NAME, &good);
	resolver_upstream_doubted(f.r, f.now_ms, &ip);
	size_t asked = f.n_sent;
	fake_ask(&f, 2, NAME, DNS_A);
	assert_int_equal(ede(), EDE_STALE);
	assert_int_equal(f.n_sent, asked + 1);
	fake_answer(&f, asked, &good);
	fake_ask(&f, 3, NAME, DNS_A);
	assert_int_equal(first_ttl(), 60);
}

/* What the zone owns, though a route answers for it: a name of the mesh that is gone is gone. */
static void test_own_suffix(void **state)
{
	static const char name[] = "9.1.64.100.in-addr.arpa";
	static const struct fake_answer ptr = { .an = 1,
		.records = "c00c 000c 0001 0000003c 0005 0161 0162 00" };
	(void)state;
	fake_ask(&f, 1, name, DNS_PTR);
	fake_answer(&f, f.n_sent - 1, &ptr);
	assert_int_equal(fake_count(&f, 1), 1);
	fake_until(&f, f.now_ms + TTL_MS);
	fake_ask(&f, 2, name, DNS_PTR);
	fake_until(&f, f.now_ms + 5000);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(fake_count(&f, 1), 0);
}

/* A day, as long as it says, or never. */
static void test_limit(void **state)
{
	static const struct {
		uint32_t stale_s;
		uint64_t later_ms;
		bool served;
	} rows[] = {
		{ 0, DAY_MS - 1, true },
		{ 0, DAY_MS, false },
		{ 10, 9999, true },
		{ 10, 10000, false },
		{ UINT32_MAX, 0, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolver_upstream up = { .at = fake_upstream(1) };
		struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
		struct resolver_config c = { .routes = &route, .n_routes = 1, .stale_s = rows[i].stale_s };
		char name[32];
		snprintf(name, sizeof(name), "n%zu.example.com", i);
		assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
		grow_stale(name, &good);
		fake_until(&f, f.now_ms + rows[i].later_ms);
		fake_ask(&f, 2, name, DNS_A);
		resolver_upstream_failed(f.r, f.now_ms, f.sent[f.n_sent - 1].id, -ECONNREFUSED);
		fake_until(&f, f.now_ms + 10);
		assert_int_equal(fake_count(&f, 1), rows[i].served);
		assert_int_equal(fake_rcode(&f), rows[i].served ? DNS_NOERROR : DNS_SERVFAIL);
	}
}

/* The client asks again without waiting for anybody, though the time of the answer was over. */
static void test_refresh(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &good);
	fake_until(&f, f.now_ms + 54500); /* in the last tenth, and asked for once only */
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 1);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 2);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 2);
	assert_int_equal(f.n_replies, 4);
	assert_int_equal(resolver_stats(f.r)->prefetched, 1);
	fake_answer(&f, 1, &good);
	fake_until(&f, f.now_ms + 50000);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 2);
	assert_int_equal(first_ttl(), 10);
}

static void test_flush(void **state)
{
	static const char *const names[] = { "a.example.com", "b.a.example.com", "xa.example.com",
		"example.net" };
	static const struct {
		const char *name;
		bool below;
		size_t gone;
		unsigned left; /* a bit for each name */
	} rows[] = {
		{ "a.example.com", false, 1, 14 },
		{ "A.Example.com.", true, 2, 12 },
		{ "example.com", false, 0, 15 },
		{ "com", true, 3, 8 },
		{ NULL, false, 4, 0 },
	};
	size_t n = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			size_t asked = f.n_sent;
			fake_ask(&f, 1, names[k], DNS_A);
			if (f.n_sent > asked)
				fake_answer(&f, asked, &good);
		}
		assert_int_equal(resolver_flush(f.r, rows[i].name, rows[i].below, &n), 0);
		assert_int_equal(n, rows[i].gone);
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			size_t asked = f.n_sent;
			fake_ask(&f, 1, names[k], DNS_A);
			assert_int_equal(f.n_sent == asked, rows[i].left >> k & 1);
			if (f.n_sent > asked)
				fake_answer(&f, asked, &good);
		}
	}
	assert_int_equal(resolver_flush(f.r, "a..b", false, &n), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nxdomain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_suffix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refresh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
