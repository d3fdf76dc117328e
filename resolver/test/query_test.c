/* Rows of the reference's tables 3.1 to 3.3: what a query in bytes gets back. */
#include "resolver/test/fake.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#define BOB "03626f62 046d657368 00"
#define BOB_A BOB "0001 0001"
#define HEAD "1234 0100 0001 0000 0000 0000 "
#define HEAD_OPT "1234 0100 0001 0000 0000 0001 "
#define OPT "00 0029 04d0 00000000 0000"

enum { DROP = -1 };
static const struct {
	const char *id, *hex;
	int rcode; /* extended, or DROP */
	int an, ns, ar;
	unsigned flags; /* QR .. Z, opcode; without rcode */
} rows[] = {
	{ "B1", "1234 0100 0001 0000 0000 00", DROP, 0, 0, 0, 0 },
	{ "B2", "1234 8100 0001 0000 0000 0000" BOB_A, DROP, 0, 0, 0, 0 },
	{ "B3", "1234 0100 0000 0000 0000 0000", 1, 0, 0, 0, 0x8180 },
	{ "B3 opt", "1234 0100 0000 0000 0000 0001" OPT, 1, 0, 0, 1, 0x8180 },
	{ "B3 cookie", "1234 0100 0000 0000 0000 0001 00 0029 04d0 00000000 000c 000a 0008 0102030405060708",
		1, 0, 0, 1, 0x8180 },
	{ "B4", "1234 0100 0002 0000 0000 0000" BOB_A BOB_A, 1, 0, 0, 0, 0x8180 },
	{ "B5 0x40", HEAD "43626f62 00 0001 0001", 1, 0, 0, 0, 0x8180 },
	{ "B5 0x80", HEAD "83626f62 00 0001 0001", 1, 0, 0, 0, 0x8180 },
	{ "B5 cut name", HEAD "03626f62 046d65", 1, 0, 0, 0, 0x8180 },
	{ "B5 cut type", HEAD BOB "00", 1, 0, 0, 0, 0x8180 },
	{ "B5 cut class", HEAD BOB "0001 00", 1, 0, 0, 0, 0x8180 },
	{ "B6 self", HEAD "c00c 0001 0001", 1, 0, 0, 0, 0x8180 },
	{ "B6 after label", HEAD "03626f62 c00c 0001 0001", 1, 0, 0, 0, 0x8180 },
	{ "B7", HEAD BOB_A "deadbeef", 0, 1, 0, 0, 0x8580 },
	{ "B8 an", "1234 0100 0001 0001 0000 0000" BOB_A A_RECORD, 1, 0, 0, 0, 0x8180 },
	{ "B8 ns", "1234 0100 0001 0000 0001 0000" BOB_A A_RECORD, 1, 0, 0, 0, 0x8180 },
	{ "B9 notify", "1234 2100 0001 0000 0000 0000" BOB_A, 4, 0, 0, 0, 0xa000 },
	{ "B9 15 opt", "1234 7900 0001 0000 0000 0001" BOB_A OPT, 4, 0, 0, 1, 0xf800 },
	{ "B9 update", "1234 2800 0001 0001 0000 0000" BOB_A A_RECORD, 4, 0, 0, 0, 0xa800 },
	{ "B10 tc", "1234 0300 0001 0000 0000 0000" BOB_A, 0, 1, 0, 0, 0x8580 },
	{ "B10 rcode aa ra", "1234 0585 0001 0000 0000 0000" BOB_A, 0, 1, 0, 0, 0x8580 },
	{ "B11 z", "1234 0140 0001 0000 0000 0000" BOB_A, 0, 1, 0, 0, 0x8580 },
	{ "B12 local rd=0", "1234 0000 0001 0000 0000 0000" BOB_A, 0, 1, 0, 0, 0x8480 },
	{ "B12 foreign rd=0", "1234 0000 0001 0000 0000 0000 01 61 03 6e6574 00 0001 0001", 5, 0, 0, 0,
		0x8080 },
	{ "B13 version.bind", HEAD "0776657273696f6e 0462696e64 00 0010 0003", 5, 0, 0, 0, 0x8180 },
	{ "B13 class any", HEAD BOB "0001 00ff", 5, 0, 0, 0, 0x8180 },
	{ "B14 opt", HEAD BOB "0029 0001", 1, 0, 0, 0, 0x8180 },
	{ "B14 tsig", HEAD BOB "00fa 0001", 1, 0, 0, 0, 0x8180 },
	{ "B14 type 0", HEAD BOB "0000 0001", 0, 0, 0, 0, 0x8180 },
	{ "B15 axfr", HEAD BOB "00fc 0001", 5, 0, 0, 0, 0x8180 },
	{ "B15 ixfr", HEAD BOB "00fb 0001", 5, 0, 0, 0, 0x8180 },
	{ "B16 any", HEAD BOB "00ff 0001", 0, 1, 0, 0, 0x8580 },
	{ "B17 two opts", "1234 0100 0001 0000 0000 0002" BOB_A OPT OPT, 1, 0, 0, 1, 0x8180 },
	{ "B17 owner", HEAD_OPT BOB_A "0161 00 0029 04d0 00000000 0000", 1, 0, 0, 0, 0x8180 },
	{ "B17 in answer", "1234 0100 0001 0001 0000 0000" BOB_A OPT, 1, 0, 0, 0, 0x8180 },
	{ "B17 rdlen", HEAD_OPT BOB_A "00 0029 04d0 00000000 0004 0000", 1, 0, 0, 0, 0x8180 },
	{ "B17 no opt at all", HEAD_OPT BOB_A, 1, 0, 0, 0, 0x8180 },
	{ "B18", HEAD_OPT BOB_A "00 0029 04d0 00000000 0004 0064 0001", 1, 0, 0, 1, 0x8180 },
	{ "B18 tsig before opt",
		"1234 0100 0001 0000 0000 0002" BOB_A
		"00 00fa 00ff 00000000 0011 00 000000000000 012c 0000 1234 0000 0000" OPT,
		1, 0, 0, 0, 0x8180 },
	{ "B18 tsig behind opt",
		"1234 0100 0001 0000 0000 0002" BOB_A OPT
		"00 00fa 00ff 00000000 0011 00 000000000000 012c 0000 1234 0000 0000",
		0, 1, 0, 1, 0x8580 },
	{ "B18 a of 3", HEAD_OPT BOB_A "00 0001 0001 00000000 0003 010203", 1, 0, 0, 0, 0x8180 },
	{ "B18 pointer", HEAD_OPT BOB_A "c0ff 0001 0001 00000000 0004 01020304", 1, 0, 0, 0, 0x8180 },
	{ "B19", HEAD_OPT BOB_A "00 0029 04d0 00010000 0000", 16, 0, 0, 1, 0x8180 },
	{ "B20", HEAD_OPT BOB_A "00 0029 04d0 00000040 0004 0064 0000", 0, 1, 0, 1, 0x8580 },
	{ "B21 size 0", HEAD_OPT BOB_A "00 0029 0000 00000000 0000", 0, 1, 0, 1, 0x8580 },
	{ "B22", HEAD_OPT BOB_A OPT, 0, 1, 0, 1, 0x8580 },
	{ "B22 nxdomain", HEAD_OPT "0178 046d657368 00 0001 0001" OPT, 3, 0, 1, 1, 0x8580 },
	{ "B23 cookie 7", HEAD_OPT BOB_A "00 0029 04d0 00000000 000b 000a 0007 01020304050607", 1, 0, 0, 1,
		0x8180 },
	{ "B23 cookie 41",
		HEAD_OPT BOB_A
		"00 0029 04d0 00000000 002d 000a 0029 0102030405060708 0102030405060708 0102030405060708"
		"0102030405060708 0102030405060708 01",
		1, 0, 0, 1, 0x8180 },
	{ "B23 cookie 8", HEAD_OPT BOB_A "00 0029 04d0 00000000 000c 000a 0008 0102030405060708", 0, 1, 0, 1,
		0x8580 },
	{ "B24 NUL in label", HEAD "03620062 046d657368 00 0001 0001", 3, 0, 1, 0, 0x8580 },
	{ "B24 dot in label", HEAD "08626f622e6d657368 00 0001 0001", 3, 0, 0, 0, 0x8180 },
};

