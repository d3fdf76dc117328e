/* What upstreams said, over a restart: what comes back, when, and what does not. */
#include "resolver/keep.h"

#include "mesh/base/blake2s.h"
#include "resolver/core.h"
#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME "www.example.com"
enum { UNIX_MS = 1000000000, TTL_MS = 60000, HASH_LEN = 32, AT_WRITTEN = 8, AT_ABOUT = 16, AT_ROUTES = 48 };

static struct fake f;
static struct keep_rules rules;
static const struct fake_answer good = { .an = 1, .records = A_RECORD };
static const struct fake_answer none = { .rcode = DNS_NXDOMAIN,
	.ns = 1,
	.records = "c010 0006 0001 0000003c 0018 c010 c010 00000001 00000e10 00000e10 00000e10 0000003c" };

static int setup(void **state)
{
	(void)state;
	rules = (struct keep_rules) { .moves = false };
	fake_open(&f, 2);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static void learn(const char *name, const struct fake_answer *a)
{
	size_t i = f.n_sent;
	fake_ask(&f, 1, name, DNS_A);
	assert_int_equal(f.n_sent, i + 1);
	fake_answer(&f, i, a);
}

/* The text of what f knows; the caller's. */
static uint8_t *text_make(size_t *len)
{
	struct keep_writer w = { 0 };
	assert_true(keep_begin(&w, f.r, &rules, f.now_ms, UNIX_MS));
	while (keep_go_on(&w, f.r, 100))
		;
	assert_true(keep_end(&w));
	uint8_t *copy = malloc(w.out.len);
	assert_non_null(copy);
	memcpy(copy, buf_data(&w.out), *len = w.out.len);
	keep_free(&w);
	return copy;
}

static void seal(uint8_t *text, size_t len)
{
	const struct noise_part all = { text, len - HASH_LEN };
	blake2s_hash(&all, 1, text + len - HASH_LEN);
}

/* Another program, with so many upstreams and at such a time, which has read the text. */
static int restart(unsigned upstreams, uint64_t now_ms, int64_t after_ms, const uint8_t *text, size_t len)
{
	struct errbuf eb = { 0 };
	fake_close(&f);
	fake_open(&f, upstreams);
	f.now_ms = now_ms;
	return keep_read(f.r, &rules, f.now_ms, UNIX_MS + after_ms, text, len, &eb);
}

static void expect_kept(uint64_t kept, uint64_t left, uint64_t bad)
{
	const struct resolver_stats *s = resolver_stats(f.r);
	assert_int_equal(s->kept, kept);
	assert_int_equal(s->kept_left, left);
	assert_int_equal(s->kept_bad, bad);
}

static uint32_t answer_ttl(void)
{
	struct dns_rr rr;
	size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
	assert_true(dns_rr_next(f.reply, f.reply_len, &at, &rr));
	return rr.ttl_s;
}

/* What was learnt is answered without a question to anybody, for as long as it would have been. The machine may have
 * started a moment ago: its clock is younger than the answers. */
static void test_comes_back(void **state)
{
	static const uint64_t clocks_ms[] = { 1, 5000, 1000000, UINT64_C(1) << 40 };
	size_t len;
	(void)state;
	learn(NAME, &good);
	learn("non.example.com", &none);
	learn("h.corp.test.net", &good);
	f.now_ms += 10500;
	uint8_t *text = text_make(&len);
	for (size_t i = 0; i < ARRAY_LEN(clocks_ms); i++) {
		assert_int_equal(restart(2, clocks_ms[i], 20000, text, len), 0);
		expect_kept(3, 0, 0);
		fake_ask(&f, 1, NAME, DNS_A);
		assert_int_equal(fake_count(&f, 1), 1);
		assert_int_equal(answer_ttl(), 29); /* of 60: 11 before, 20 in the file */
		fake_ask(&f, 1, "non.example.com", DNS_A);
		assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
		fake_ask(&f, 1, "h.corp.test.net", DNS_A);
		assert_int_equal(f.n_replies, 3);
		assert_int_equal(f.n_sent, 0);
		f.now_ms +=
			29000; /* one that is asked for is refreshed before: not yet sent, it was asked once */
		fake_ask(&f, 1, NAME, DNS_A);
		assert_int_equal(f.n_sent, 1); /* over */
	}
	free(text);
}

/* Past their time answers serve as they do without a restart, and then no more. */
static void test_time_goes_on(void **state)
{
	static const struct {
		int64_t after_ms;
		unsigned kept;
	} rows[] = { { TTL_MS - 1000, 1 }, { TTL_MS, 1 }, { INT64_C(86400) * 1000, 1 },
		{ INT64_C(86400) * 1000 + TTL_MS, 0 }, { INT64_MAX - UNIX_MS, 0 }, { -1, 1 }, { -60000, 1 } };
	size_t len;
	(void)state;
	learn(NAME, &good);
	uint8_t *text = text_make(&len);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(restart(2, 1000, rows[i].after_ms, text, len), 0);
		if (resolver_stats(f.r)->kept != rows[i].kept)
			fail_msg("row %zu", i);
		expect_kept(rows[i].kept, 1 - rows[i].kept, 0);
	}
	assert_int_equal(restart(2, 1000, TTL_MS + 5000, text, len), 0); /* its time ended before the start */
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 1); /* somebody may know better */
	fake_until(&f, f.now_ms + 1800);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(answer_ttl(), CACHE_STALE_TTL_S);
	assert_int_equal(restart(2, 1000, -60001, text, len), ERR_MALFORMED);
	expect_kept(0, 0, 1);
	free(text);
}

