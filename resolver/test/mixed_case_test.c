/* Names in random case, and what becomes of questions whose answers have another: servers that change it, with and without
 * TCP, and strangers who guess. */
#include "resolver/core.h"
#include "resolver/report.h"
#include "resolver/test/fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define NAME "a-long-enough-name-to-be-in-mixed-case.example.com"
#define OTHER_ADDRESS "c00c 0001 0001 0000003c 0004 06060606"

enum { HOUR_MS = 3600 * 1000 };
enum as { AS_ASKED, LOWER, UPPER };

static struct fake f;
static unsigned n_told;

static const struct fake_answer good = { .an = 1, .records = A_RECORD },
				forged = { .an = 1, .records = OTHER_ADDRESS };

static void case_changes(void *arg, const struct endpoint *at)
{
	struct endpoint first = fake_upstream(1);
	(void)arg;
	assert_true(endpoint_equal(at, &first));
	n_told++;
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	f.r->ops.case_changes = case_changes;
	n_told = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static bool is_mixed(size_t i)
{
	const struct sent *s = &f.sent[i];
	uint8_t lower[DNS_NAME_MAX];
	size_t len = dns_name_skip(s->msg, s->len, DNS_HEADER) - DNS_HEADER;
	dns_fold(lower, s->msg + DNS_HEADER, len);
	return memcmp(lower, s->msg + DNS_HEADER, len) != 0;
}

/* To what was sent as number i. */
static void answer(size_t i, const struct fake_answer *a, enum as as)
{
	uint8_t buf[DNS_MESSAGE_MAX];
	size_t len = fake_answer_write(&f, i, a, buf), end = dns_name_skip(buf, len, DNS_HEADER);
	if (as != AS_ASKED)
		dns_fold(buf + DNS_HEADER, buf + DNS_HEADER, end - DNS_HEADER);
	if (as == UPPER)
		dns_name_mix(buf + DNS_HEADER, end - DNS_HEADER, UINT64_MAX);
	resolver_upstream_received(f.r, f.now_ms, f.sent[i].id, buf, len);
}

static void ask(uint64_t client, unsigned number)
{
	char name[128];
	snprintf(name, sizeof(name), "n%u." NAME, number);
	assert_true(fake_ask(&f, client, name, DNS_A));
}

static uint64_t counted(void)
{
	return resolver_stats(f.r)->upstream_case;
}

static bool is_known(void)
{
	struct resolver_route_report route;
	assert_true(resolver_route_report(f.r, f.now_ms, 0, &route));
	return route.servers[0].changes_case;
}

static void assert_good(size_t replies)
{
	assert_int_equal(f.n_replies, replies);
	assert_int_equal(fake_rcode(&f), 0);
	assert_memory_equal(
		f.reply + dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 16, "\306\63\144\7", 4);
}

/* A server that changes the case, and does not know TCP at all; the name is answered all the same. */
static void fold_without_tcp(uint64_t client, unsigned number)
{
	size_t replies = f.n_replies, sent = f.n_sent;
	ask(client, number);
	answer(sent, &good, LOWER);
	assert_true(f.n_sent == sent + 2 && f.sent[sent + 1].tcp);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[sent + 1].id, -ECONNREFUSED);
	assert_int_equal(f.n_sent, sent + 3);
	assert_true(!f.sent[sent + 2].tcp && f.sent[sent + 2].fresh && !is_mixed(sent + 2));
	answer(sent + 2, &good, LOWER);
	assert_good(replies + 1);
}