/* The extended rcode: low bits in the header, high ones in an OPT at the very end. */
static int reply_rcode(const struct fake *f)
{
	size_t at = dns_name_skip(f->reply, f->reply_len, DNS_HEADER) + 4;
	int high = 0;
	struct dns_rr rr;
	if (!be_get(f->reply + 4, 2))
		at = DNS_HEADER;
	while (at < f->reply_len) {
		assert_true(dns_rr_next(f->reply, f->reply_len, &at, &rr));
		if (rr.type == DNS_OPT)
			high = (int)(rr.ttl_s >> 24);
	}
	assert_int_equal(at, f->reply_len);
	return high << 4 | (f->reply[3] & 15);
}

static void test_bytes(void **state)
{
	static struct fake f;
	uint8_t msg[512];
	(void)state;
	fake_open(&f, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = fake_hex(rows[i].hex, msg, sizeof(msg)), before = f.n_replies;
		bool answered = resolver_query(f.r, f.now_ms, i, msg, len, false);
		if (answered != (rows[i].rcode != DROP) || f.n_replies - before != answered)
			fail_msg("%s: answered %d", rows[i].id, answered);
		if (!answered)
			continue;
		unsigned flags = (unsigned)be_get(f.reply + 2, 2) & 0xfff0u;
		if (be_get(f.reply, 2) != 0x1234 || reply_rcode(&f) != rows[i].rcode ||
			flags != rows[i].flags)
			fail_msg("%s: rcode %d flags %04x", rows[i].id, reply_rcode(&f), flags);
		if ((int)fake_count(&f, 1) != rows[i].an || (int)fake_count(&f, 2) != rows[i].ns ||
			(int)fake_count(&f, 3) != rows[i].ar)
			fail_msg("%s: counts %u %u %u", rows[i].id, fake_count(&f, 1), fake_count(&f, 2),
				fake_count(&f, 3));
	}
	assert_int_equal(f.n_sent, 0);
	assert_int_equal(resolver_stats(f.r)->drop_short, 1);
	assert_int_equal(resolver_stats(f.r)->drop_response, 1);
	fake_close(&f);
}

