#include "resolver/conf.h"

#include "mesh/base/buf.h"
#include "resolver/present.h"
#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LISTEN "listen: 127.0.0.1:5300\n"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *want; /* part of the sentence; NULL: no error */
	} rows[] = {
		{ LISTEN, NULL },
		{ "", "empty" },
		{ "upstreams: [1.1.1.1]\n", "\"listen\" is missing" },
		{ LISTEN "upstream: 1.1.1.1\n",
			"f:2:1: unknown key \"upstream\"; did you mean \"upstreams\"?" },
		{ LISTEN "ttl: 5\nttl: 6\n", "f:3:1: \"ttl\" is given twice" },
		{ LISTEN "ttl: soon\n", "f:2:6: ttl: a number" },
		{ LISTEN "ttl: 0\n", "f:2:6: ttl" },
		{ LISTEN "ttl: [5]\n", "f:2:6: ttl" },
		{ "listen: here\n", "f:1:9: \"here\" is not an address" },
		{ "listen: {a: b}\n", "f:1:9:" },
		{ LISTEN "upstreams: [1.1.1.1, 1.1.1]\n", "f:2:22: \"1.1.1\" is not an address" },
		{ LISTEN "upstreams: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6, 1.1.1.7, "
			 "1.1.1.8, 1.1.1.9]\n",
			"at most 8" },
		{ LISTEN "routes: {a.b: 1.1.1.1, A.b.: 1.1.1.2}\n", "\"A.b.\" is given twice" },
		{ LISTEN "routes: {a..b: 1.1.1.1}\n", "f:2:10: \"a..b\" is not a domain name" },
		{ LISTEN "routes: [a]\n", "f:2:9: routes" },
		{ LISTEN "routes: {b\xc3\xbc"
			 "cher.example: 1.1.1.1}\n",
			"f:2:10: \"b\xc3\xbc"
			"cher.example\": clients ask for the ASCII form" },
		{ LISTEN "authority: [b\xc3\xbc"
			 "cher.example]\n",
			"f:2:13: \"b\xc3\xbc"
			"cher" },
		{ LISTEN "records: [{name: b\xc3\xbc"
			 "cher.example, value: 1.2.3.4}]\n",
			"f:2:18: \"b\xc3\xbc"
			"cher" },
		{ LISTEN "routes: {192.168.0.0/16: 1.1.1.1, 168.192.in-addr.arpa: 1.1.1.2}\n",
			"f:2:35: \"168.192.in-addr.arpa\" is given twice" },
		{ LISTEN "routes: {172.16.0.0/12: 1.1.1.1, 172.31.0.0/16: 1.1.1.2}\n",
			"\"172.31.0.0/16\" is given twice" },
		{ LISTEN "routes: {192.168.0.0/33: 1.1.1.1}\n", NULL }, /* a name, if an odd one */
		{ LISTEN "allow: 10.0.0.0/8\n", "f:2:8: allow" },
		{ LISTEN "allow: [10.0.0.0/8, here]\n", "f:2:21: \"here\" is not a network" },
		{ LISTEN "allow: []\n", NULL },
		{ LISTEN "records: [{name: a.b, type: TXT, value: '\"open'}]\n",
			"f:2:11: the text is longer" },
		{ LISTEN "records: [{name: a.b}]\n", "a record needs a name and a value" },
		{ LISTEN "records: [{name: a.b, value: x}]\n", "f:2:11: \"x\" is not an address" },
		{ LISTEN "records: [{name: a.b, type: MX, value: x y z}]\n",
			"f:2:11: \"x y z\" is not the value" },
		{ LISTEN "records: [{name: a.b, type: NOPE, value: x}]\n", "is not a record type" },
		{ LISTEN "records: [{name: a.b, value: 1.2.3.4, tyep: A}]\n", "did you mean \"type\"?" },
		{ LISTEN "records: [{name: a.b, value: 1.2.3.4}, {name: A.b., type: CNAME, value: c.}]\n",
			"f:2:40: \"A.b.\" is an alias (CNAME)" },
		{ LISTEN "records: [{name: a.b, type: CNAME, value: c.}, {name: a.b, type: CNAME, value: "
			 "d.}]\n",
			"is an alias (CNAME)" },
		{ LISTEN "records: [{name: a.b, type: CNAME, value: c.}, {name: a.b, value: 1.2.3.4}]\n",
			"is an alias (CNAME)" },
		{ LISTEN "routes: {a.b: [1.1.1.1, \"127.0.0.1:5300\"]}\n",
			"f: the upstream 127.0.0.1:5300 is where this resolver listens" },
		{ "upstreams: 127.0.0.1\nlisten: 0.0.0.0\n", "it would ask itself" },
		{ LISTEN "upstreams: 127.0.0.1\n", NULL },
		{ LISTEN "authority: [a..b]\n", "f:2:13:" },
		{ LISTEN "order: maybe\n", "f:2:8: order" },
		{ "listen: [\n", "f:2:1:" },
		{ LISTEN "---\nttl: 5\n", "f:2:1: a second document" },
		{ LISTEN "---\n", "f:2:1: a second document" },
		{ LISTEN "...\n", NULL },
		{ LISTEN "...\nttl: [\n", "f:3:1:" },
		{ "- a\n", "f:1:1:" },
		{ LISTEN "records: &a [*a]\n", "f:2:10:" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct conf c;
		int err = conf_read("f", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err) {
			struct zone *z = conf_zone("f", &c, &eb);
			err = z ? 0 : eb.code;
			zone_put(z);
			conf_free(&c);
		}
		if (!err != !rows[i].want || (err && !strstr(eb.text, rows[i].want)))
			fail_msg("row %zu: %d %s", i, err, eb.text);
	}
}

