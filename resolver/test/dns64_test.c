/* Addresses of IPv6 made of a translator's prefix, RFC 6147. */
#include "resolver/present.h"
#include "resolver/test/fake.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NAME "www.example.com"
#define SOA "c00c 0006 0001 00000e10 0016 00 00 00000001 00000002 00000003 00000004 "
#define SHORT_LACK SOA "0000000a" /* for 10 s */
#define LONG_LACK SOA "00000e10"
#define AAAA_RECORD "c00c 001c 0001 0000003c 0010 20010db8000000000000000000000001"
#define MAPPED_RECORD "c00c 001c 0001 0000003c 0010 00000000000000000000ffffc6336407"
#define PRIVATE_RECORD "c00c 0001 0001 0000003c 0004 0a000001"
#define CNAME_RECORD "c00c 0005 0001 0000003c 0006 0363646e c010"
#define SIGNATURE \
	"c00c 002e 0001 0000003c 001f 0001 0d 03 0000003c 60000000 50000000 0001 076578616d706c65 03636f6d " \
	"00 01"

static struct fake f;

static void configure(const char *prefix)
{
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	assert_true(!prefix || nat64_parse(prefix, &c.dns64));
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	configure("64:ff9b::/96");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

/* What the last packet to an upstream asks. */
static uint16_t asked_type(void)
{
	const struct sent *s = &f.sent[f.n_sent - 1];
	return (uint16_t)be_get(s->msg + dns_name_skip(s->msg, s->len, DNS_HEADER), 2);
}

static void answer_last(unsigned rcode, unsigned an, unsigned ns, const char *records)
{
	fake_answer(&f, f.n_sent - 1,
		&(struct fake_answer) { .rcode = rcode, .an = an, .ns = ns, .records = records });
}

static void expect(const char *id, const char *text)
{
	struct buf out = { 0 };
	if (!present_message(f.reply, f.reply_len, &out) || strcmp(buf_cstr(&out), text) != 0)
		fail_msg("%s: %s", id, buf_cstr(&out));
	buf_free(&out);
}

/* An answer for AAAA, and one for A when that is asked for then. */
static void test_answers(void **state)
{
	static const struct {
		const char *id;
		unsigned rcode, an, ns;
		const char *records;
		unsigned a_rcode, a_an, a_ns;
		const char *a_records; /* NULL: A is not asked for */
		const char *reply;
	} rows[] = {
		{ "IPv4 alone", 0, 0, 1, LONG_LACK, 0, 1, 0, A_RECORD,
			"NOERROR\n%s.\t60\tIN\tAAAA\t64:ff9b::c633:6407\n" },
		{ "as long as the lack", 0, 0, 1, SHORT_LACK, 0, 1, 0, A_RECORD,
			"NOERROR\n%s.\t10\tIN\tAAAA\t64:ff9b::c633:6407\n" },
		{ "no SOA", 0, 0, 0, "", 0, 1, 0, "c00c 0001 0001 00000e10 0004 c6336407",
			"NOERROR\n%s.\t600\tIN\tAAAA\t64:ff9b::c633:6407\n" },
		{ "IPv6", 0, 1, 0, AAAA_RECORD, 0, 0, 0, NULL, "NOERROR\n%s.\t60\tIN\tAAAA\t2001:db8::1\n" },
		{ "IPv4 in disguise", 0, 1, 0, MAPPED_RECORD, 0, 1, 0, A_RECORD,
			"NOERROR\n%s.\t60\tIN\tAAAA\t64:ff9b::c633:6407\n" },
		{ "no such name", 3, 0, 1, SHORT_LACK, 0, 0, 0, NULL,
			"NXDOMAIN\n%s.\t10\tIN\tSOA\t. . 1 2 3 4 10\n" },
		{ "neither", 0, 0, 1, LONG_LACK, 0, 0, 1, SHORT_LACK,
			"NOERROR\n%s.\t10\tIN\tSOA\t. . 1 2 3 4 10\n" },
		{ "nobody's on the internet", 0, 0, 1, LONG_LACK, 0, 1, 0, PRIVATE_RECORD, "NOERROR\n" },
		{ "AAAA fails", 2, 0, 0, "", 0, 1, 0, A_RECORD,
			"NOERROR\n%s.\t60\tIN\tAAAA\t64:ff9b::c633:6407\n" },
		{ "AAAA is refused, A is not there", 5, 0, 0, "", 3, 0, 1, SHORT_LACK,
			"NXDOMAIN\n%s.\t10\tIN\tSOA\t. . 1 2 3 4 10\n" },
		{ "A fails", 0, 0, 1, LONG_LACK, 2, 0, 0, "", "SERVFAIL\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[64], reply[256];
		snprintf(name, sizeof(name), "n%zu.example.com", i);
		snprintf(reply, sizeof(reply), rows[i].reply, name);
		size_t before = f.n_sent;
		assert_true(fake_ask(&f, i, name, DNS_AAAA));
		assert_int_equal(asked_type(), DNS_AAAA);
		answer_last(rows[i].rcode, rows[i].an, rows[i].ns, rows[i].records);
		if (f.n_sent - before != 1 + !!rows[i].a_records)
			fail_msg("%s: %zu questions", rows[i].id, f.n_sent - before);
		if (rows[i].a_records) {
			assert_int_equal(asked_type(), DNS_A);
			answer_last(rows[i].a_rcode, rows[i].a_an, rows[i].a_ns, rows[i].a_records);
		}
		expect(rows[i].id, reply);
		before = f.n_sent;
		assert_true(fake_ask(&f, i, name, DNS_AAAA)); /* both are known now */
		if (f.n_sent != before)
			fail_msg("%s: asked again", rows[i].id);
		expect(rows[i].id, reply);
	}
	assert_int_equal(f.n_replies, 2 * ARRAY_LEN(rows));
}

/* The end of a chain is what has no address. */
static void test_chain(void **state)
{
	(void)state;
	assert_true(fake_ask(&f, 1, NAME, DNS_AAAA));
	answer_last(0, 1, 0, CNAME_RECORD);
	assert_int_equal(asked_type(), DNS_A);
	answer_last(0, 1, 0, A_RECORD);
	expect("chain", "NOERROR\nwww.example.com.\t60\tIN\tCNAME\tcdn.example.com.\n"
			"cdn.example.com.\t60\tIN\tAAAA\t64:ff9b::c633:6407\n");
}

/* Who validates gets what is signed; who only asks for signatures, or that nothing is checked, gets an address. */
static void test_validators(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		struct dns_name name;
		uint8_t q[DNS_ASK_MAX];
		char text[64];
		snprintf(text, sizeof(text), "v%u.example.com", bits);
		assert_true(dns_name_parse(text, &name));
		struct dns_ask ask = { .type = DNS_AAAA, .name = &name, .edns = true };
		ask.dnssec_ok = bits & 1;
		ask.cd = bits & 2;
		size_t len = dns_ask_write(q, &ask), before = f.n_sent;
		assert_true(resolver_query(f.r, f.now_ms, 1, q, len, false));
		answer_last(0, 0, 1, LONG_LACK);
		if (bits == 3) {
			assert_int_equal(f.n_sent, before + 1);
			assert_int_equal(fake_count(&f, 1), 0);
			continue;
		}
		fake_answer(&f, f.n_sent - 1,
			&(struct fake_answer) { .flags = DNS_AD, .an = 2, .records = A_RECORD SIGNATURE });
		assert_int_equal(fake_count(&f, 1), 1);
		assert_int_equal(f.reply[3] & DNS_AD, 0);
	}
}

/* Names of ours are as they are; without a prefix nothing is made; another prefix has room for any network. */
static void test_where(void **state)
{
	(void)state;
	assert_true(fake_ask(&f, 1, "two.mesh", DNS_AAAA));
	assert_int_equal(f.n_sent, 0);
	assert_int_equal(fake_count(&f, 1), 0);
	configure(NULL);
	assert_true(fake_ask(&f, 1, NAME, DNS_AAAA));
	answer_last(0, 0, 1, LONG_LACK);
	assert_int_equal(f.n_sent, 1);
	assert_int_equal(fake_count(&f, 1), 0);
	configure("2001:db8:64::/48");
	assert_true(fake_ask(&f, 1, NAME, DNS_AAAA));
	answer_last(0, 1, 0, PRIVATE_RECORD);
	expect("own prefix", "NOERROR\nwww.example.com.\t60\tIN\tAAAA\t2001:db8:64:a00:0:100::\n");
}

/* An address of the prefix is called what the one inside is called. */
static void test_reverse(void **state)
{
	(void)state;
	static const char name[] = "2.2.8.d.8.b.d.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa";
	assert_true(fake_ask(&f, 1, name, DNS_PTR));
	answer_last(0, 1, 0, "c00c 000c 0001 0000003c 0006 04686f7374 00");
	assert_int_equal(f.n_replies, 1);
	struct buf out = { 0 };
	assert_true(present_message(f.reply, f.reply_len, &out));
	assert_non_null(strstr(buf_cstr(&out), "\tCNAME\t34.216.184.93.in-addr.arpa.\n"));
	buf_free(&out);
	/* of the mesh, too, and of private networks nothing is asked */
	assert_true(fake_ask(
		&f, 1, "2.0.0.0.0.4.4.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa", DNS_PTR));
	assert_int_equal(fake_count(&f, 1), 2);
	assert_true(fake_ask(
		&f, 1, "1.0.0.0.0.0.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa", DNS_PTR));
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_int_equal(f.n_sent, 1);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_answers), ONE(test_chain), ONE(test_validators),
		ONE(test_where), ONE(test_reverse) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