static void test_name(void **state)
{
	static const struct {
		const char *name;
		uint64_t letters, upper;
		const char *mixed;
	} rows[] = {
		{ ".", 0, UINT64_MAX, "." },
		{ "1-2.3", 0, UINT64_MAX, "1-2.3" },
		{ "a1b.cd", 15, 5, "A1b.Cd" },
		{ "a1b.cd", 15, UINT64_MAX, "A1B.CD" },
		{ "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz",
			UINT64_MAX, UINT64_MAX,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ.ABCDEFGHIJKLMNOPQRSTUVWXYZ.ABCDEFGHIJKLmnopqrstuvwxyz" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n = { 0 }, want = { 0 };
		assert_true(dns_name_parse(rows[i].name, &n) && dns_name_parse(rows[i].mixed, &want));
		if (dns_name_letters(&n) != rows[i].letters)
			fail_msg("row %zu: letters", i);
		dns_name_mix(n.b, n.len, rows[i].upper);
		if (n.len != want.len || memcmp(n.b, want.b, n.len) != 0)
			fail_msg("row %zu: mixed", i);
	}
}

/* Every letter of a question is in upper case now and then, and in lower case; the id is in no relation to it. */
static void test_random(void **state)
{
	struct dns_name name;
	unsigned upper[DNS_NAME_MAX] = { 0 };
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		size_t sent = f.n_sent;
		ask(1, 100 + i);
		assert_int_equal(f.n_sent, sent + 1);
		for (unsigned k = 0; k < f.sent[sent].len - DNS_HEADER && k < DNS_NAME_MAX; k++)
			upper[k] += f.sent[sent].msg[DNS_HEADER + k] >= 'A' &&
				    f.sent[sent].msg[DNS_HEADER + k] <= 'Z';
		answer(sent, &good, AS_ASKED);
	}
	assert_int_equal(f.n_replies, 200);
	assert_true(dns_name_parse("n100." NAME, &name));
	for (unsigned k = 0; k < name.len; k++)
		if (dns_lower(name.b[k]) >= 'a' && dns_lower(name.b[k]) <= 'z')
			assert_in_range(upper[k], 40, 160);
	assert_true(!counted() && !is_known());
}

/* Who asks gets the name as he wrote it, one who joined him too, and no other name has our case. */
static void test_clients(void **state)
{
	(void)state;
	fake_ask(&f, 1, "WwW.eXample.com", DNS_CNAME);
	fake_ask(&f, 2, "www.EXAMPLE.com", DNS_CNAME);
	assert_int_equal(f.n_sent, 1);
	/* a target that points into the question, behind a label of its own */
	answer(0, &(struct fake_answer) { .an = 1, .records = "c00c 0005 0001 0000003c 0004 0178c010" },
		AS_ASKED);
	assert_int_equal(f.n_replies, 2);
	fake_ask(&f, 3, "wWw.example.cOM", DNS_CNAME);
	assert_int_equal(f.n_replies, 3);
	assert_memory_equal(f.reply + DNS_HEADER, "\3wWw\7example\3cOM", 17);
	fake_ask(&f, 4, "www.example.com", DNS_SRV);
	/* RDATA of SRV is never compressed: there it would show */
	answer(1,
		&(struct fake_answer) {
			.an = 1, .records = "c00c 0021 0001 0000003c 0008 0001 0002 0003 c010" },
		AS_ASKED);
	assert_int_equal(f.n_replies, 4);
	assert_non_null(
		memmem(f.reply + DNS_HEADER + 21, f.reply_len - DNS_HEADER - 21, "\7example\3com", 13));
}