static void configure(const struct resolver_upstream *up, size_t n, bool refuse_private, const char *suffix)
{
	struct resolver_route route = { .suffix = suffix, .upstreams = up, .n_upstreams = n };
	struct resolver_config c = { .routes = &route,
		.n_routes = 1,
		.refuse_private = refuse_private,
		.site = &(struct resolver_upstream) { .at = fake_upstream(9), .site = true },
		.n_site = 1 };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
}

/* Another server, or the same spoken to otherwise, never said that. */
static void test_routes(void **state)
{
	static const struct dns_secure tls = { .by = DNS_SECURE_TLS, .name = "dns.example" },
				       pinned = { .by = DNS_SECURE_TLS, .name = "dns.example", .n_pins = 1 };
	const struct resolver_upstream base = { .at = fake_upstream(1), .secure = &tls };
	struct resolver_upstream other[8] = { base, base, base, base, base, base, base, base };
	size_t len;
	(void)state;
	other[0].at = fake_upstream(2);
	other[1].at.port = 54;
	other[2].secure = NULL;
	other[3].secure = &pinned;
	other[4].trusted = true;
	other[5].site = true;
	other[7].at = fake_upstream(2);
	configure(&base, 1, false, "");
	learn(NAME, &good);
	uint8_t *text = text_make(&len);
	for (unsigned i = 0; i < 10;
		i++) { /* 6: two of them; 7: other rules; 8: another suffix; 9: the same */
		fake_close(&f);
		fake_open(&f, 1);
		configure(i < 7 ? &other[i] : &base, i == 6 ? 2 : 1, i == 7, i == 8 ? "example.com" : "");
		assert_int_equal(keep_read(f.r, &rules, 1000, UNIX_MS, text, len, NULL), 0);
		expect_kept(i == 9, i != 9, 0);
	}
	free(text);
}

/* A route whose answers that lead inside are refused, but for these names. */
static void configure_refusing(const char *const *ok, size_t n_ok)
{
	const struct resolver_upstream up = { .at = fake_upstream(1) };
	const struct resolver_route routes[] = { { .suffix = "", .upstreams = &up, .n_upstreams = 1 },
		{ .suffix = "corp.test.net", .upstreams = &up, .n_upstreams = 1 } };
	struct resolver_config c = { .routes = routes,
		.n_routes = ARRAY_LEN(routes),
		.refuse_private = true,
		.private_ok = ok,
		.n_private_ok = n_ok };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
}

/* What was let through by an exception is asked anew where there is none, and so is what was refused where there is one
 * now: kept answers are those that come by the rules of today. Routes that have no such rules keep theirs. */
