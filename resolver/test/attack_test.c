/* Answers that are made to cost whoever reads them. Here signatures are passed on and never computed, so that one of any
 * shape costs what its length does: KeyTrap (CVE-2023-50387), NSEC3 (CVE-2023-50868), long chains. */
#include "resolver/test/fake.h"

#include "mesh/base/wire.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 20, DNSKEY = 48, FULL = 60000, TIMES_MAX = 12 };

static struct fake f;
static uint8_t msg[65535];

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

/* One record of the name asked for. */
static size_t record_put(size_t at, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	be_put(msg + at, 2, 0xc00c);
	be_put(msg + at + 2, 2, type);
	be_put(msg + at + 4, 2, DNS_IN);
	be_put(msg + at + 6, 4, 60);
	be_put(msg + at + 10, 2, len);
	if (len)
		memcpy(msg + at + 12, rdata, len);
	return at + 12u + len;
}

/* Keys that all have one tag, and as many signatures that any of them might have made. */
static size_t keys_put(size_t at, unsigned *answers)
{
	uint8_t key[68] = { 1, 1, 3, 13 }, signature[82] = { 0, DNSKEY, 13, 3 };
	for (; at < FULL; *answers += 2) {
		be_put(key + 4, 4, *answers);
		be_put(signature + 18, 4, *answers);
		at = record_put(at, DNSKEY, key, sizeof(key));
		at = record_put(at, DNS_RRSIG, signature, sizeof(signature));
	}
	return at;
}

/* Signatures of what is not there. */
static size_t signatures_put(size_t at, unsigned *answers)
{
	uint8_t signature[82] = { 0, 1, 13, 3 };
	for (; at < FULL; ++*answers) {
		be_put(signature + 18, 4, *answers);
		at = record_put(at, DNS_RRSIG, signature, sizeof(signature));
	}
	return at;
}

/* As long, of a type that nobody looks into. */
static size_t plain_put(size_t at, unsigned *answers)
{
	uint8_t rdata[75] = { 74 };
	for (; at < FULL; ++*answers) {
		be_put(rdata + 10, 4, *answers);
		at = record_put(at, DNSKEY, rdata, sizeof(rdata));
	}
	return at;
}

static clock_t cost_of(size_t (*fill)(size_t at, unsigned *answers))
{
	clock_t spent = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint8_t q[300];
		char name[32];
		unsigned answers = 0;
		snprintf(name, sizeof(name), "k%zu.example.com", f.n_sent);
		size_t len = fake_question(q, name, DNSKEY, DNS_RD), sent = f.n_sent, replies = f.n_replies;
		q[len - 4] = 0x80; /* DO */
		assert_true(resolver_query(f.r, f.now_ms, i, q, len, true));
		fake_answer(&f, sent, &(struct fake_answer) { .flags = DNS_TC });
		assert_int_equal(f.n_sent, sent + 2);
		len = fake_answer_write(&f, sent + 1, &(struct fake_answer) { .records = "" }, msg);
		len = fill(len, &answers);
		be_put(msg + 6, 2, answers);
		clock_t began = clock();
		resolver_upstream_received(f.r, f.now_ms, f.sent[sent + 1].id, msg, len);
		spent += clock() - began;
		assert_int_equal(f.n_replies, replies + 1);
	}
	return spent;
}

static void test_keytrap(void **state)
{
	static size_t (*const hostile[])(size_t at, unsigned *answers) = { keys_put, signatures_put };
	(void)state;
	clock_t plain = cost_of(plain_put);
	assert_int_equal(fake_rcode(&f), DNS_NOERROR);
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		clock_t cost = cost_of(hostile[i]);
		if (cost > TIMES_MAX * (plain + CLOCKS_PER_SEC / 1000))
			fail_msg("shape %zu: %ld, plain records %ld", i, (long)cost, (long)plain);
	}
}

/* As many records as a message holds when nothing is in them. */
static void test_many_records(void **state)
{
	(void)state;
	for (unsigned n = ANSWER_RRS_MAX; n <= ANSWER_RRS_MAX + 1 + 3000;
		n += n == ANSWER_RRS_MAX ? 1 : 3000) {
		uint8_t q[300];
		char name[32];
		struct fake_answer none = { .flags = DNS_TC };
		snprintf(name, sizeof(name), "r%u.example.com", n);
		size_t len = fake_question(q, name, 65280, DNS_RD), sent = f.n_sent, replies = f.n_replies;
		uint64_t malformed = resolver_stats(f.r)->upstream_malformed;
		assert_true(resolver_query(f.r, f.now_ms, 1, q, len, true));
		fake_answer(&f, sent, &none);
		assert_int_equal(f.n_sent, sent + 2);
		none.flags = 0;
		len = fake_answer_write(&f, sent + 1, &none, msg);
		for (unsigned i = 0; i < n; i++)
			len = record_put(len, 65280, NULL, 0);
		be_put(msg + 6, 2, n);
		resolver_upstream_received(f.r, f.now_ms, f.sent[sent + 1].id, msg, len);
		assert_int_equal(f.n_replies, replies + 1);
		bool taken = n == ANSWER_RRS_MAX;
		assert_int_equal(resolver_stats(f.r)->upstream_malformed, malformed + !taken);
		assert_int_equal(fake_rcode(&f), taken ? DNS_NOERROR : DNS_SERVFAIL);
		assert_int_equal(fake_count(&f, 1), taken ? n : 0);
	}
}

/* Who asks for names of silent nameservers, faster than they are given up, has not all places: others are answered. */
static void test_many_of_one(void **state)
{
	static const struct fake_answer good = { .an = 1, .records = A_RECORD };
	enum { GREEDY = 1, OTHER };
	char name[32];
	(void)state;
	for (int i = 0; i < 1100; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		f.n_sent = 0;
		fake_ask(&f, GREEDY, name, DNS_A);
	}
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.client, GREEDY);
	f.n_sent = 0;
	fake_ask(&f, OTHER, "www.example.net", DNS_A);
	assert_int_equal(f.n_sent, 1);
	fake_answer(&f, 0, &good);
	assert_int_equal(f.client, OTHER);
	assert_int_equal(fake_rcode(&f), DNS_NOERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_many_of_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keytrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_records, setup, teardown) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