/* In clear by UDP to a server outside the mesh, and nowhere else; and where it is turned off, not there. */
static void test_where(void **state)
{
	static const struct dns_secure secure = { .by = DNS_SECURE_TLS, .name = "dns.test" };
	static const struct {
		struct resolver_upstream up;
		bool lower_case, validate, mixed;
	} rows[] = {
		{ .mixed = true },
		{ .up.site = true, .mixed = true },
		{ .up.trusted = true },
		{ .up.secure = &secure },
		{ .validate = true },
		{ .lower_case = true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolver_upstream up = rows[i].up;
		struct resolver_route route = {
			.suffix = "", .upstreams = &up, .n_upstreams = 1, .validate = rows[i].validate
		};
		struct resolver_config c = {
			.routes = &route, .n_routes = 1, .lower_case = rows[i].lower_case
		};
		up.at = fake_upstream(1);
		fake_close(&f);
		fake_open(&f, 1);
		assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
		ask(1, 1);
		if (is_mixed(0) != rows[i].mixed)
			fail_msg("row %zu", i);
		if (!rows[i].mixed && !up.secure && !rows[i].validate) { /* then any case is right */
			answer(0, &good, UPPER);
			assert_good(1);
		}
	}
	/* nor by TCP */
	teardown(state);
	setup(state);
	ask(1, 1);
	answer(0, &(struct fake_answer) { .flags = DNS_TC }, AS_ASKED);
	assert_true(f.sent[1].tcp && !is_mixed(1));
	/* a retry to the same server has the same case: it may be joined with the first by whoever forwards it */
	ask(2, 2);
	fake_until(&f, f.now_ms + 450);
	size_t again = f.n_sent;
	while (f.sent[--again].tcp || !fake_sent_is(&f.sent[again], "\2n2", 3))
		;
	assert_true(again > 2 && is_mixed(again));
	assert_memory_equal(f.sent[again].msg + DNS_HEADER, f.sent[2].msg + DNS_HEADER, 40);
}

/* An answer in another case is not believed, does not end the wait, and costs one question by TCP. */
static void test_forged(void **state)
{
	(void)state;
	ask(1, 1);
	answer(0, &good, AS_ASKED); /* it keeps the case */
	ask(2, 2);
	for (int i = 0; i < 5; i++)
		answer(1, &forged, i & 1 ? UPPER : LOWER);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(f.n_sent, 3);
	assert_true(f.sent[2].tcp && !f.sent[1].done);
	assert_int_equal(counted(), 5);
	answer(1, &good, AS_ASKED);
	assert_good(2);
	assert_true(f.sent[2].done && !is_known());
	/* what was said wrongly is not in the cache either */
	ask(3, 2);
	assert_good(3);
	/* an error is no better */
	ask(4, 3);
	answer(3, &(struct fake_answer) { .rcode = DNS_NXDOMAIN }, LOWER);
	answer(3, &(struct fake_answer) { .rcode = DNS_SERVFAIL }, LOWER);
	assert_int_equal(f.n_replies, 3);
	answer(4, &good, LOWER);
	assert_good(4);
	assert_false(is_known()); /* one that keeps it is believed to for longer */
}

/* Ten wrong packets of any kind mean TCP, and that is one question by TCP, not two. */
static void test_flood(void **state)
{
	(void)state;
	ask(1, 1);
	for (int i = 0; i < 100; i++)
		answer(0, &forged, LOWER);
	assert_true(f.n_sent == 2 && f.sent[1].tcp && f.sent[0].done);
	answer(1, &good, LOWER);
	assert_good(1);
	assert_int_equal(counted(), 10);
	assert_false(is_known()); /* nobody was listening for the right answer any more */
	/* nor where they come one at a time to each of many questions */
	for (unsigned i = 0; i < 50; i++) {
		size_t sent = f.n_sent;
		ask(1, 2 + i);
		answer(sent, &forged, LOWER);
		assert_int_equal(f.n_sent, sent + 2);
		answer(sent, &good, AS_ASKED);
		assert_good(2 + i);
		assert_true(f.sent[sent + 1].done);
	}
	assert_false(is_known());
}

/* B65: a server that changes the case is found out by TCP, and asked in lower case from then on, for an hour. */
static void test_server_changes_case(void **state)
{
	(void)state;
	ask(1, 1);
	ask(2, 2); /* out when it is found out */
	answer(0, &good, LOWER);
	assert_true(f.n_sent == 3 && f.sent[2].tcp);
	answer(2, &good, LOWER);
	assert_good(1);
	assert_true(f.sent[0].done && is_known() && n_told == 1);
	answer(1, &good, LOWER);
	assert_good(2);
	for (unsigned i = 0; i < 5; i++) {
		size_t sent = f.n_sent;
		ask(1, 3 + i);
		assert_true(f.n_sent == sent + 1 && !is_mixed(sent) && !f.sent[sent].fresh);
		answer(sent, &good, UPPER);
		assert_good(3 + i);
	}
	assert_int_equal(counted(), 1);
	/* an hour later it is looked at again, and said no more */
	f.now_ms += HOUR_MS;
	assert_false(is_known());
	size_t sent = f.n_sent;
	ask(1, 20);
	assert_true(is_mixed(sent));
	answer(sent, &good, LOWER);
	answer(sent + 1, &good, LOWER);
	assert_true(is_known() && n_told == 1);
	/* another network is another server */
	resolver_network_changed(f.r);
	sent = f.n_sent;
	ask(1, 21);
	assert_true(is_mixed(sent) && !is_known());
}

/* One that was seen to keep the case has to change it three times within an hour. */
static void test_proofs(void **state)
{
	static const struct {
		uint64_t apart_ms;
		unsigned known_after; /* 0: never */
	} rows[] = { { 1000, 3 }, { HOUR_MS / 2 + 1, 0 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		teardown(state);
		setup(state);
		ask(1, 0);
		answer(0, &good, AS_ASKED);
		for (unsigned n = 1; n <= 4 && !is_known(); n++) {
			f.now_ms += rows[i].apart_ms;
			size_t sent = f.n_sent;
			ask(1, n);
			answer(sent, &good, LOWER);
			assert_true(f.sent[sent + 1].tcp);
			answer(sent + 1, &good, LOWER);
			assert_good(n + 1);
			if (is_known() != (n == rows[i].known_after))
				fail_msg("row %zu: after %u", i, n);
		}
	}
}

/* Where there is no TCP: in lower case, from a port of its own. */
static void test_no_tcp(void **state)
{
	(void)state;
	fold_without_tcp(1, 1);
	assert_true(is_known() && n_told == 1);
	size_t sent = f.n_sent;
	ask(1, 2);
	assert_true(!is_mixed(sent) && !f.sent[sent].fresh);
	answer(sent, &good, LOWER);
	assert_good(2);
	/* a server that says something, but does not know the name by TCP alone */
	static const unsigned rcodes[] = { DNS_SERVFAIL, DNS_REFUSED, DNS_NOTIMP, DNS_FORMERR };
	for (unsigned i = 0; i < ARRAY_LEN(rcodes); i++) {
		f.now_ms += HOUR_MS;
		size_t replies = f.n_replies;
		sent = f.n_sent;
		ask(1, 10 + i);
		answer(sent, &good, LOWER);
		answer(sent + 1, &(struct fake_answer) { .rcode = rcodes[i] }, LOWER);
		assert_int_equal(f.n_sent, sent + 3);
		answer(sent + 2, &good, LOWER);
		assert_good(replies + 1);
	}
	/* nonsense by TCP */
	f.now_ms += HOUR_MS;
	size_t replies = f.n_replies;
	sent = f.n_sent;
	ask(1, 20);
	answer(sent, &good, LOWER);
	resolver_upstream_received(f.r, f.now_ms, f.sent[sent + 1].id, (const uint8_t *)"odd", 3);
	answer(sent + 2, &good, LOWER);
	assert_good(replies + 1);
}

/* A box that swallows TCP: the question does not wait for its end. */
static void test_tcp_swallowed(void **state)
{
	(void)state;
	uint64_t start = f.now_ms;
	ask(1, 1);
	fake_until(&f, start + 20);
	answer(0, &good, LOWER);
	size_t lower = 0;
	for (; !lower && f.now_ms < start + 1000; fake_until(&f, f.now_ms + 10))
		for (size_t i = 1; i < f.n_sent; i++)
			if (f.sent[i].fresh && !f.sent[i].tcp)
				lower = i;
	assert_true(lower && !is_mixed(lower));
	assert_in_range(f.now_ms - start, 300, 500);
	assert_int_equal(f.n_replies, 0);
	assert_false(f.sent[1].done); /* it may still answer */
	answer(lower, &good, LOWER);
	assert_good(1);
	assert_true(is_known());
	for (size_t i = 0; i < f.n_sent; i++)
		assert_true(f.sent[i].done);
}

/* In lower case it may get lost as well; retries are in lower case then, and the wait is not longer than ever. */
static void test_lower_lost(void **state)
{
	(void)state;
	uint64_t start = f.now_ms;
	ask(1, 1);
	answer(0, &good, LOWER);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[1].id, -ECONNREFUSED);
	size_t sent = f.n_sent;
	fake_until(&f, f.now_ms + 900);
	assert_true(f.n_sent > sent);
	for (size_t i = sent; i < f.n_sent; i++)
		assert_true(!is_mixed(i) && !f.sent[i].tcp);
	fake_until(&f, start + 3600);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_false(is_known());
}

/* A stranger who hits the first question is not believed while the right answer can come, whatever TCP does. */
static void test_right_answer_ends_it(void **state)
{
	(void)state;
	ask(1, 1);
	answer(0, &forged, LOWER);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[1].id, -ECONNREFUSED);
	assert_int_equal(f.n_sent, 3);
	answer(0, &good, AS_ASKED);
	assert_good(1);
	assert_true(f.sent[2].done && !is_known());
	answer(2, &forged, LOWER);
	assert_int_equal(f.n_replies, 1);
}

