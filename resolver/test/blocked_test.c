/* B67: what who asks for a blocked name gets, and when a name counts as blocked. */
#include "resolver/block.h"
#include "resolver/core.h"
#include "resolver/test/fake.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

enum { ADS, GOOD };
#define ADS_NAME "03616473 076578616d706c65 00" /* ads.example */

static struct fake f;
static struct block *set;

static void add(unsigned list, const char *text, unsigned reach)
{
	struct dns_name n;
	assert_true(dns_name_parse(text, &n));
	assert_int_equal(block_add(set, list, &n, reach), 0);
}

static void answer_with(struct block_answer how)
{
	resolver_block_set(f.r, set, &how);
}

static int setup(void **state)
{
	static const uint64_t seed[2] = { 3, 4 };
	unsigned list;
	(void)state;
	fake_open(&f, 1);
	set = block_new(seed);
	assert_non_null(set);
	assert_int_equal(block_list_add(set, "ads", false, &list), 0);
	assert_int_equal(block_list_add(set, "good", true, &list), 0);
	add(ADS, "ads.example", BLOCK_NAME | BLOCK_BELOW);
	add(ADS, "mesh", BLOCK_NAME | BLOCK_BELOW);
	add(GOOD, "good.example", BLOCK_NAME);
	f.lists = UINT32_MAX;
	answer_with((struct block_answer) { .kind = BLOCK_ANSWER_NULL });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	block_put(set);
	return 0;
}

/* EDE with the list's name at the end of the reply, RFC 8914. */
static bool says_ads(void)
{
	static const uint8_t option[] = { 0, 15, 0, 5, 0, 15, 'a', 'd', 's' };
	return f.reply_len > sizeof(option) &&
	       !memcmp(f.reply + f.reply_len - sizeof(option), option, sizeof(option));
}

