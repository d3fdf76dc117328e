/* The upstream half, reference table 3.4: what counts as an answer, whom to ask next, when to give up. */
#include "resolver/test/fake.h"

#include "resolver/upstream.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define SOA_RECORD "c00c 0006 0001 00000e10 0016 00 00 00000001 00000002 00000003 00000004 0000000a"
#define NAME "www.example.com"

static const struct fake_answer good = { .an = 1, .records = A_RECORD };
static struct fake f;

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
	for (size_t i = 0; i < f.n_sent; i++)
		if (!f.sent[i].done)
			return 0; /* resolver_free calls no op: sockets may be left to the driver */
	return 0;
}

static void test_forward(void **state)
{
	(void)state;
	assert_true(fake_ask(&f, 7, "WWW.Example.com", DNS_A));
	assert_int_equal(f.n_sent, 1);
	assert_false(f.sent[0].tcp);
	assert_true(fake_sent_is(&f.sent[0], "\3www\7example\3com", 17));
	fake_answer(&f, 0, &good);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(f.client, 7);
	assert_int_equal(be_get(f.reply, 2), 0x1234);
	assert_memory_equal(f.reply + DNS_HEADER, "\3WWW\7Example\3com", 17);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_false(f.reply[2] & 4);
	assert_true(f.sent[0].done);
	assert_int_equal(resolver_deadline(f.r), UINT64_MAX);
}

/* C35: a thousand askers, one question; and identical questions in flight are one. */
static void test_cache_and_merge(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		assert_true(fake_ask(&f, i, NAME, DNS_A));
	assert_int_equal(f.n_sent, 1);
	fake_answer(&f, 0, &good);
	assert_int_equal(f.n_replies, 50);
	f.now_ms += 20000;
	for (uint64_t i = 0; i < 1000; i++)
		fake_ask(&f, i, NAME, DNS_A);
	assert_int_equal(f.n_replies, 1050);
	assert_int_equal(f.n_sent, 1);
	struct dns_rr rr;
	size_t at = DNS_HEADER + 17 + 4;
	assert_true(dns_rr_next(f.reply, f.reply_len, &at, &rr));
	assert_int_equal(rr.ttl_s, 40);
	f.now_ms += 40000;
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 2);
}

#define TSIG "00 00fa 00ff 00000000 0011 00 000000000000 012c 0000 1234 0000 0000"