static void test_values(void **state)
{
	static const char text[] =
		"routes:\n  corp.example: [10.0.0.53, \"[2001:db8::1]:5353\"]\n  none.example: []\n"
		"upstreams: 9.9.9.9\nlisten: [127.0.0.1, \"::1\"]\norder: race\nttl: 7\ncache-bytes: 1000\n";
	struct conf c;
	struct errbuf eb = { 0 };
	char buf[ENDPOINT_TEXT];
	(void)state;
	if (conf_read("f", text, strlen(text), &c, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(c.n_listen, 2);
	assert_string_equal(endpoint_format(&c.listen[1], buf), "[::1]:53");
	assert_int_equal(c.n_routes, 3);
	assert_string_equal(c.routes[0].suffix, "");
	assert_int_equal(c.routes[0].order, RESOLVER_RACE);
	assert_string_equal(c.routes[1].suffix, "corp.example");
	assert_string_equal(endpoint_format(&c.routes[1].upstreams[1].at, buf), "[2001:db8::1]:5353");
	assert_int_equal(c.routes[2].n_upstreams, 0);
	struct addr lan = addr_v4(0xc0a80101), other = addr_v4(0xc0000201);
	bool lan_may = false, other_may = false;
	for (size_t i = 0; i < c.n_allow; i++) {
		lan_may = lan_may || prefix_contains(&c.allow[i], &lan);
		other_may = other_may || prefix_contains(&c.allow[i], &other);
	}
	assert_true(lan_may && !other_may);
	assert_int_equal(c.ttl_s, 7);
	assert_int_equal(c.cache_bytes, 1000);
	conf_free(&c);
}

/* Networks stand for their reverse zones. */
static void test_networks(void **state)
{
	static const struct {
		const char *network;
		size_t n;
		const char *first, *last;
	} rows[] = {
		{ "192.168.0.0/16", 1, "168.192.in-addr.arpa", "168.192.in-addr.arpa" },
		{ "192.168.77.5/16", 1, "168.192.in-addr.arpa", "168.192.in-addr.arpa" },
		{ "172.16.0.0/12", 16, "16.172.in-addr.arpa", "31.172.in-addr.arpa" },
		{ "100.64.0.0/10", 64, "64.100.in-addr.arpa", "127.100.in-addr.arpa" },
		{ "10.0.0.0/9", 128, "0.10.in-addr.arpa", "127.10.in-addr.arpa" },
		{ "192.0.2.128/25", 128, "128.2.0.192.in-addr.arpa", "255.2.0.192.in-addr.arpa" },
		{ "192.0.2.7", 1, "7.2.0.192.in-addr.arpa", "7.2.0.192.in-addr.arpa" },
		{ "0.0.0.0/0", 1, "in-addr.arpa", "in-addr.arpa" },
		{ "fd00::/8", 1, "d.f.ip6.arpa", "d.f.ip6.arpa" },
		{ "fc00::/7", 2, "c.f.ip6.arpa", "d.f.ip6.arpa" },
		{ "2001:db8:1230::/45", 8, "0.3.2.1.8.b.d.0.1.0.0.2.ip6.arpa",
			"7.3.2.1.8.b.d.0.1.0.0.2.ip6.arpa" },
		{ "::/0", 1, "ip6.arpa", "ip6.arpa" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[200];
		struct errbuf eb = { 0 };
		struct conf c;
		snprintf(text, sizeof(text), LISTEN "routes: { \"%s\": 192.0.2.53 }\n", rows[i].network);
		if (conf_read("f", text, strlen(text), &c, &eb))
			fail_msg("%s: %s", rows[i].network, eb.text);
		if (c.n_routes != rows[i].n || strcmp(c.routes[0].suffix, rows[i].first) != 0 ||
			strcmp(c.routes[c.n_routes - 1].suffix, rows[i].last) != 0)
			fail_msg("%s: %zu, %s to %s", rows[i].network, c.n_routes, c.routes[0].suffix,
				c.routes[c.n_routes - 1].suffix);
		assert_int_equal(c.routes[c.n_routes - 1].n_upstreams, 1);
		conf_free(&c);
	}
}

/* What people write for a text, and what it means. hex of RDATA. */
static void test_txt(void **state)
{
	static const struct {
		const char *value, *rdata;
	} rows[] = {
		{ "v=spf1 -all", "0b 763d73706631202d616c6c" },
		{ "\"v=spf1 -all\"", "0b 763d73706631202d616c6c" },
		{ "\"a\" \"b\"", "01 61 01 62" },
		{ "\"a\"b", "01 61 01 62" },
		{ " \"a b\" c ", "03 612062 01 63" },
		{ "\"\"", "00" },
		{ "", "00" },
		{ "a\\;b", "03 613b62" },
		{ "\"\\\"\\065\"", "02 2241" },
		{ "\"a", NULL },
		{ "\"a\\", NULL },
		{ "a\\256", NULL },
		{ "a\\1", NULL },
	};
	static char longest[4000];
	uint8_t rdata[4096], want[64];
	uint16_t type;
	size_t len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = present_rdata_parse("TXT", rows[i].value, rdata, sizeof(rdata), &len, &type, NULL);
		size_t n = rows[i].rdata ? fake_hex(rows[i].rdata, want, sizeof(want)) : 0;
		if (!err != !!rows[i].rdata || (!err && (len != n || memcmp(rdata, want, n) != 0)))
			fail_msg("row %zu: %s", i, rows[i].value);
	}
	/* a DKIM key goes on in the next string */
	memset(longest, 'k', 600);
	for (int quoted = 0; quoted < 2; quoted++) {
		longest[0] = longest[599] = quoted ? '"' : 'k';
		assert_int_equal(
			present_rdata_parse("TXT", longest, rdata, sizeof(rdata), &len, &type, NULL), 0);
		assert_int_equal(len, quoted ? 598 + 3 : 600 + 3);
		assert_int_equal(rdata[0], 255);
		assert_int_equal(rdata[256], 255);
	}
	memset(longest, 'k', sizeof(longest) - 1);
	assert_int_not_equal(present_rdata_parse("TXT", longest, rdata, 3000, &len, &type, NULL), 0);
}

/* The types that are read here, and not by ldns. */
static void test_rdata_text(void **state)
{
	static const struct {
		const char *type, *value, *rdata; /* NULL: refused */
	} rows[] = {
		{ "A", "192.0.2.1", "c0000201" },
		{ "A", " 192.0.2.1\t", "c0000201" },
		{ "A", "2001:db8::1", NULL },
		{ "A", "192.0.2.1 192.0.2.2", NULL },
		{ "A", "192.0.2.256", NULL },
		{ "A", "", NULL },
		{ "AAAA", "2001:db8::1", "20010db8000000000000000000000001" },
		{ "AAAA", "192.0.2.1", NULL },
		{ "CNAME", "a.test.", "0161 0474657374 00" },
		{ "NS", "a.test", "0161 0474657374 00" },
		{ "PTR", ".", "00" },
		{ "DNAME", "a..test", NULL },
		{ "MX", "10 a.test", "000a 0161 0474657374 00" },
		{ "MX", "65536 a.test", NULL },
		{ "MX", "a.test", NULL },
		{ "MX", "10", NULL },
		{ "SRV", "1 2 443 a.test.", "0001 0002 01bb 0161 0474657374 00" },
		{ "SRV", "1 2 a.test.", NULL },
		{ "SRV", "1 2 443 a.test. x", NULL },
		{ "SRV", "-1 2 443 a.test.", NULL },
		/* ldns, for the rest. */
		{ "CAA", "0 issue \"ca.test\"", "00 05 6973737565 63612e74657374" },
	};
	uint8_t rdata[256], want[64];
	uint16_t type;
	size_t len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = present_rdata_parse(
			rows[i].type, rows[i].value, rdata, sizeof(rdata), &len, &type, NULL);
		size_t n = rows[i].rdata ? fake_hex(rows[i].rdata, want, sizeof(want)) : 0;
		if (!err != !!rows[i].rdata || (!err && (len != n || memcmp(rdata, want, n) != 0)))
			fail_msg("row %zu: %s %s", i, rows[i].type, rows[i].value);
		/* No room is an error, not half a value. */
		if (!err &&
			!present_rdata_parse(rows[i].type, rows[i].value, rdata, len - 1, &len, &type, NULL))
			fail_msg("row %zu: cut", i);
	}
}

/* ldns as the oracle: our answers are messages to others too, and say what we meant. */
static void test_present(void **state)
{
	static struct fake f;
	static const struct {
		const char *name;
		uint16_t type;
		const char *text;
	} rows[] = {
		{ "bob.mesh", DNS_A, "NOERROR\nbob.mesh.\t5\tIN\tA\t100.64.0.2\n" },
		{ "alias.mesh", DNS_AAAA,
			"NOERROR\nalias.mesh.\t5\tIN\tCNAME\tbob.mesh.\nbob.mesh.\t5\tIN\tAAAA\tfd7a:115c:"
			"a1e0::2\n" },
		{ "nobody.mesh", DNS_A,
			"NXDOMAIN\nmesh.\t10\tIN\tSOA\tmesh. nobody.invalid. 1 3600 1200 604800 10\n" },
		{ "_sip._tcp.mesh", DNS_SRV, "NOERROR\n_sip._tcp.mesh.\t5\tIN\tSRV\t1 2 3 bob.mesh.\n" },
		{ "2.0.64.100.in-addr.arpa", DNS_PTR,
			"NOERROR\n2.0.64.100.in-addr.arpa.\t5\tIN\tPTR\tBob.mesh.\n" },
	};
	(void)state;
	fake_open(&f, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		fake_ask(&f, 1, rows[i].name, rows[i].type);
		assert_true(present_message(f.reply, f.reply_len, &out));
		assert_string_equal(buf_cstr(&out), rows[i].text);
		assert_false(present_message(f.reply, f.reply_len - 1, &out));
		buf_free(&out);
	}
	struct buf out = { 0 };
	uint8_t tsigs[64]; /* two TSIG in 34 bytes make ldns leak: never shown to it */
	size_t len = fake_hex(
		"1234 8180 0000 0000 0000 0002 00 00fa 00ff 00000000 0000 00 00fa 00ff 00000000 0000", tsigs,
		sizeof(tsigs));
	assert_false(present_message(tsigs, len, &out));
	buf_free(&out);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_errors), cmocka_unit_test(test_values),
		cmocka_unit_test(test_networks), cmocka_unit_test(test_txt),
		cmocka_unit_test(test_rdata_text), cmocka_unit_test(test_present) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
