/* Prefixes of translators that are found by asking for ipv4only.arpa, RFC 7050. */
#include "resolver/present.h"
#include "resolver/report.h"
#include "resolver/test/fake.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LACK "c00c 0006 0001 00000e10 0016 00 00 00000001 00000002 00000003 00000004 00000e10"
#define AAAA(ttl, hex) "c00c 001c 0001 " ttl " 0010 " hex " "
#define HOUR "00000e10"
#define WELL_KNOWN "0064ff9b 00000000 00000000 c00000aa"
enum { SECOND = 1000 };

static struct fake f;

static void configure(unsigned first, unsigned n, bool find)
{
	struct resolver_upstream up[2] = { { .at = fake_upstream(first) },
		{ .at = fake_upstream(first + 1) } };
	struct resolver_route route = { .suffix = "", .upstreams = up, .n_upstreams = n };
	struct resolver_config c = { .routes = &route, .n_routes = 1, .dns64_find = find };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	fake_until(&f, f.now_ms);
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	configure(1, 1, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static bool last_is_search(void)
{
	static const char name[] = "\10ipv4only\4arpa\0\0\34\0\1";
	const struct sent *s = f.n_sent ? &f.sent[f.n_sent - 1] : NULL;
	return s && !s->done && fake_sent_is(s, name, sizeof(name) - 1);
}

static void answer_last(unsigned rcode, unsigned an, unsigned ns, const char *records)
{
	fake_answer(&f, f.n_sent - 1,
		&(struct fake_answer) { .rcode = rcode, .an = an, .ns = ns, .records = records });
}

/* What is known now, as "64:ff9b::/96 ..." */
static const char *known(void)
{
	static char text[256];
	const struct nat64_set s = resolver_dns64(f.r);
	char at[PREFIX_TEXT];
	text[0] = 0;
	for (size_t i = 0; i < s.n; i++) {
		struct prefix p = { s.v[i].prefix, s.v[i].bits };
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "", prefix_format(&p, at));
	}
	return text;
}

/* What a translator's address is called was said without knowing that it is one: not again, once that is found. */
static void test_name_of_an_address(void **state)
{
	struct addr six, four = addr_v4(0x64400002);
	struct zone *z = zone_new();
	struct dns_name reverse;
	char name[DNS_NAME_TEXT];
	(void)state;
	assert_true(addr_parse("64:ff9b::6440:2", &six) && !zone_add_address(z, "six.mesh", &six, true) &&
		    !zone_add_address(z, "bob.mesh", &four, true));
	resolver_zone_set(f.r, z);
	zone_put(z);
	dns_name_reverse(&six, &reverse);
	dns_name_format(&reverse, name);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fake_ask(&f, 1, name, DNS_PTR));
		assert_int_equal(fake_count(&f, 1), 1);
	}
	assert_true(last_is_search());
	answer_last(0, 1, 0, AAAA(HOUR, WELL_KNOWN));
	assert_true(fake_ask(&f, 1, name, DNS_PTR));
	assert_int_equal(fake_count(&f, 1), 2); /* it is an alias of bob's */
}