/* B50, B58: each is dropped, and the true answer still counts. */
static void test_bad_packets(void **state)
{
	static const struct {
		const char *id;
		unsigned flags, an;
		const char *records;
		size_t change; /* offset */
		uint8_t to;
	} bad[] = {
		{ "id", 0, 1, A_RECORD, 1, 0 },
		{ "QR=0", 0, 1, A_RECORD, 2, 1 },
		{ "opcode", 0, 1, A_RECORD, 2, 0x91 },
		{ "question", 0, 1, A_RECORD, DNS_HEADER + 1, 'x' },
		{ "type", 0, 1, A_RECORD, DNS_HEADER + 18, 28 },
		{ "no question", 0, 0, "", 5, 0 },
		{ "two questions", 0, 1, A_RECORD, 5, 2 },
		{ "A of 3", 0, 1, "c00c 0001 0001 0000003c 0003 c63364", 0, 0 },
		{ "A of 6", 0, 1, "c00c 0001 0001 0000003c 0006 c63364070000", 0, 0 },
		{ "A of 0", 0, 1, "c00c 0001 0001 0000003c 0000", 0, 0 },
		{ "rr past end", 0, 1, "c00c 0001 0001 0000003c 0004 c633", 0, 0 },
		{ "counted, not there", 0, 2, A_RECORD, 0, 0 },
		{ "cname past rdlen", 0, 1, "c00c 0005 0001 0000003c 0002 0161 00", 0, 0 },
		{ "forward pointer", 0, 1, "c0ff 0001 0001 0000003c 0004 c6336407", 0, 0 },
		{ "self pointer", 0, 1, "c021 0001 0001 0000003c 0004 c6336407", 0, 0 },
		{ "opt in answer", 0, 1, "00 0029 04d0 00000000 0000", 0, 0 },
		{ "cname loop", 0, 1, "c00c 0005 0001 0000003c 0002 c00c", 0, 0 },
		{ "a of chaos", 0, 1, "c00c 0001 0003 0000003c 0004 c6336407", 0, 0 },
		{ "txt of 0", 0, 2, A_RECORD "c00c 0010 0001 0000003c 0000", 0, 0 },
		{ "nid of 8", 0, 2, A_RECORD "c00c 0068 0001 0000003c 0008 000a000000000000", 0, 0 },
		{ "tsig in answer", 0, 2, A_RECORD TSIG, 0, 0 },
		{ "tsig before opt", 0, 1, A_RECORD TSIG "00 0029 04d0 00000000 0000", 11, 2 },
		{ "mac past rdlen", 0, 1, A_RECORD "00 00fa 00ff 00000000 000b 00 000000000000 012c 0010", 11,
			1 },
		{ "option past rdlen", 0, 1, A_RECORD "00 0029 04d0 00000000 0004 000f 0006", 11, 1 },
	};
	static uint8_t buf[DNS_MESSAGE_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fake_answer a = { .flags = bad[i].flags, .an = bad[i].an, .records = bad[i].records };
		char name[32];
		snprintf(name, sizeof(name), "ww%c.example.com", (int)('a' + i));
		assert_true(fake_ask(&f, i, name, DNS_A));
		size_t last = f.n_sent - 1, len = fake_answer_write(&f, last, &a, buf), before = f.n_replies;
		if (bad[i].change)
			buf[bad[i].change] = bad[i].change == 1 ? (uint8_t)(buf[1] + 1) : bad[i].to;
		resolver_upstream_received(f.r, f.now_ms, f.sent[last].id, buf, len);
		resolver_upstream_received(f.r, f.now_ms, f.sent[last].id, buf, 11);
		if (f.n_replies != before || f.sent[last].done)
			fail_msg("%s: taken", bad[i].id);
		fake_answer(&f, last, &good);
		if (f.n_replies != before + 1 || fake_rcode(&f) || fake_count(&f, 1) != 1)
			fail_msg("%s: the true answer was not taken", bad[i].id);
	}
}

static void test_many_bad_packets_mean_tcp(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	for (int i = 0; i < 10; i++)
		resolver_upstream_received(f.r, f.now_ms, f.sent[0].id, (const uint8_t *)"junk", 4);
	assert_int_equal(f.n_sent, 2);
	assert_true(f.sent[1].tcp && f.sent[0].done);
	fake_answer(&f, 1, &good);
	assert_int_equal(f.n_replies, 1);
}

/* B51 */
static void test_truncated(void **state)
{
	uint8_t msg[300];
	const struct fake_answer cut = { .flags = DNS_TC, .an = 1, .records = A_RECORD };
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &cut);
	assert_int_equal(f.n_sent, 2);
	assert_true(f.sent[1].tcp && f.sent[0].done);
	assert_int_equal(f.n_replies, 0);
	fake_answer(&f, 1, &good);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_count(&f, 1), 1);
	assert_false(f.reply[2] & 2);

	size_t len = fake_question(msg, NAME, DNS_TXT, DNS_RD);
	resolver_query(f.r, f.now_ms, 2, msg, len, true);
	fake_ask(&f, 3, NAME, DNS_TXT);
	assert_int_equal(f.n_sent, 3);
	fake_answer(&f, 2, &(struct fake_answer) { .flags = DNS_TC });
	resolver_upstream_failed(f.r, f.now_ms, f.sent[3].id, -ECONNREFUSED);
	assert_int_equal(f.n_replies, 3); /* the UDP client last or first: both got theirs */
	assert_int_equal(resolver_stats(f.r)->truncated, 1);
	assert_int_equal(resolver_stats(f.r)->servfail, 1);
}