static void test_answers(void **state)
{
	enum { HTTPS = 65 };
	static const struct {
		enum block_answer_kind kind;
		uint16_t type;
		unsigned rcode, answers, authorities;
		const char *rdata;
		size_t len;
	} rows[] = {
		{ BLOCK_ANSWER_NULL, DNS_A, 0, 1, 0, "\0\0\0\0", 4 },
		{ BLOCK_ANSWER_NULL, DNS_AAAA, 0, 1, 0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16 },
		{ BLOCK_ANSWER_NULL, HTTPS, 0, 0, 1, "", 0 },
		{ BLOCK_ANSWER_NXDOMAIN, DNS_A, DNS_NXDOMAIN, 0, 1, "", 0 },
		{ BLOCK_ANSWER_NODATA, DNS_A, 0, 0, 1, "", 0 },
		{ BLOCK_ANSWER_REFUSED, DNS_A, DNS_REFUSED, 0, 0, "", 0 },
		{ BLOCK_ANSWER_ADDRESS, DNS_A, 0, 1, 0, "\300\0\2\1", 4 },
		{ BLOCK_ANSWER_ADDRESS, DNS_AAAA, 0, 0, 1, "", 0 },
		{ BLOCK_ANSWER_ADDRESS, DNS_MX, 0, 0, 1, "", 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_rr rr = { 0 };
		answer_with((struct block_answer) {
			.kind = rows[i].kind, .ttl_s = 7, .v4 = addr_v4(0xc0000201) });
		fake_ask(&f, 1, "X.Ads.Example", rows[i].type);
		if (fake_rcode(&f) != rows[i].rcode || fake_count(&f, 1) != rows[i].answers ||
			fake_count(&f, 2) != rows[i].authorities || !says_ads())
			fail_msg("row %zu: rcode %u, %u and %u records", i, fake_rcode(&f), fake_count(&f, 1),
				fake_count(&f, 2));
		assert_memory_equal(f.reply + DNS_HEADER, "\1X\3Ads\7Example", 15);
		size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
		assert_true(rows[i].rcode == DNS_REFUSED || dns_rr_next(f.reply, f.reply_len, &at, &rr));
		if (!rows[i].answers)
			continue;
		assert_int_equal(rr.ttl_s, 7);
		assert_int_equal(rr.rdata_len, rows[i].len);
		assert_memory_equal(f.reply + rr.rdata_at, rows[i].rdata, rows[i].len);
	}
	assert_int_equal(f.n_sent, 0);
	assert_int_equal(resolver_stats(f.r)->blocked, ARRAY_LEN(rows));
}

/* A list of strangers that has names of ours blocks the others with them. */
static void test_own_names(void **state)
{
	(void)state;
	fake_ask(&f, 1, "bob.mesh", DNS_A);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_false(says_ads());
	fake_ask(&f, 1, "nobody.mesh", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_false(says_ads());
}

/* Lists are a client's own, and may be others from one question to the next: by the clock, while blocking
 * pauses. What was cached meanwhile is blocked again. */
static void test_clients(void **state)
{
	static const struct fake_answer good = { .an = 1, .records = A_RECORD };
	(void)state;
	f.lists = 0;
	fake_ask(&f, 1, "ads.example", DNS_A);
	assert_int_equal(f.n_sent, 1);
	fake_answer(&f, 0, &good);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_false(says_ads());
	f.lists = 1 << ADS;
	fake_ask(&f, 2, "ads.example", DNS_A);
	assert_true(says_ads());
	f.lists = 1 << GOOD;
	fake_ask(&f, 3, "ads.example", DNS_A);
	assert_false(says_ads());
	f.lists = 1 << ADS;
	resolver_block_set(f.r, NULL, &(struct block_answer) { 0 });
	fake_ask(&f, 3, "ads.example", DNS_A);
	assert_false(says_ads());
	assert_int_equal(f.n_sent, 1);
}

/* A CNAME behind which a blocked name hides, from upstream and from the cache; what is allowed by name may. */
static void test_cname(void **state)
{
	static const struct {
		const char *name;
		bool blocked;
	} rows[] = { { "first.example", true }, { "good.example", false } };
	static const struct fake_answer leads = { .an = 2,
		.records =
			"c00c 0005 0001 0000003c 000d" ADS_NAME ADS_NAME "0001 0001 0000003c 0004 06060606" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int cached = 0; cached < 2; cached++) {
			fake_ask(&f, 1, rows[i].name, DNS_A);
			if (!cached)
				fake_answer(&f, f.n_sent - 1, &leads);
			assert_int_equal(f.n_sent, i + 1);
			assert_int_equal(says_ads(), rows[i].blocked);
			assert_int_equal(fake_count(&f, 1), rows[i].blocked ? 1 : 2);
			assert_int_equal(
				memmem(f.reply, f.reply_len, "\6\6\6\6", 4) != NULL, !rows[i].blocked);
		}
}

/* Browsers are asked to leave DNS to us while something is blocked. */
static void test_canary(void **state)
{
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	(void)state;
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	fake_ask(&f, 1, "use-application-dns.net", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_int_equal(f.n_sent, 0);
	resolver_block_set(f.r, NULL, &(struct block_answer) { 0 });
	fake_ask(&f, 1, "use-application-dns.net", DNS_A);
	assert_int_equal(f.n_sent, 1);
}

/* However long a question waited for what is blocked, its asker has an answer in less than 5 s. */
static void test_whole_wait(void **state)
{
	(void)state;
	resolver_block_wait(f.r);
	fake_ask(&f, 1, "www.example", DNS_A);
	fake_until(&f, f.now_ms + 2900);
	assert_int_equal(f.n_sent, 0);
	answer_with((struct block_answer) { .kind = BLOCK_ANSWER_NULL });
	fake_until(&f, f.now_ms + 1999);
	assert_true(f.n_sent > 0);
	assert_int_equal(f.n_replies, 0);
	fake_until(&f, f.now_ms + 1);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

/* Lists that never come: 3 s, each question its own, and an error that says why. */
static void test_never_come(void **state)
{
	static const uint8_t not_ready[] = { 0, EDE_NOT_READY };
	uint64_t began = f.now_ms;
	(void)state;
	resolver_block_wait(f.r);
	fake_ask(&f, 1, "www.example", DNS_A);
	fake_until(&f, began + 1000);
	fake_ask(&f, 2, "other.example", DNS_A);
	fake_until(&f, began + 2999);
	assert_int_equal(f.n_replies, 0);
	for (size_t i = 1; i <= 2; i++) {
		fake_until(&f, began + 2000 + i * 1000);
		assert_int_equal(f.n_replies, i);
		assert_int_equal(f.client, i);
		assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
		assert_non_null(memmem(f.reply + DNS_HEADER, f.reply_len - DNS_HEADER, not_ready, 2));
	}
	assert_int_equal(f.n_sent, 0);
}

/* However many have waited for what is blocked, they go on a few at a time, by that being there or by it being late: the rest
 * is due at once still. */
static void test_pieces(void **state)
{
	enum { MANY = 5 * DUE_AT_ONCE + 1 };
	(void)state;
	for (int late = 0; late < 2; late++) {
		size_t before = f.n_replies, n = before;
		unsigned ticks = 0;
		resolver_block_wait(f.r);
		for (uint64_t i = 0; i < MANY; i++)
			fake_ask(&f, i, "www.ads.example", DNS_A);
		assert_int_equal(f.n_replies, before);
		if (late)
			f.now_ms += 3000;
		else
			answer_with((struct block_answer) { .kind = BLOCK_ANSWER_NULL });
		for (; resolver_deadline(f.r) <= f.now_ms; n = f.n_replies, ticks++) {
			resolver_tick(f.r, f.now_ms);
			assert_in_range(f.n_replies - n, 1, DUE_AT_ONCE);
		}
		assert_int_equal(f.n_replies, before + MANY);
		assert_int_equal(ticks, MANY / DUE_AT_ONCE + 1);
		assert_int_equal(fake_rcode(&f), late ? DNS_SERVFAIL : DNS_NOERROR);
	}
}

/* What no list has a say in is answered as ever: while lists are still to come, and when they name it. */
static void test_known_here(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		unsigned rcode, answers;
	} rows[] = {
		{ "localhost", DNS_A, DNS_NOERROR, 1 },
		{ "www.localhost", DNS_AAAA, DNS_NOERROR, 1 },
		{ "bob.mesh", DNS_A, DNS_NOERROR, 1 },
		{ "nobody.mesh", DNS_A, DNS_NXDOMAIN, 0 },
		{ "mesh", DNS_SOA, DNS_NOERROR, 1 },
		{ "2.0.64.100.in-addr.arpa", DNS_PTR, DNS_NOERROR, 1 },
		{ "9.0.64.100.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, 0 },
		{ "1.1.168.192.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, 0 },
		{ "_dns.resolver.arpa", 64, DNS_NOERROR, 0 },
		{ "use-application-dns.net", DNS_A, DNS_NXDOMAIN, 0 },
		{ "mask.icloud.com", DNS_AAAA, DNS_NXDOMAIN, 0 },
		{ "x.onion", DNS_A, DNS_NXDOMAIN, 0 },
		{ "printer", DNS_A, DNS_NXDOMAIN, 0 },
		{ "www.only.net", DNS_A, DNS_NXDOMAIN, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		add(ADS, rows[i].name, BLOCK_NAME);
	for (int waits = 1; waits >= 0; waits--) {
		if (waits)
			resolver_block_wait(f.r);
		else
			answer_with((struct block_answer) { .kind = BLOCK_ANSWER_NULL });
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			size_t before = f.n_replies;
			fake_ask(&f, 1, rows[i].name, rows[i].type);
			if (f.n_replies != before + 1 || fake_rcode(&f) != rows[i].rcode ||
				fake_count(&f, 1) != rows[i].answers)
				fail_msg("%s, %s: %zu replies, rcode %u, %u records", rows[i].name,
					waits ? "lists to come" : "lists there", f.n_replies - before,
					fake_rcode(&f), fake_count(&f, 1));
			assert_false(says_ads());
		}
	}
	assert_int_equal(f.n_sent, 0);
}

/* Without a route of its own some names are told to stay because of the lists alone: before those are there, too. */
static void test_canary_waits_not(void **state)
{
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	(void)state;
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	resolver_block_set(f.r, NULL, &(struct block_answer) { 0 });
	resolver_block_wait(f.r);
	fake_ask(&f, 1, "use-application-dns.net", DNS_A);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_int_equal(f.n_sent, 0);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_answers), ONE(test_own_names), ONE(test_clients),
		ONE(test_cname), ONE(test_canary), ONE(test_whole_wait), ONE(test_pieces),
		ONE(test_never_come), ONE(test_known_here), ONE(test_canary_waits_not) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