/* B5: a name of 255 bytes is a name, one of 256 is not. */
static void test_long_names(void **state)
{
	static struct fake f;
	uint8_t msg[512];
	(void)state;
	fake_open(&f, 1);
	for (int over = 0; over < 2; over++) {
		size_t len = fake_hex(HEAD, msg, sizeof(msg));
		for (int i = 0; i < 3; i++, len += 64) {
			msg[len] = 63;
			memset(msg + len + 1, 'a', 63);
		}
		uint8_t last = (uint8_t)(61 + over); /* 3 * 64 + 62 + 1 = 255 */
		msg[len++] = last;
		memset(msg + len, 'b', last);
		len += last;
		msg[len++] = 0;
		len += fake_hex("0001 0001", msg + len, 4);
		f.n_sent = 0;
		assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, false));
		if (over)
			assert_int_equal(fake_rcode(&f), DNS_FORMERR);
		assert_int_equal(f.n_sent, over ? 0 : 1);
	}
	fake_close(&f);
}

static const struct {
	const char *id, *name;
	uint16_t type;
	unsigned rcode, an, ns;
	uint16_t first_type; /* of the first record, 0 = do not care */
	bool aa;
} local_rows[] = {
	{ "B30", "bob.mesh", DNS_A, 0, 1, 0, DNS_A, true },
	{ "B30 v6", "BOB.MESH", DNS_AAAA, 0, 1, 0, DNS_AAAA, true },
	{ "B30 all", "two.mesh", DNS_A, 0, 2, 0, DNS_A, true },
	{ "B31 mx", "bob.mesh", DNS_MX, 0, 0, 1, DNS_SOA, true },
	{ "B31 https", "bob.mesh", 65, 0, 0, 1, DNS_SOA, true },
	{ "B31 unknown", "bob.mesh", 65280, 0, 0, 1, DNS_SOA, true },
	{ "B31 ds", "bob.mesh", DNS_DS, 0, 0, 1, DNS_SOA, true },
	{ "B32", "nobody.mesh", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "B32 deep", "a.b.c.mesh", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "B33 soa", "mesh", DNS_SOA, 0, 1, 0, DNS_SOA, true },
	{ "B33 ns", "mesh", DNS_NS, 0, 1, 0, DNS_NS, true },
	{ "B33 a", "mesh", DNS_A, 0, 0, 1, DNS_SOA, true },
	{ "B34", "_tcp.mesh", DNS_A, 0, 0, 1, DNS_SOA, true },
	{ "B34 reverse", "0.64.100.in-addr.arpa", DNS_PTR, 0, 0, 1, DNS_SOA, true },
	{ "B34 wild parent", "wild.mesh", DNS_A, 0, 0, 1, DNS_SOA, true },
	{ "B35", "alias.mesh", DNS_A, 0, 2, 0, DNS_CNAME, true },
	{ "B35 cname", "alias.mesh", DNS_CNAME, 0, 1, 0, DNS_CNAME, true },
	{ "B35 nodata", "alias.mesh", DNS_MX, 0, 1, 1, DNS_CNAME, true },
	{ "B35 loop", "loop.mesh", DNS_A, 2, 0, 0, 0, false },
	{ "B36", "x.wild.mesh", DNS_TXT, 0, 1, 0, DNS_TXT, true },
	{ "B36 deep", "y.x.wild.mesh", DNS_TXT, 0, 1, 0, DNS_TXT, true },
	{ "B36 nodata", "x.wild.mesh", DNS_A, 0, 0, 1, DNS_SOA, true },
	{ "B37", "2.0.64.100.in-addr.arpa", DNS_PTR, 0, 1, 0, DNS_PTR, true },
	{ "B37 v6", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", DNS_PTR, 0, 1,
		0, DNS_PTR, true },
	{ "B38", "9.9.64.100.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "B40", "four.mesh", DNS_AAAA, 0, 0, 1, DNS_SOA, true },
	{ "B41", "host", DNS_A, 3, 0, 0, 0, false },
	{ "3.3 localhost", "localhost", DNS_A, 0, 1, 0, DNS_A, true },
	{ "3.3 localhost below", "a.localhost", DNS_AAAA, 0, 1, 0, DNS_AAAA, true },
	{ "3.3 localhost mx", "localhost", DNS_MX, 0, 0, 1, DNS_SOA, true },
	{ "3.3 invalid", "x.invalid", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 test", "x.test", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 onion", "x.onion", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 alt", "x.alt", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 local", "printer.local", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 home.arpa", "x.home.arpa", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 internal", "x.internal", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 resolver.arpa", "_dns.resolver.arpa", 64, 0, 0, 1, DNS_SOA, true },
	{ "3.3 canary", "use-application-dns.net", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "3.3 10", "1.2.3.10.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "3.3 172.16", "1.0.16.172.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "3.3 172.31", "1.0.31.172.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "3.3 192.168", "lb._dns-sd._udp.0.1.168.192.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "3.3 100.127", "1.0.127.100.in-addr.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "3.3 ula", "1.0.d.f.ip6.arpa", DNS_PTR, 3, 0, 1, DNS_SOA, true },
	{ "route without upstreams", "x.only.net", DNS_A, 3, 0, 1, DNS_SOA, true },
	{ "its apex", "only.net", DNS_A, 0, 0, 1, DNS_SOA, true },
};

static void test_local(void **state)
{
	static struct fake f;
	(void)state;
	fake_open(&f, 1);
	for (size_t i = 0; i < ARRAY_LEN(local_rows); i++) {
		assert_true(fake_ask(&f, i, local_rows[i].name, local_rows[i].type));
		size_t at = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
		struct dns_rr rr = { 0 };
		if (f.n_replies != i + 1 || f.client != i)
			fail_msg("%s: no reply", local_rows[i].id);
		if (fake_rcode(&f) != local_rows[i].rcode || fake_count(&f, 1) != local_rows[i].an ||
			fake_count(&f, 2) != local_rows[i].ns)
			fail_msg("%s: rcode %u, %u + %u records", local_rows[i].id, fake_rcode(&f),
				fake_count(&f, 1), fake_count(&f, 2));
		if (local_rows[i].first_type &&
			(!dns_rr_next(f.reply, f.reply_len, &at, &rr) || rr.type != local_rows[i].first_type))
			fail_msg("%s: first record is of type %u", local_rows[i].id, rr.type);
		if (!!(f.reply[2] & 4) != local_rows[i].aa)
			fail_msg("%s: AA", local_rows[i].id);
	}
	assert_int_equal(f.n_sent, 0); /* none of them left */
	fake_close(&f);
}

/* Names that do leave, and where to. */
static void test_routes(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		unsigned upstream;
	} out[] = {
		{ "www.example.com", DNS_A, 1 },
		{ "corp.test.net", DNS_A, 11 },
		{ "a.CORP.test.net", DNS_A, 11 },
		{ "notcorp.test.net", DNS_A, 1 },
		{ "test.net", DNS_A, 1 },
		{ "out.mesh", DNS_A, 1 },
		{ "5.1.64.100.in-addr.arpa", DNS_PTR, 11 }, /* B38: the route is deeper than the zone */
		{ "1.1.1.1.in-addr.arpa", DNS_PTR, 1 },
		{ "1.0.32.172.in-addr.arpa", DNS_PTR, 1 },
		{ "1.0.63.100.in-addr.arpa", DNS_PTR, 1 },
		{ "1.0.128.100.in-addr.arpa", DNS_PTR, 1 },
		{ "ipv4only.arpa", DNS_AAAA, 1 },
		{ "com", DNS_DS, 1 },
	};
	static struct fake f;
	(void)state;
	fake_open(&f, 1);
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		struct endpoint want = fake_upstream(out[i].upstream);
		assert_true(fake_ask(&f, i, out[i].name, out[i].type));
		if (f.n_sent != i + 1 || !endpoint_equal(&f.sent[i].to, &want))
			fail_msg("%s: %zu sent", out[i].name, f.n_sent);
	}
	assert_int_equal(f.n_replies, 0);
	/* what is searched for all day in a private range, a route of its own or not */
	assert_true(fake_ask(&f, 1, "lb._dns-sd._udp.0.1.64.100.in-addr.arpa", DNS_PTR));
	assert_int_equal(f.n_sent, ARRAY_LEN(out));
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	fake_close(&f);
}

/* Names of a site go to nameservers of the site (a pi-hole of the mesh, the machine's own) and to no other,
 * even when those are silent; where there are none, nowhere. */
static void test_site_names(void **state)
{
	static const char *const names[] = { "xb._dns-sd._udp.0.0.10.in-addr.arpa",
		"b._dns-sd._tcp.0.0.10.in-addr.arpa", "nas.home.arpa", "nas.internal", "svc.test",
		"dc1.corp.local", "1.2.168.192.in-addr.arpa", "1.0.16.172.in-addr.arpa",
		"1.0.127.100.in-addr.arpa", "nas", "1.0.0.d.f.ip6.arpa" };
	static const char *const never[] = { "x.onion", "x.invalid", "1.0.0.127.in-addr.arpa", "localhost",
		"lb._dns-sd._udp.0.2.168.192.in-addr.arpa", "b._dns-sd._udp.0.0.10.in-addr.arpa" };
	struct resolver_upstream site[] = { { .at = fake_upstream(1), .site = true } };
	struct resolver_upstream mixed[] = { { .at = fake_upstream(2) },
		{ .at = fake_upstream(1), .site = true } };
	struct resolver_upstream public[] = { { .at = fake_upstream(2) } };
	const struct {
		const char *id;
		struct resolver_upstream *up, *site;
		size_t n_up, n_site;
		bool asked;
	} configs[] = {
		{ "the default is of the site", site, NULL, 1, 0, true },
		{ "a public one beside it", mixed, NULL, 2, 0, true },
		{ "the default is public", public, site, 1, 1, true },
		{ "no default", NULL, site, 0, 1, true },
		{ "nobody of the site", public, NULL, 1, 0, false },
	};
	struct endpoint at = fake_upstream(1);
	static struct fake f;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		struct resolver_route route = {
			.suffix = "", .upstreams = configs[i].up, .n_upstreams = configs[i].n_up
		};
		struct resolver_config c = { .routes = &route, .n_routes = configs[i].n_up > 0 };
		c.site = configs[i].site;
		c.n_site = configs[i].n_site;
		fake_open(&f, 1);
		resolver_zone_set(f.r, NULL);
		assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			uint16_t type = strstr(names[k], "arpa") ? DNS_PTR : DNS_A;
			size_t before = f.n_sent, replies = f.n_replies;
			fake_ask(&f, 1, names[k], type);
			if ((f.n_sent > before) != configs[i].asked ||
				(f.n_replies > replies) == configs[i].asked)
				fail_msg("%s: %s", configs[i].id, names[k]);
			fake_until(&f, f.now_ms + 6000);
			for (size_t s = before; s < f.n_sent; s++)
				if (!endpoint_equal(&f.sent[s].to, &at))
					fail_msg("%s: %s left the site", configs[i].id, names[k]);
			assert_int_equal(fake_rcode(&f), configs[i].asked ? DNS_SERVFAIL : DNS_NXDOMAIN);
		}
		size_t sent = f.n_sent;
		for (size_t k = 0; k < ARRAY_LEN(never); k++)
			fake_ask(&f, 1, never[k], DNS_A);
		assert_int_equal(f.n_sent, sent);
		fake_close(&f);
	}
}

