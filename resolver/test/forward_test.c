/* More of the reference's table 3.4: what is passed on and what is not, what many questions and our own
 * limits do. */
#include "resolver/test/fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define NAME "www.example.com"
#define EDE(code) "00 0029 04d0 00000000 0006 000f 0002 " code

static struct fake f;
static const struct fake_answer good = { .an = 1, .records = A_RECORD };

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	return 0;
}
static int setup_three(void **state)
{
	(void)state;
	fake_open(&f, 3);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static bool reply_has_ede(unsigned code)
{
	static const uint8_t option[] = { 0, 15, 0, 2, 0 };
	const uint8_t *end = f.reply + f.reply_len - 6;
	return f.reply_len > 6 && !memcmp(end, option, 5) && end[5] == code;
}

/* B51: a cut answer by TCP is no answer; it was one, empty, when nothing of it could be read. */
static void test_truncated_by_tcp(void **state)
{
	static const struct fake_answer bad[] = {
		{ .flags = DNS_TC, .an = 1, .records = A_RECORD },
		{ .flags = DNS_TC, .an = 2, .records = A_RECORD },
		{ .flags = DNS_TC },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t msg[300];
		char name[32];
		snprintf(name, sizeof(name), "t%zu.example.com", i);
		size_t len = fake_question(msg, name, DNS_A, DNS_RD), before = f.n_sent;
		resolver_query(f.r, f.now_ms, i, msg, len, true);
		fake_answer(&f, before, &(struct fake_answer) { .flags = DNS_TC });
		assert_true(f.sent[before + 1].tcp);
		fake_answer(&f, before + 1, &bad[i]);
		assert_int_equal(f.n_replies, i + 1);
		assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	}
}

/* EDE of an answer goes on to the client, from the cache too, and never makes it longer than was asked for.
 */
static void test_ede_passes(void **state)
{
	uint8_t msg[300];
	(void)state;
	for (int from_cache = 0; from_cache < 2; from_cache++) {
		fake_ask(&f, 1, NAME, DNS_A);
		if (!from_cache)
			fake_answer(&f, 0,
				&(struct fake_answer) { .an = 1, .ar = 1, .records = A_RECORD EDE("0003") });
		assert_int_equal(fake_count(&f, 1), 1);
		assert_true(reply_has_ede(3));
	}
	assert_int_equal(f.n_sent, 1);
	fake_ask(&f, 1, "ad.example.com", DNS_A); /* a pi-hole that blocks */
	fake_answer(&f, 1,
		&(struct fake_answer) { .rcode = 3,
			.ns = 1,
			.ar = 1,
			.records = "c00f 0006 0001 0000003c 0018 c00f c00f 00000001 00000e10 00000e10 "
				   "00000e10 0000000a" EDE("000f") });
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_true(reply_has_ede(15));
	size_t len = fake_question(msg, "ad.example.com", DNS_A, DNS_RD);
	msg[11] = 0;
	resolver_query(f.r, f.now_ms, 1, msg, len - DNS_OPT_LEN, false); /* no EDNS asked, none got */
	assert_int_equal(fake_count(&f, 3), 0);
}

static void test_ede_never_too_long(void **state)
{
	static char records[40000];
	uint8_t msg[300];
	size_t len = fake_question(msg, NAME, DNS_A, DNS_RD);
	(void)state;
	for (int i = 0; i < 75; i++)
		strcat(records, A_RECORD);
	strcat(records, EDE("0003"));
	/* 12 + 21 + 16 * 75 + 11 = 1244 is over; 73 records and 1212 leave no room for the EDE */
	for (unsigned size = 1200; size <= 1232; size++) {
		be_put(msg + len - 8, 2, size);
		resolver_query(f.r, f.now_ms, 1, msg, len, false);
		if (f.n_replies == 0)
			fake_answer(&f, 0, &(struct fake_answer) { .an = 75, .ar = 1, .records = records });
		assert_true(f.reply_len <= size);
	}
	assert_int_equal(f.n_sent, 1);
}

/* B68: what a client says in EDNS is between it and us. */
static void test_ecs_stays(void **state)
{
	uint8_t msg[300], rest[64];
	size_t len = fake_question(msg, NAME, DNS_A, DNS_RD);
	(void)state;
	msg[len - 1] = 11;
	len += fake_hex("0008 0007 0001 18 00 c00002", msg + len, sizeof(msg) - len);
	assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, false));
	assert_int_equal(f.n_sent, 1);
	size_t n = fake_hex("00 0029 04d0 00000000 0000", rest, sizeof(rest));
	assert_memory_equal(f.sent[0].msg + f.sent[0].len - n, rest, n);
}