/* B52, B53, C12 */
static void test_errors_of_one(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &(struct fake_answer) { .rcode = DNS_REFUSED });
	assert_int_equal(f.n_sent, 2);
	assert_int_equal(f.n_replies, 0);
	struct endpoint second = fake_upstream(2);
	assert_true(endpoint_equal(&f.sent[1].to, &second));
	fake_answer(&f, 1, &(struct fake_answer) { .rcode = DNS_SERVFAIL });
	fake_answer(&f, 2, &good);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), 0);
}

static void test_errors_of_all(void **state)
{
	static const struct {
		unsigned said[3], want;
	} errors[] = { { { 5, 5, 5 }, 5 }, { { 2, 2, 2 }, 2 }, { { 5, 2, 5 }, 2 }, { { 9, 9, 9 }, 9 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		char name[32];
		snprintf(name, sizeof(name), "e%zu.example.com", i);
		fake_ask(&f, i, name, DNS_A);
		for (int k = 0; k < 3; k++)
			fake_answer(&f, f.n_sent - 1, &(struct fake_answer) { .rcode = errors[i].said[k] });
		assert_int_equal(f.n_replies, i + 1);
		assert_int_equal(fake_rcode(&f), errors[i].want);
	}
}

static void test_error_of_the_only_one(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	/* with EDE 6 in an OPT */
	fake_answer(&f, 0,
		&(struct fake_answer) { .rcode = DNS_SERVFAIL,
			.ar = 1,
			.records = "00 0029 04d0 00000000 0006 000f 0002 0006" });
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_memory_equal(f.reply + f.reply_len - 6, "\0\17\0\2\0\6", 6);
	fake_ask(&f, 2, NAME, DNS_A); /* kept for a second */
	assert_int_equal(f.n_sent, 1);
	f.now_ms += 1100;
	fake_ask(&f, 3, NAME, DNS_A);
	assert_int_equal(f.n_sent, 2);
}

/* B54 */
static void test_no_edns(void **state)
{
	static uint8_t buf[DNS_MESSAGE_MAX];
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.sent[0].msg[11], 1);
	be_put(buf, 2, be_get(f.sent[0].msg, 2));
	memcpy(buf + 2, "\x81\x81\0\0\0\0\0\0\0\0", 10); /* a bare FORMERR header */
	resolver_upstream_received(f.r, f.now_ms, f.sent[0].id, buf, DNS_HEADER);
	assert_int_equal(f.n_sent, 2);
	assert_int_equal(f.sent[1].msg[11], 0);
	fake_answer(&f, 1, &good);
	assert_int_equal(f.n_replies, 1);
	fake_ask(&f, 2, "other.example.com", DNS_A); /* remembered */
	assert_int_equal(f.sent[2].msg[11], 0);
	fake_answer(&f, 2, &good);
	f.now_ms += 3601 * 1000;
	fake_ask(&f, 2, "third.example.com", DNS_A);
	assert_int_equal(f.sent[3].msg[11], 1);
}

/* B55: never silence, and no question fails unsent. C29: and not many packets. */
static void test_silence(void **state)
{
	uint64_t start = f.now_ms;
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_until(&f, start + 4999);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_in_range(f.n_sent, 2, 8);
	fake_until(&f, start + 5000);
	for (size_t i = 0; i < f.n_sent; i++)
		assert_true(f.sent[i].done);
	/* from then on the wait is a second, and each is sent all the same */
	size_t sent = f.n_sent;
	for (int i = 0; i < 100; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example.com", i);
		size_t before = f.n_replies, at = f.n_sent;
		fake_ask(&f, 1, name, DNS_A);
		assert_true(f.n_sent > at);
		fake_until(&f, f.now_ms + 1000);
		assert_int_equal(f.n_replies, before + 1);
	}
	assert_in_range(f.n_sent - sent, 100, 300);
}