/* B24: the question comes back byte for byte, the answer's owner with it. B30: the first record takes turns.
 */
static void test_echo_and_turns(void **state)
{
	static struct fake f;
	unsigned first[2] = { 0 };
	(void)state;
	fake_open(&f, 1);
	for (int i = 0; i < 4; i++) {
		assert_true(fake_ask(&f, 1, "tWo.Mesh", DNS_A));
		assert_memory_equal(f.reply + DNS_HEADER, "\3tWo\4Mesh", 10);
		first[f.reply[f.reply_len - DNS_OPT_LEN - 1] & 1]++;
	}
	assert_int_equal(first[0], 2);
	fake_close(&f);
}

/* B43: the next query sees the new zone. */
static void test_zone_swap(void **state)
{
	static struct fake f;
	struct addr ip = addr_v4(0x64400009);
	(void)state;
	fake_open(&f, 1);
	struct zone *z = zone_new();
	assert_true(!zone_add_authority(z, "mesh") && !zone_add_address(z, "robert.mesh", &ip, true));
	resolver_zone_set(f.r, z);
	zone_put(z);
	fake_ask(&f, 1, "bob.mesh", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	fake_ask(&f, 1, "robert.mesh", DNS_A);
	assert_int_equal(fake_count(&f, 1), 1);
	resolver_zone_set(f.r, NULL);
	fake_ask(&f, 1, "a.only.net", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	fake_close(&f);
}

/* B56, B66 */
static void test_no_upstream(void **state)
{
	static struct fake f;
	struct resolver_upstream own = { .at = { .ip = addr_v4(0x64646464), .port = 53 } };
	struct resolver_upstream loopback = { .at = { .ip = addr_v4(0x7f000001), .port = 53 } };
	struct endpoint mine[] = { own.at, { .ip = addr_v4(0), .port = 53 } };
	struct resolver_route routes[] = { { .suffix = "", .upstreams = &own, .n_upstreams = 1 },
		{ .suffix = "x.net", .upstreams = &loopback, .n_upstreams = 1 } };
	struct resolver_config c = { .routes = routes, .n_routes = 1, .own = mine, .n_own = 2 };
	(void)state;
	fake_open(&f, 0);
	fake_ask(&f, 1, "www.example.com", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_false(f.reply[2] & 4);
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	fake_ask(&f, 1, "www.example.com", DNS_A);
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.n_sent, 0);
	assert_int_equal(resolver_stats(f.r)->loop, 1);
	fake_close(&f);
}

static void test_configure_errors(void **state)
{
	static struct fake f;
	struct errbuf eb;
	struct resolver_upstream up[9] = { 0 };
	struct resolver_route bad_name = { .suffix = "a..b" },
			      many = { .suffix = "a", .upstreams = up, .n_upstreams = 9 };
	struct resolver_route twice[] = { { .suffix = "A.b" }, { .suffix = "a.B." } };
	struct resolver_config c = { .routes = &bad_name, .n_routes = 1 };
	(void)state;
	fake_open(&f, 1);
	assert_int_not_equal(resolver_configure(f.r, &c, &eb), 0);
	assert_non_null(strstr(eb.text, "a..b"));
	c.routes = &many;
	assert_int_not_equal(resolver_configure(f.r, &c, &eb), 0);
	c = (struct resolver_config) { .routes = twice, .n_routes = 2 };
	assert_int_not_equal(resolver_configure(f.r, &c, &eb), 0);
	fake_ask(&f, 1, "www.example.com", DNS_A); /* the old one stays */
	assert_int_equal(f.n_sent, 1);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_echo_and_turns),
		cmocka_unit_test(test_zone_swap),
		cmocka_unit_test(test_site_names),
		cmocka_unit_test(test_no_upstream),
		cmocka_unit_test(test_configure_errors),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