/* RFC 9520: a failure is kept for a second, however many upstreams said it. */
static void test_failure_is_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		if (!i)
			fake_ask(&f, 1, NAME, DNS_A);
		fake_answer(&f, f.n_sent - 1,
			&(struct fake_answer) { .rcode = DNS_SERVFAIL, .ar = 1, .records = EDE("0006") });
	}
	size_t sent = f.n_sent;
	assert_int_equal(f.n_replies, 1);
	fake_ask(&f, 2, NAME, DNS_A);
	assert_int_equal(f.n_replies, 2);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_true(reply_has_ede(6));
	assert_int_equal(f.n_sent, sent);
	f.now_ms += 1001;
	fake_ask(&f, 3, NAME, DNS_A);
	assert_int_equal(f.n_sent, sent + 1);
}

/* An extended rcode is the upstream's word on our EDNS; without EDNS its low bits would say NOERROR. */
static void test_extended_rcode(void **state)
{
	uint8_t msg[300];
	(void)state;
	size_t len = fake_question(msg, NAME, DNS_A, DNS_RD);
	msg[11] = 0;
	resolver_query(f.r, f.now_ms, 1, msg, len - DNS_OPT_LEN, false);
	fake_answer(&f, 0, &(struct fake_answer) { .ar = 1, .records = "00 0029 04d0 01000000 0000" });
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

/* B71, B55: all unreachable is told apart from all silent. */
static void test_reasons(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[0].id, -ENETUNREACH);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_non_null(memmem(f.reply, f.reply_len, "\0\27no upstream can be reached", 28));
	fake_ask(&f, 2, "x.example.com", DNS_A);
	fake_until(&f, f.now_ms + 4000);
	assert_int_equal(f.n_replies, 2);
	assert_non_null(memmem(f.reply, f.reply_len, "\0\26no upstream answered", 22));
}

/* When this machine is out of sockets, the upstream is not to blame. */
static void test_our_own_trouble(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[0].id, -EMFILE);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_non_null(memmem(f.reply, f.reply_len, "out of sockets", 14));
	fake_ask(&f, 2, NAME, DNS_A); /* not kept, not held */
	assert_int_equal(f.n_sent, 2);
	assert_int_equal(resolver_stats(f.r)->probes, 0);
	fake_answer(&f, 1, &good);
	assert_int_equal(fake_rcode(&f), 0);
}