/* C14: a slow answer is an answer. */
static void test_slow(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_until(&f, f.now_ms + 3000);
	fake_answer(&f, 0, &good);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), 0);
}

/* A dead upstream comes back: the first question it answers makes it well, and others wait in peace again. */
static void test_recovery(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_until(&f, f.now_ms + 10000);
	size_t sent = f.n_sent, replies = f.n_replies;
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, sent + 1);
	fake_answer(&f, sent, &good);
	assert_int_equal(f.n_replies, replies + 1);
	assert_int_equal(fake_rcode(&f), 0);
	fake_ask(&f, 1, "slow.example.com", DNS_A);
	sent = f.n_sent - 1;
	fake_until(&f, f.now_ms + 3000);
	assert_int_equal(f.n_replies, replies + 1);
	fake_answer(&f, sent, &good);
	assert_int_equal(f.n_replies, replies + 2);
	assert_int_equal(fake_rcode(&f), 0);
}

/* The machine woke up or changed its network: what was silent before may answer now, and is asked as if
 * nothing was. */
static void test_network_changed(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_until(&f, f.now_ms + 10000);
	size_t sent = f.n_sent, replies = f.n_replies;
	resolver_network_changed(f.r);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_replies, replies);
	assert_int_equal(f.n_sent, sent + 1);
	fake_answer(&f, sent, &good);
	assert_int_equal(fake_rcode(&f), 0);
}

/* Two upstreams, and the first says nothing to a question nor to the check. Any word of it keeps its place.
 */
static void test_signs_of_life(void **state)
{
	static const struct {
		const char *id;
		int word_ms; /* after the question; 0: none */
		const char *word;
		unsigned next; /* who is asked the next question */
	} rows[] = {
		{ "silence", 0, "", 2 },
		{ "junk", 500, "junk", 1 },
		{ "wrong id", 900, "\1\2\x81\x80\0\0\0\0\0\0\0\0", 1 },
		{ "late answer", 1300, NULL, 1 },
		{ "very late answer", 4000, NULL, 1 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint second = fake_upstream(2), next = fake_upstream(rows[i].next);
		size_t hedge = 1;
		fake_open(&f, 3);
		uint64_t start = f.now_ms;
		fake_ask(&f, 1, NAME, DNS_A);
		fake_until(&f, f.now_ms + 410);
		while (!endpoint_equal(&f.sent[hedge].to, &second))
			hedge++;
		fake_answer(&f, hedge, &good);
		assert_int_equal(f.n_replies, 1);
		fake_until(&f, start + (rows[i].word_ms ? (uint64_t)rows[i].word_ms : 410));
		if (rows[i].word_ms && rows[i].word)
			resolver_upstream_received(f.r, f.now_ms, f.sent[0].id, (const uint8_t *)rows[i].word,
				rows[i].word[0] == 'j' ? 4 : 12);
		else if (rows[i].word_ms)
			fake_answer(&f, 0, &good);
		fake_until(&f, f.now_ms < start + 1200 ? start + 1200 : f.now_ms); /* the check is over */
		size_t at = f.n_sent;
		fake_ask(&f, 2, "next.example.com", DNS_A);
		bool found = false;
		for (; at < f.n_sent; at++) /* a check may go with it; it asks something else */
			found = found || (endpoint_equal(&f.sent[at].to, &next) &&
						 fake_sent_is(&f.sent[at], "\4next", 5));
		if (!found)
			fail_msg("%s: the next question did not go to upstream %u", rows[i].id, rows[i].next);
		fake_close(&f);
	}
}

static void test_order_is_kept(void **state)
{
	struct endpoint first = fake_upstream(1);
	(void)state;
	for (int i = 0; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example.com", i);
		fake_ask(&f, 1, name, DNS_A);
		fake_until(&f, f.now_ms + 20);
		fake_answer(&f, f.n_sent - 1, &good);
		assert_true(endpoint_equal(&f.sent[i].to, &first));
	}
	assert_int_equal(f.n_sent, 20);
}

/* A closed port is told at once: no wait at all, and no probe needed to try again. */
static void test_refused_socket(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	for (size_t i = 0; i < 3; i++)
		resolver_upstream_failed(f.r, f.now_ms, f.sent[i].id, -ECONNREFUSED);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 4);
	fake_answer(&f, 3, &good);
	assert_int_equal(fake_rcode(&f), 0);
}