static void test_exceptions(void **state)
{
	static const char *const ok[] = { "a.example.com", "B.example.com" }, *const same[] = {
		"b.example.com.", "a.example.com"
	};
	static const struct fake_answer lan = { .an = 1, .records = "c00c 0001 0001 0000003c 0004 c0a80101" };
	static const struct {
		const char *const *ok;
		size_t n;
		uint64_t kept;
		bool inside; /* what a.example.com leads to is answered */
	} rows[] = { { ok, 2, 2, true }, { same, 2, 2, true }, { ok, 1, 1, true }, { ok + 1, 1, 1, false },
		{ ok, 0, 1, false } };
	size_t len;
	(void)state;
	configure_refusing(ok, 2);
	learn("a.example.com", &lan);
	learn("h.corp.test.net", &lan);
	uint8_t *text = text_make(&len);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_close(&f);
		fake_open(&f, 1);
		configure_refusing(rows[i].ok, rows[i].n);
		assert_int_equal(keep_read(f.r, &rules, f.now_ms, UNIX_MS, text, len, NULL), 0);
		expect_kept(rows[i].kept, 2 - rows[i].kept, 0);
		fake_ask(&f, 1, "a.example.com", DNS_A);
		assert_int_equal(f.n_sent, rows[i].kept == 1);
		if (f.n_sent)
			fake_answer(&f, 0, &lan);
		if (fake_count(&f, 1) != rows[i].inside)
			fail_msg("row %zu", i);
	}
	free(text);
	configure_refusing(ok, 0);
	learn("c.example.com", &lan); /* refused */
	text = text_make(&len);
	fake_close(&f);
	fake_open(&f, 1);
	configure_refusing((const char *const[]) { "c.example.com" }, 1);
	assert_int_equal(keep_read(f.r, &rules, f.now_ms, UNIX_MS, text, len, NULL), 0);
	learn("c.example.com", &lan);
	assert_int_equal(fake_count(&f, 1), 1);
	free(text);
}

/* What is of the place where it was asked stays there, where the machine may move. */
static void test_site(void **state)
{
	const struct resolver_upstream near = { .at = fake_upstream(1), .site = true },
				       mesh = { .at = fake_upstream(1), .site = true, .trusted = true };
	size_t len;
	(void)state;
	for (int i = 0; i < 4; i++) {
		bool moves = i & 1, is_mesh = i & 2;
		fake_close(&f);
		fake_open(&f, 1);
		rules.moves = moves;
		configure(is_mesh ? &mesh : &near, 1, false, "");
		learn(NAME, &good);
		learn("printer", &good); /* by the site's route, whatever it is */
		uint8_t *text = text_make(&len);
		assert_int_equal(keep_read(f.r, &rules, 1000, UNIX_MS, text, len, NULL), 0);
		expect_kept(moves && !is_mesh ? 0 : 1, 0, 0);
		free(text);
	}
}

/* A name that is ours by now, and a setting beside the routes that is another. */
static void test_owner(void **state)
{
	struct zone *z = zone_new();
	size_t len;
	(void)state;
	assert_true(z && !zone_add_authority(z, "example.com"));
	learn(NAME, &good);
	learn("www.example.net", &good);
	uint8_t *text = text_make(&len);
	fake_close(&f);
	fake_open(&f, 2);
	resolver_zone_set(f.r, z);
	assert_int_equal(keep_read(f.r, &rules, 1000, UNIX_MS, text, len, NULL), 0);
	expect_kept(1, 1, 0);
	free(text);
	text = text_make(&len);
	resolver_zone_set(f.r, NULL);
	rules.about[3] = 1;
	assert_int_equal(restart(2, 1000, 0, text, len), 0);
	expect_kept(0, 1, 0);
	free(text);
	zone_put(z);
}

static void test_owner_written(void **state)
{
	struct zone *z = zone_new();
	size_t len, before;
	(void)state;
	free(text_make(&before));
	learn(NAME, &good);
	assert_true(z && !zone_add_authority(z, "example.com"));
	resolver_zone_set(f.r, z);
	free(text_make(&len));
	assert_int_equal(len, before);
	zone_put(z);
}

/* An error is not kept. */
static void test_failure(void **state)
{
	size_t len, before;
	(void)state;
	free(text_make(&before));
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &(struct fake_answer) { .rcode = DNS_SERVFAIL });
	fake_answer(&f, 1, &(struct fake_answer) { .rcode = DNS_SERVFAIL });
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	free(text_make(&len));
	assert_int_equal(len, before);
}