/* A cut answer in another case, where there is no TCP: cut is better than nothing (B51). */
static void test_cut(void **state)
{
	(void)state;
	ask(1, 1);
	answer(0, &(struct fake_answer) { .flags = DNS_TC }, LOWER);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[1].id, -ECONNREFUSED);
	answer(2, &(struct fake_answer) { .flags = DNS_TC }, LOWER);
	assert_true(f.n_sent == 4 && f.sent[3].tcp);
	resolver_upstream_failed(f.r, f.now_ms, f.sent[3].id, -ECONNREFUSED);
	assert_int_equal(f.n_replies, 1);
	assert_true(f.reply[2] & 2);
}

/* An old server that answers FORMERR with a bare header says nothing of the case. */
static void test_bare_error(void **state)
{
	uint8_t bare[DNS_HEADER] = { 0 };
	(void)state;
	ask(1, 1);
	memcpy(bare, f.sent[0].msg, 2);
	be_put(bare + 2, 2, 0x8180 | DNS_FORMERR);
	resolver_upstream_received(f.r, f.now_ms, f.sent[0].id, bare, sizeof(bare));
	assert_true(f.n_sent == 2 && !f.sent[1].tcp && is_mixed(1));
	answer(1, &good, LOWER);
	answer(2, &good, LOWER);
	assert_good(1);
	assert_true(is_known()); /* at once: it was not seen to keep it */
	/* longer than the question would be: nor are those bytes a name */
	uint8_t with_opt[DNS_HEADER + 64] = { 0 };
	resolver_network_changed(f.r);
	size_t sent = f.n_sent;
	fake_ask(&f, 1, "abc-def.com", DNS_A);
	memcpy(with_opt, f.sent[sent].msg, 2);
	be_put(with_opt + 2, 2, 0x8180 | DNS_FORMERR);
	be_put(with_opt + 10, 2, 1);
	fake_hex("00 0029 04d0 00000000 0000", with_opt + DNS_HEADER, 64);
	resolver_upstream_received(f.r, f.now_ms, f.sent[sent].id, with_opt, sizeof(with_opt));
	assert_true(f.n_sent == sent + 2 && !f.sent[sent + 1].tcp && f.sent[sent].done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_where, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_changes_case, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proofs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_swallowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lower_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_right_answer_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bare_error, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