/* B57, B60, RFC 2308 */
static void test_ttls(void **state)
{
	static const struct {
		const char *id;
		struct fake_answer a;
		uint32_t kept_s, ttl_s;
	} ttls[] = {
		{ "nxdomain soa", { .rcode = 3, .ns = 1, .records = SOA_RECORD }, 10, 10 },
		{ "nodata soa", { .ns = 1, .records = SOA_RECORD }, 10, 10 },
		{ "nxdomain bare", { .rcode = 3 }, 5, 0 },
		{ "nodata bare", { 0 }, 5, 0 },
		{ "ttl 2^31", { .an = 1, .records = "c00c 0001 0001 80000000 0004 c6336407" }, 0, 0 },
		{ "ttl huge", { .an = 1, .records = "c00c 0001 0001 7fffffff 0004 c6336407" }, 86400, 86400 },
		{ "ttl 0", { .an = 1, .records = "c00c 0001 0001 00000000 0004 c6336407" }, 0, 0 },
		{ "levelled", { .an = 2, .records = A_RECORD "c00c 0001 0001 00000007 0004 c6336408" }, 7,
			7 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ttls); i++) {
		char name[32];
		snprintf(name, sizeof(name), "t%zu.example.com", i);
		fake_ask(&f, 1, name, DNS_A);
		size_t sent = f.n_sent;
		fake_answer(&f, sent - 1, &ttls[i].a);
		struct dns_rr rr;
		size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
		if (ttls[i].a.records &&
			(!dns_rr_next(f.reply, f.reply_len, &at, &rr) || rr.ttl_s != ttls[i].ttl_s))
			fail_msg("%s: ttl %u", ttls[i].id, rr.ttl_s);
		f.now_ms += ttls[i].kept_s * 1000 - (ttls[i].kept_s ? 1 : 0);
		fake_ask(&f, 1, name, DNS_A);
		if ((f.n_sent == sent) != (ttls[i].kept_s > 0))
			fail_msg("%s: cache", ttls[i].id);
		f.now_ms += 1;
		fake_ask(&f, 1, name, DNS_A);
		if (f.n_sent == sent)
			fail_msg("%s: kept too long", ttls[i].id);
		fake_answer(&f, f.n_sent - 1, &ttls[i].a);
	}
}

/* B59: only the chain of the question goes on. */
static void test_strip(void **state)
{
	const struct fake_answer a = { .an = 4,
		.ns = 1,
		.ar = 1,
		.records = "c00c 0005 0001 0000003c 0004 01 79 c010" /* www.example.com CNAME y.example.com */
			   "04 6576696c c018 0001 0001 0000003c 0004 01010101" /* evil.com A */
			   "01 79 c010 0001 0001 0000003c 0004 c6336407"
			   "c00c 0001 0001 0000003c 0004 02020202" /* an address beside a CNAME */
			   "c018 0002 0001 0000003c 0002 c010"
			   "c010 0001 0001 0000003c 0004 03030303" };
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &a);
	assert_int_equal(f.n_replies, 1);
	/* www has an address of its own: that is the answer, whatever else was said */
	assert_int_equal(fake_count(&f, 2), 0);
	assert_int_equal(fake_count(&f, 3), 1); /* our OPT */
	for (size_t i = 0; i + 4 <= f.reply_len; i++) {
		assert_true(memcmp(f.reply + i, "\1\1\1\1", 4));
		assert_true(memcmp(f.reply + i, "\3\3\3\3", 4));
	}
	/* "there is none", by somebody who speaks for another domain: it says nothing of how long that holds */
	fake_ask(&f, 2, NAME, DNS_MX);
	fake_answer(&f, 1,
		&(struct fake_answer) { .ns = 1,
			.records =
				"04 6576696c c018 0006 0001 00000e10 0016 00 00 00000001 00000002 00000003 "
				"00000004 00000e10" });
	assert_int_equal(f.n_replies, 2);
	assert_int_equal(fake_count(&f, 2), 0);
	f.now_ms += 6000;
	fake_ask(&f, 3, NAME, DNS_MX);
	assert_int_equal(f.n_sent, 3);
}

