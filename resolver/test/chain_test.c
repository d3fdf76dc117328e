/* CNAMEs that cross a border: out of the zone, into it, from one route to another; and who speaks for a name.
 */
#include "resolver/test/fake.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define MESH_BOB "03626f62 046d657368 00"
#define MESH_NONE "046e6f6e65 046d657368 00"
#define PUBLIC "03777777 03707562 036f7267 00"	      /* www.pub.org */
#define CORP "0161 04636f7270 0474657374 036e6574 00" /* a.corp.test.net */

static struct fake f;

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

static bool reply_has(const char *bytes, size_t len)
{
	return memmem(f.reply, f.reply_len, bytes, len) != NULL;
}

/* Issue: what an upstream says of a name of ours is not believed, wherever in its chain it stands. */
static void test_foreign_address(void **state)
{
	static const struct {
		const char *name;
		struct fake_answer says;
		unsigned rcode, n;
	} rows[] = {
		{ "in.example.com",
			{ .an = 2,
				.records = "c00c 0005 0001 0000003c 000a" MESH_BOB MESH_BOB
					   "0001 0001 0000003c 0004 06060606" },
			0, 2 },
		{ "gone.example.com",
			{ .an = 2,
				.records = "c00c 0005 0001 0000003c 000b" MESH_NONE MESH_NONE
					   "0001 0001 0000003c 0004 06060606" },
			DNS_NXDOMAIN, 1 },
		{ "through.example.com",
			{ .an = 4,
				.records = "c00c 0005 0001 0000003c 0004 0179c00c"
					   "0179c00c 0005 0001 0000003c 000a" MESH_BOB MESH_BOB
					   "0005 0001 0000003c 000d" PUBLIC PUBLIC
					   "0001 0001 0000003c 0004 06060606" },
			0, 3 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int cached = 0; cached < 2; cached++) {
			fake_ask(&f, 1, rows[i].name, DNS_A);
			if (!cached)
				fake_answer(&f, f.n_sent - 1, &rows[i].says);
			assert_int_equal(f.n_sent, i + 1);
			assert_int_equal(f.n_replies, 2 * i + (size_t)cached + 1);
			if (fake_rcode(&f) != rows[i].rcode || fake_count(&f, 1) != rows[i].n)
				fail_msg("%s: rcode %u, %u records", rows[i].name, fake_rcode(&f),
					fake_count(&f, 1));
			assert_false(reply_has("\6\6\6\6", 4));
			assert_int_equal(reply_has("\144\100\0\2", 4), rows[i].rcode == 0);
		}
}

/* Issue: a split zone's server knows its own zone; where its chain leaves that, the next route is asked. */
static void test_out_of_a_split_zone(void **state)
{
	static const struct {
		struct fake_answer end;
		unsigned rcode, n;
	} rows[] = {
		{ { .an = 1, .records = A_RECORD }, 0, 2 },
		{ { 0 }, 0, 1 },
		{ { .rcode = DNS_NXDOMAIN }, DNS_NXDOMAIN, 1 },
		{ { .rcode = DNS_SERVFAIL }, DNS_SERVFAIL, 0 },
	};
	struct endpoint corp = fake_upstream(11), outside = fake_upstream(1);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_close(&f);
		fake_open(&f, 1);
		fake_ask(&f, 1, "a.corp.test.net", DNS_A);
		assert_true(endpoint_equal(&f.sent[0].to, &corp));
		fake_answer(&f, 0,
			&(struct fake_answer) { .an = 1, .records = "c00c 0005 0001 0000003c 000d" PUBLIC });
		assert_int_equal(f.n_replies, 0);
		assert_int_equal(f.n_sent, 2);
		assert_true(endpoint_equal(&f.sent[1].to, &outside));
		assert_true(fake_sent_is(&f.sent[1], "\3www\3pub\3org", 13));
		fake_answer(&f, 1, &rows[i].end);
		assert_int_equal(f.n_replies, 1);
		if (fake_rcode(&f) != rows[i].rcode || fake_count(&f, 1) != rows[i].n)
			fail_msg("row %zu: rcode %u, %u records", i, fake_rcode(&f), fake_count(&f, 1));
		assert_memory_equal(f.reply + DNS_HEADER, "\1a\4corp\4test\3net", 17);
		fake_ask(&f, 2, "a.corp.test.net", DNS_A); /* both halves from the cache */
		assert_int_equal(f.n_sent, 2);
		assert_int_equal(fake_rcode(&f), rows[i].rcode);
		assert_int_equal(fake_count(&f, 1), rows[i].n);
	}
}