/* C5: an upstream that sends its questions back to us: they join what is out, and few packets go round. */
static void test_loop_is_short(void **state)
{
	uint64_t end = f.now_ms + 5000;
	size_t looped = 0;
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	while (f.now_ms < end) {
		for (; looped < f.n_sent; looped++)
			assert_true(resolver_query(
				f.r, f.now_ms, 100 + looped, f.sent[looped].msg, f.sent[looped].len, false));
		fake_until(&f, f.now_ms + 50);
	}
	assert_in_range(f.n_sent, 1, 5);
	assert_int_equal(f.n_replies, 1 + looped);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

/* B70: names that nobody answers do not shut out one that somebody does. */
static void test_oldest_yields(void **state)
{
	(void)state;
	for (int i = 0; i < 1024; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example.com", i);
		fake_ask(&f, (uint64_t)i + 1, name, DNS_A);
	}
	fake_ask(&f, 5000, "fresh.example.com", DNS_A);
	assert_int_equal(f.n_replies, 1); /* the oldest is too young to give way */
	assert_int_equal(f.client, 5000);
	size_t sent = f.n_sent;
	f.now_ms += 250;
	fake_ask(&f, 5001, "fresh.example.com", DNS_A);
	assert_int_equal(f.n_replies, 2);
	assert_int_equal(f.client, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.n_sent, sent + 1);
	assert_int_equal(resolver_stats(f.r)->yielded, 1);
	fake_answer(&f, sent, &good);
	assert_int_equal(f.client, 5001);
	assert_int_equal(fake_rcode(&f), 0);
}

/* B71: told that the only upstream is gone, questions wait for a second, those that are out too; it may
 * answer. */
static void test_doubted(void **state)
{
	struct endpoint up = fake_upstream(1);
	uint64_t start = f.now_ms;
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_until(&f, start + 200);
	resolver_upstream_doubted(f.r, f.now_ms, &up.ip);
	fake_until(&f, start + 1199);
	assert_int_equal(f.n_replies, 0);
	fake_until(&f, start + 1200);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

static void test_doubted_but_alive(void **state)
{
	struct endpoint up = fake_upstream(1), other = fake_upstream(2);
	(void)state;
	resolver_upstream_doubted(f.r, f.now_ms, &up.ip);
	fake_ask(&f, 1, NAME, DNS_A); /* the others first, and a probe to see */
	assert_int_equal(f.n_sent, 1);
	assert_true(endpoint_equal(&f.sent[0].to, &other));
	fake_answer(&f, 0, &good);
	f.now_ms += 1001;
	fake_ask(&f, 2, "x.example.com", DNS_A);
	assert_int_equal(f.n_sent, 3);
	assert_true(endpoint_equal(&f.sent[1].to, &up));
	fake_answer(&f, 1, &good);
	fake_answer(&f, 2, &good);
	fake_ask(&f, 3, "y.example.com", DNS_A); /* well again: asked first */
	assert_int_equal(f.n_sent, 4);
	assert_true(endpoint_equal(&f.sent[3].to, &up));
}

/* A route that is validated: the driver is asked once, whatever time it takes, and its AD is believed; who asks with CD
 * gets what the servers say. Signatures are for those who ask for them. */
static void test_validated(void **state)
{
	static const struct fake_answer signed_answer = { .flags = DNS_AD,
		.an = 2,
		.records = A_RECORD
		"c00c 002e 0001 0000003c 0017 0001 08 02 0000003c 00000000 00000000 0000 0161 00 aabb" };
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1, .validate = true };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	uint8_t msg[300];
	(void)state;
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	size_t len = fake_question(msg, NAME, DNS_A, DNS_RD | DNS_AD);
	resolver_query(f.r, f.now_ms, 1, msg, len, false);
	assert_int_equal(f.n_sent, 1);
	assert_true(f.sent[0].validated);
	fake_until(&f, f.now_ms + 2000);
	assert_int_equal(f.n_sent, 1);
	fake_answer(&f, 0, &signed_answer);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_true(f.reply[3] & DNS_AD);
	assert_int_equal(resolver_stats(f.r)->validated, 1);

	len = fake_question(msg, NAME, DNS_A, DNS_RD | DNS_CD | DNS_AD);
	resolver_query(f.r, f.now_ms, 2, msg, len, false);
	assert_int_equal(f.n_sent, 2); /* what was validated is another entry */
	assert_false(f.sent[1].validated);
	assert_true(endpoint_equal(&f.sent[1].to, &up.at));
	fake_answer(&f, 1, &signed_answer);
	assert_false(f.reply[3] & DNS_AD);

	fake_ask(&f, 3, "bogus.example.com", DNS_A);
	assert_true(f.sent[2].validated);
	fake_answer(&f, 2, &(struct fake_answer) { .rcode = DNS_SERVFAIL, .ar = 1, .records = EDE("0006") });
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_true(reply_has_ede(6));

	size_t replies = f.n_replies; /* nothing validates: no answer, never one that was not */
	fake_ask(&f, 4, "later.example.com", DNS_A);
	assert_true(f.sent[3].validated);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[3].id, ERR_REFUSED);
	assert_int_equal(f.n_replies, replies + 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	fake_ask(&f, 5, "silent.example.com", DNS_A);
	fake_until(&f, f.now_ms + 5000);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.n_sent, 5);
}

/* All at once, not one after the other has been given a moment; the first answer counts. */
static void test_race(void **state)
{
	const struct resolver_upstream ups[] = { { .at = fake_upstream(1) }, { .at = fake_upstream(2) },
		{ .at = fake_upstream(3) } };
	const struct resolver_route route = {
		.suffix = "", .upstreams = ups, .n_upstreams = ARRAY_LEN(ups), .order = RESOLVER_RACE
	};
	struct fake_answer a = { .flags = 0x8180, .an = 1, .records = A_RECORD };
	static struct fake g;
	(void)state;
	fake_open(&g, 1);
	assert_int_equal(
		resolver_configure(g.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	fake_ask(&g, 1, "www.example.net", DNS_A);
	assert_int_equal(g.n_sent, ARRAY_LEN(ups));
	for (size_t i = 0; i < ARRAY_LEN(ups); i++)
		for (size_t k = 0; k < i; k++)
			assert_false(endpoint_equal(&g.sent[i].to, &g.sent[k].to));
	fake_answer(&g, 2, &a);
	assert_int_equal(g.n_replies, 1);
	fake_close(&g);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define THREE(t) cmocka_unit_test_setup_teardown(t, setup_three, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_truncated_by_tcp),
		ONE(test_ede_passes),
		ONE(test_ede_never_too_long),
		ONE(test_ecs_stays),
		THREE(test_failure_is_kept),
		ONE(test_extended_rcode),
		ONE(test_validated),
		ONE(test_reasons),
		ONE(test_our_own_trouble),
		ONE(test_loop_is_short),
		ONE(test_oldest_yields),
		ONE(test_doubted),
		THREE(test_doubted_but_alive),
		cmocka_unit_test(test_race),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