/* B61, B62 */
static void test_dnssec_bits(void **state)
{
	uint8_t msg[300];
	struct fake_answer signed_answer = { .flags = DNS_AD,
		.an = 2,
		.records = A_RECORD
		"c00c 002e 0001 0000003c 0017 0001 08 02 0000003c 00000000 00000000 0000 0161 00 aabb" };
	(void)state;
	size_t len = fake_question(msg, NAME, DNS_A, DNS_RD | DNS_CD);
	msg[len - 4] = 0x80; /* DO */
	assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, false));
	assert_int_equal(f.sent[0].msg[f.sent[0].len - 4], 0x80);
	assert_int_equal(f.sent[0].msg[3] & DNS_CD, DNS_CD);
	fake_answer(&f, 0, &signed_answer);
	assert_int_equal(fake_count(&f, 1), 2);
	assert_int_equal(f.reply[3] & DNS_AD, 0); /* not a trusted upstream */
	assert_int_equal(f.reply[3] & DNS_CD, DNS_CD);
	fake_ask(&f, 2, NAME, DNS_A); /* without DO: another entry */
	assert_int_equal(f.n_sent, 2);

	struct resolver_upstream up = { .at = fake_upstream(1), .trusted = true };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	fake_ask(&f, 3, "x.example.com", DNS_A);
	fake_answer(&f, f.n_sent - 1, &signed_answer);
	assert_int_equal(f.reply[3] & DNS_AD, 0); /* did not ask for it */
	len = fake_question(msg, "x.example.com", DNS_A, DNS_RD | DNS_AD);
	resolver_query(f.r, f.now_ms, 4, msg, len, false);
	assert_int_equal(f.reply[3] & DNS_AD, DNS_AD);
}

/* B63, C16: never more than asked for, whole RRsets, TC, OPT kept. */
static void test_sizes(void **state)
{
	static const unsigned sizes[] = { 0, 511, 512, 513, 1000, 1232, 4096, 65535 };
	static char records[40000];
	uint8_t msg[300];
	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(records, A_RECORD);
	fake_ask(&f, 1, NAME, DNS_A);
	fake_answer(&f, 0, &(struct fake_answer) { .an = 100, .records = records });
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t len = fake_question(msg, NAME, DNS_A, DNS_RD);
		be_put(msg + len - 8, 2, sizes[i]);
		assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, false));
		unsigned limit = sizes[i] < 512 ? 512 : sizes[i] > 1232 ? 1232 : sizes[i];
		assert_true(f.reply_len <= limit);
		assert_true(f.reply[2] & 2);
		assert_int_equal(fake_count(&f, 1), 0);
		assert_int_equal(fake_count(&f, 3), 1);
		assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, true));
		assert_false(f.reply[2] & 2);
		assert_int_equal(fake_count(&f, 1), 100);
	}
	assert_int_equal(f.n_sent, 1);
}