/* A chain of two routes from the cache is as old as it is, in both halves. */
static void test_chain_ages(void **state)
{
	struct dns_rr rr;
	(void)state;
	fake_ask(&f, 1, "a.corp.test.net", DNS_A);
	fake_answer(
		&f, 0, &(struct fake_answer) { .an = 1, .records = "c00c 0005 0001 0000003c 000d" PUBLIC });
	fake_answer(&f, 1, &(struct fake_answer) { .an = 1, .records = A_RECORD });
	fake_until(&f, f.now_ms + 4000);
	f.n_replies = 0;
	fake_ask(&f, 2, "a.corp.test.net", DNS_A);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_count(&f, 1), 2);
	size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
	while (dns_rr_next(f.reply, f.reply_len, &at, &rr) && rr.type != DNS_OPT)
		assert_int_equal(rr.ttl_s, 56);
}

/* Two routes that point at each other end, and so do clients that leave meanwhile. */
static void test_round_and_round(void **state)
{
	(void)state;
	fake_ask(&f, 1, "a.corp.test.net", DNS_A);
	fake_answer(
		&f, 0, &(struct fake_answer) { .an = 1, .records = "c00c 0005 0001 0000003c 000d" PUBLIC });
	fake_answer(&f, 1, &(struct fake_answer) { .an = 1, .records = "c00c 0005 0001 0000003c 0011" CORP });
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.n_sent, 2);
	fake_ask(&f, 2, "b.corp.test.net", DNS_A);
	fake_answer(&f, 2,
		&(struct fake_answer) { .an = 1,
			.records = "c00c 0005 0001 0000003c 000d 0378"
				   "7878 03707562 036f7267 00" });
	assert_int_equal(f.n_sent, 4);
	resolver_client_gone(f.r, 2);
	fake_answer(&f, 3, &(struct fake_answer) { .an = 1, .records = A_RECORD });
	assert_int_equal(f.n_replies, 1);
}

/* Issue: a route for exactly what the zone owns, or deeper, was configured for it: it takes the names that
 * have no record. The default route, one for the parent and one without servers do not. */
static void test_who_speaks(void **state)
{
	struct resolver_upstream up = { .at = fake_upstream(9) };
	static const struct {
		const char *suffix;
		size_t n;
		bool wins;
	} rows[] = {
		{ "64.100.in-addr.arpa", 1, true },
		{ "0.64.100.in-addr.arpa", 1, true },
		{ "100.in-addr.arpa", 1, false },
		{ "64.100.in-addr.arpa", 0, false },
		{ "", 1, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolver_route route = {
			.suffix = rows[i].suffix, .upstreams = &up, .n_upstreams = rows[i].n
		};
		assert_int_equal(resolver_configure(f.r,
					 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
			0);
		size_t sent = f.n_sent;
		fake_ask(&f, 1, "9.0.64.100.in-addr.arpa", DNS_PTR);
		if ((f.n_sent > sent) != rows[i].wins)
			fail_msg("row %zu", i);
		if (!rows[i].wins)
			assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
		fake_ask(&f, 1, "2.0.64.100.in-addr.arpa", DNS_PTR); /* has a record */
		assert_int_equal(fake_count(&f, 1), 1);
	}
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_foreign_address), ONE(test_out_of_a_split_zone),
		ONE(test_chain_ages), ONE(test_round_and_round), ONE(test_who_speaks) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