/* Every length, each address looked at, doubles and what holds no well-known address left out. */
static void test_prefixes(void **state)
{
	static const struct {
		unsigned an;
		const char *records, *prefixes;
	} rows[] = {
		{ 1, AAAA(HOUR, WELL_KNOWN), "64:ff9b::/96" },
		{ 1, AAAA(HOUR, "0064ff9b 00000000 00000000 c00000ab"), "64:ff9b::/96" },
		{ 2, AAAA(HOUR, WELL_KNOWN) AAAA(HOUR, "0064ff9b 00000000 00000000 c00000ab"),
			"64:ff9b::/96" },
		{ 1, AAAA(HOUR, "20010db8 c00000aa 00000000 00000000"), "2001:db8::/32" },
		{ 1, AAAA(HOUR, "20010db8 01c00000 00aa0000 00000000"), "2001:db8:100::/40" },
		{ 1, AAAA(HOUR, "20010db8 0122c000 0000aa00 00000000"), "2001:db8:122::/48" },
		{ 1, AAAA(HOUR, "20010db8 012203c0 000000aa 00000000"), "2001:db8:122:300::/56" },
		{ 1, AAAA(HOUR, "20010db8 01220344 00c00000 aa000000"), "2001:db8:122:344::/64" },
		{ 1, AAAA(HOUR, "20010db8 01220344 00000000 c00000aa"), "2001:db8:122:344::/96" },
		{ 3,
			AAAA(HOUR, "20010db8 01220344 00000000 c00000aa")
				AAAA(HOUR, "20010db8 00000000 00000000 00000001") AAAA(HOUR, WELL_KNOWN),
			"2001:db8:122:344::/96 64:ff9b::/96" },
		/* the prefix itself looks like one of the addresses */
		{ 1, AAAA(HOUR, "20010db8 c00000aa 00000000 c00000aa"), "2001:db8:c000:aa::/96" },
		{ 1, AAAA(HOUR, "20010db8 c00000aa 00000000 c00000ab"), "2001:db8:c000:aa::/96" },
		{ 5,
			AAAA(HOUR, "20010db8 00000001 00000000 c00000aa")
				AAAA(HOUR, "20010db8 00000002 00000000 c00000aa")
					AAAA(HOUR, "20010db8 00000003 00000000 c00000aa")
						AAAA(HOUR, "20010db8 00000004 00000000 c00000aa")
							AAAA(HOUR, "20010db8 00000005 00000000 c00000aa"),
			"2001:db8:0:1::/96 2001:db8:0:2::/96 2001:db8:0:3::/96 2001:db8:0:4::/96" },
		/* to this machine, its link, the mesh; IPv4 in disguise; bytes behind the address */
		{ 1, AAAA(HOUR, "00000000 00000000 00000000 c00000aa"), "" },
		{ 1, AAAA(HOUR, "fe800000 00000000 00000000 c00000aa"), "" },
		{ 1, AAAA(HOUR, "fd7a115c a1e00000 00000000 c00000aa"), "" },
		{ 1, AAAA(HOUR, "00000000 00000000 0000ffff c00000aa"), "" },
		{ 1, AAAA(HOUR, "20010db8 c00000aa 00000000 00000001"), "" },
		{ 1, AAAA(HOUR, "20010db8 01220344 00000000 c00000ac"), "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_close(&f);
		setup(NULL);
		assert_true(last_is_search());
		answer_last(0, rows[i].an, 0, rows[i].records);
		if (strcmp(known(), rows[i].prefixes) != 0)
			fail_msg("row %zu: %s", i, known());
		assert_int_equal(f.n_sent, 1);
	}
	assert_int_equal(f.n_replies, 0);
}

/* Names get an address of each prefix, once there is one. */
static void test_used(void **state)
{
	struct buf out = { 0 };
	(void)state;
	fake_ask(&f, 1, "early.example.com", DNS_AAAA);
	answer_last(0, 0, 1, LACK);
	assert_int_equal(f.n_sent, 2); /* A is not asked for */
	assert_int_equal(fake_count(&f, 1), 0);
	fake_answer(&f, 0,
		&(struct fake_answer) { .an = 2,
			.records =
				AAAA(HOUR, WELL_KNOWN) AAAA(HOUR, "20010db8 00000000 00000000 c00000aa") });
	fake_ask(&f, 1, "www.example.com", DNS_AAAA);
	answer_last(0, 0, 1, LACK);
	assert_int_equal(f.n_sent, 4);
	answer_last(0, 1, 0, A_RECORD);
	assert_true(present_message(f.reply, f.reply_len, &out));
	assert_string_equal(buf_cstr(&out), "NOERROR\nwww.example.com.\t60\tIN\tAAAA\t64:ff9b::c633:6407\n"
					    "www.example.com.\t60\tIN\tAAAA\t2001:db8::c633:6407\n");
	buf_free(&out);
	static const char name[] = "7.0.4.6.3.3.6.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
	fake_ask(&f, 1, name, DNS_PTR); /* of the second */
	static const uint8_t asked[] = "\1"
				       "7\3"
				       "100\2"
				       "51\3"
				       "198\7in-addr\4arpa";
	assert_int_equal(f.n_replies, 3);
	assert_non_null(memmem(f.reply, f.reply_len, asked, 3));
}

/* Asked again ten seconds before the least of the times is over; what was found holds while nobody answers, and goes when
 * somebody says otherwise. */
static void test_renewed(void **state)
{
	uint64_t began = f.now_ms;
	(void)state;
	answer_last(0, 2, 0, AAAA(HOUR, WELL_KNOWN) AAAA("0000003c", "20010db8 00000000 00000000 c00000aa"));
	assert_string_equal(known(), "64:ff9b::/96 2001:db8::/96");
	fake_until(&f, began + 50 * SECOND - 1);
	assert_int_equal(f.n_sent, 1);
	fake_until(&f, began + 50 * SECOND);
	assert_true(f.n_sent == 2 && last_is_search());
	answer_last(0, 1, 0,
		AAAA("00000000", WELL_KNOWN)); /* no time at all: not more than once in ten seconds */
	assert_string_equal(known(), "64:ff9b::/96");
	fake_until(&f, f.now_ms + 10 * SECOND - 1);
	assert_int_equal(f.n_sent, 2);
	fake_until(&f, f.now_ms + 1);
	assert_int_equal(f.n_sent, 3);
	answer_last(2, 0, 0, ""); /* SERVFAIL */
	assert_string_equal(known(), "64:ff9b::/96");
	fake_until(&f, f.now_ms + SECOND);
	assert_int_equal(f.n_sent, 4);
	answer_last(0, 0, 1, LACK);
	assert_string_equal(known(), "");
	fake_until(&f, f.now_ms + 3600 * SECOND - 1);
	assert_int_equal(f.n_sent, 4);
	fake_until(&f, f.now_ms + 1);
	assert_true(f.n_sent == 5 && last_is_search());
	answer_last(3, 0, 0, ""); /* no such name, for 600 s since nothing else is said */
	fake_until(&f, f.now_ms + 600 * SECOND - 1);
	assert_int_equal(f.n_sent, 5);
	fake_until(&f, f.now_ms + 1);
	assert_int_equal(f.n_sent, 6);
}

/* Nobody answers, or there is nobody: asked again after 1 s, 2 s, and so on up to five minutes. A network that changed
 * is a new beginning. */
static void test_silence(void **state)
{
	size_t n = 0;
	(void)state;
	uint64_t until = f.now_ms + 3600 * SECOND;
	for (size_t seen = 0; f.now_ms < until;) {
		if (last_is_search() && f.n_sent != seen) {
			seen = f.n_sent;
			n++;
			answer_last(2, 0, 0, "");
		}
		uint64_t due = resolver_deadline(f.r);
		fake_until(&f, due < until ? due : until);
	}
	assert_in_range(n, 15, 30);
	size_t before = f.n_sent;
	resolver_network_changed(f.r);
	fake_until(&f, f.now_ms);
	assert_int_equal(f.n_sent, before + 1);
	configure(1, 0, true);
	configure(3, 1, true); /* while the question is out */
	assert_string_equal(known(), "");
}

/* Another configuration asks anew, and holds what is known meanwhile; off it is forgotten, an answer that comes then too. */
static void test_configured(void **state)
{
	(void)state;
	answer_last(0, 1, 0, AAAA(HOUR, WELL_KNOWN));
	configure(1, 2, true);
	assert_true(f.n_sent == 2 && last_is_search());
	assert_string_equal(known(), "64:ff9b::/96");
	configure(1, 2, false);
	assert_string_equal(known(), "");
	answer_last(0, 1, 0, AAAA(HOUR, WELL_KNOWN));
	assert_string_equal(known(), "");
	fake_until(&f, f.now_ms + 86400 * SECOND);
	assert_int_equal(f.n_sent, 2);
}

/* Who was asked in another network, or by another configuration, is not believed any more: asked is who is there now. */
static void test_elsewhere(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		if (!i)
			resolver_network_changed(f.r);
		if (i == 1)
			configure(1, 1, false); /* and on again */
		if (i)
			configure(3, 1, true);
		size_t before = f.n_sent;
		answer_last(0, 1, 0, AAAA(HOUR, WELL_KNOWN));
		assert_string_equal(known(), "");
		fake_until(&f, f.now_ms);
		assert_true(f.n_sent == before + 1 && last_is_search());
	}
	answer_last(0, 1, 0, AAAA(HOUR, "20010db8 00000000 00000000 c00000aa"));
	assert_string_equal(known(), "2001:db8::/96");
}

/* A client's own question for that name and the search share an answer, and what is made here is not taken for it. */
static void test_shared(void **state)
{
	(void)state;
	fake_ask(&f, 1, NAT64_NAME, DNS_AAAA);
	assert_int_equal(f.n_sent, 1);
	answer_last(0, 1, 0, AAAA("0000003c", WELL_KNOWN));
	assert_int_equal(f.n_replies, 1);
	assert_string_equal(known(), "64:ff9b::/96");
	fake_until(&f, f.now_ms + 50 * SECOND);
	assert_int_equal(f.n_sent, 2);
	answer_last(0, 0, 1, LACK);
	assert_string_equal(known(), "");
	assert_int_equal(f.n_sent, 2);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_prefixes), ONE(test_name_of_an_address), ONE(test_used),
		ONE(test_renewed), ONE(test_silence), ONE(test_configured), ONE(test_elsewhere),
		ONE(test_shared) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