/* C23: an upstream's CNAME leads to a mesh name, and ours leads out. */
static void test_chains(void **state)
{
	(void)state;
	fake_ask(&f, 1, "in.example.com", DNS_A);
	fake_answer(&f, 0,
		&(struct fake_answer) { .rcode = 3,
			.an = 1,
			.records = "c00c 0005 0001 0000003c 000a 03626f62 046d657368 00" });
	assert_int_equal(fake_rcode(&f), 0);
	assert_int_equal(fake_count(&f, 1), 2);
	fake_ask(&f, 1, "out.mesh", DNS_A);
	assert_true(fake_sent_is(&f.sent[1], "\3www\3out\3net", 13));
	fake_answer(&f, 1, &good);
	assert_int_equal(fake_count(&f, 1), 2);
	fake_ask(&f, 1, "out.mesh", DNS_A); /* from the cache */
	assert_int_equal(fake_count(&f, 1), 2);
	assert_int_equal(f.n_sent, 2);
}

/* A route's upstreams speak for their route only. */
static void test_cache_is_split(void **state)
{
	(void)state;
	fake_ask(&f, 1, "a.corp.test.net", DNS_A);
	fake_answer(&f, 0, &good);
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	fake_ask(&f, 1, "a.corp.test.net", DNS_A);
	assert_int_equal(f.n_sent, 2);
}

/* A new configuration while questions are out: they end well, health and cache live on. */
static void test_configure_in_flight(void **state)
{
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	fake_answer(&f, 0, &good);
	assert_int_equal(f.n_replies, 1);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(f.n_sent, 1);
	assert_int_equal(resolver_configure(f.r, &(struct resolver_config) { 0 }, NULL), 0);
	fake_ask(&f, 1, NAME, DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
}

static void test_client_gone(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAME, DNS_A);
	fake_ask(&f, 2, NAME, DNS_A);
	resolver_client_gone(f.r, 1);
	fake_answer(&f, 0, &good);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(f.client, 2);
	fake_ask(&f, 3, "x.example.com", DNS_A);
	resolver_client_gone(f.r, 3);
	fake_until(&f, f.now_ms + 5000);
	assert_int_equal(f.n_replies, 1);
}

/* B70: a full house answers SERVFAIL, and mesh names as ever. */
static void test_full(void **state)
{
	static struct resolver *r;
	(void)state;
	r = f.r;
	for (int i = 0; i < 1100; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example.com", i);
		f.n_sent = 0;
		fake_ask(&f, (uint64_t)i, name, DNS_A);
	}
	assert_int_equal(resolver_stats(r)->drop_full, 1100 - 1024);
	assert_int_equal(f.n_replies, 1100 - 1024);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	fake_ask(&f, 1, "bob.mesh", DNS_A);
	assert_int_equal(fake_count(&f, 1), 1);
}

/* Many that nobody answered end in several goes, so that what is known here need not wait for all of them. */
static void test_end_in_goes(void **state)
{
	char name[32];
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		fake_ask(&f, i, name, DNS_A);
	}
	f.now_ms += 10000;
	resolver_tick(f.r, f.now_ms);
	assert_in_range(f.n_replies, 1, 64);
	assert_true(resolver_deadline(f.r) <= f.now_ms);
	fake_until(&f, f.now_ms);
	assert_int_equal(f.n_replies, 200);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define THREE(t) cmocka_unit_test_setup_teardown(t, setup_three, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_forward),
		ONE(test_end_in_goes),
		ONE(test_cache_and_merge),
		ONE(test_bad_packets),
		ONE(test_many_bad_packets_mean_tcp),
		ONE(test_truncated),
		THREE(test_errors_of_one),
		THREE(test_errors_of_all),
		ONE(test_error_of_the_only_one),
		ONE(test_no_edns),
		ONE(test_silence),
		ONE(test_slow),
		ONE(test_recovery),
		ONE(test_network_changed),
		THREE(test_order_is_kept),
		cmocka_unit_test(test_signs_of_life),
		THREE(test_refused_socket),
		ONE(test_ttls),
		ONE(test_strip),
		ONE(test_dnssec_bits),
		ONE(test_sizes),
		ONE(test_chains),
		ONE(test_cache_is_split),
		ONE(test_configure_in_flight),
		ONE(test_client_gone),
		ONE(test_full),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