/* Cut anywhere, or with another byte anywhere: nothing of it is taken. */
static void test_damaged(void **state)
{
	size_t len;
	(void)state;
	learn(NAME, &good);
	learn("non.example.com", &none);
	uint8_t *text = text_make(&len);
	for (size_t n = 0; n < len; n++) {
		uint8_t *exact = malloc(n + !n);
		assert_non_null(exact);
		memcpy(exact, text, n);
		assert_int_not_equal(restart(2, 1000, 0, exact, n), 0);
		expect_kept(0, 0, 1);
		free(exact);
		text[n] ^= 0x10;
		assert_int_not_equal(restart(2, 1000, 0, text, len), 0);
		expect_kept(0, 0, 1);
		text[n] ^= 0x10;
	}
	text[7] = '2';
	seal(text, len);
	assert_int_equal(restart(2, 1000, 0, text, len), ERR_UNSUPPORTED);
	free(text);
}

/* A hash says who wrote it, not that it makes sense. */
static void test_nonsense(void **state)
{
	size_t len, first;
	(void)state;
	free(text_make(&first));
	first -= 1 + HASH_LEN;
	learn(NAME, &good);
	uint8_t *text = text_make(&len);
	const struct {
		size_t at;
		uint8_t flip;
	} rows[] = {
		{ AT_WRITTEN, 0x80 },	   /* before 1970 */
		{ AT_ROUTES + 1, 4 },	   /* fewer routes or more than stand there */
		{ first, 3 },		   /* neither an answer nor the end */
		{ first, 1 },		   /* the end too early */
		{ first + 1, 0x40 },	   /* a route that is none */
		{ first + 4, 2 },	   /* another type than the message has */
		{ first + 5, 4 },	   /* a flag of nobody */
		{ first + 12, 0x10 },	   /* lives longer than the answer says */
		{ first + 15, 1 },	   /* a byte less or more */
		{ first + 16 + 2, 0x80 },  /* a question */
		{ first + 16 + 2, 2 },	   /* cut */
		{ first + 16 + 3, 5 },	   /* REFUSED */
		{ first + 16 + 5, 1 },	   /* no question */
		{ first + 16 + 7, 2 },	   /* more records than there are */
		{ first + 16 + 12, 0x20 }, /* a longer label */
		{ first + 16 + 13, 0x20 }, /* upper case: answer_read writes no such */
		{ len - HASH_LEN - 1, 1 }, /* no end */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text[rows[i].at] ^= rows[i].flip;
		seal(text, len);
		if (restart(2, 1000, 0, text, len) != ERR_MALFORMED)
			fail_msg("row %zu is taken", i);
		expect_kept(0, 0, 1);
		text[rows[i].at] ^= rows[i].flip;
	}
	seal(text, len);
	assert_int_equal(restart(2, 1000, 0, text, len), 0);
	expect_kept(1, 0, 0);
	free(text);
}

/* Routes and the cache's size may change while a text is written. */
static void test_changes_meanwhile(void **state)
{
	struct keep_writer w = { 0 };
	struct errbuf eb = { 0 };
	char name[32];
	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		learn(name, &good);
		learn(strcat(name, ".corp.test.net"), &good);
	}
	assert_true(keep_begin(&w, f.r, &rules, f.now_ms, UNIX_MS));
	assert_true(keep_go_on(&w, f.r, 4000));
	struct resolver_upstream up[2] = { { .at = fake_upstream(1) }, { .at = fake_upstream(2) } };
	struct resolver_route route = { .suffix = "", .upstreams = up, .n_upstreams = 2 };
	struct resolver_config c = { .routes = &route, .n_routes = 1, .cache_bytes = 16 << 20 };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	f.now_ms += 5000;
	learn("late.example.com", &good);
	while (keep_go_on(&w, f.r, 100))
		;
	assert_true(keep_end(&w));
	fake_close(&f);
	fake_open(&f, 2);
	assert_int_equal(keep_read(f.r, &rules, 1000, UNIX_MS + 1000, buf_data(&w.out), w.out.len, &eb), 0);
	expect_kept(1001, 0, 0);
	keep_free(&w);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_comes_back), ONE(test_time_goes_on), ONE(test_routes),
		ONE(test_site), ONE(test_owner), ONE(test_owner_written), ONE(test_failure),
		ONE(test_exceptions), ONE(test_damaged), ONE(test_nonsense), ONE(test_changes_meanwhile) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
