#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct endpoint ep(const char *text)
{
	struct endpoint e;
	assert_true(endpoint_parse(text, &e));
	return e;
}

/* The plain sum of 16-bit words, at every length and alignment, and for the sums that carry. */
static void test_sum(void **state)
{
	(void)state;
	uint8_t p[200];
	for (int fill = 0; fill < 3; fill++) {
		for (size_t i = 0; i < sizeof(p); i++)
			p[i] = fill == 0 ? 0 : fill == 1 ? 0xff : (uint8_t)(i * 151 + 7);
		for (size_t at = 0; at < 9; at++) {
			for (size_t len = 0; len + at <= sizeof(p); len++) {
				uint32_t want = 0xfffe;
				for (size_t i = 0; i < len; i++)
					want += i & 1 ? p[at + i] : (uint32_t)p[at + i] << 8;
				while (want >> 16)
					want = (want & 0xffff) + (want >> 16);
				assert_int_equal(ip_checksum(p + at, len, 0xfffe), (uint16_t)~want);
			}
		}
	}
	/* Of nothing: what was summed before, folded. */
	assert_int_equal(ip_checksum(NULL, 0, 0x1fffe), 0);
	assert_int_equal(ip_sum(NULL, 0, 0x1fffe), 0x1fffe);
}

static void test_udp_round_trip(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		size_t at;
	} rows[] = { { "100.64.0.1:1000", "100.100.100.100:53", 28 },
		{ "[fd7a::1]:1", "[fd7a::2]:65535", 48 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t p[128] = { 0 };
		struct endpoint src = ep(rows[i].src), dst = ep(rows[i].dst);
		memcpy(p + rows[i].at, "hello", 5);
		size_t n = ip_write_udp(p, &src, &dst, 5);
		struct ip_view v;
		assert_int_equal(n, rows[i].at + 5);
		assert_true(ip_parse(p, n, &v));
		assert_true(addr_equal(&v.src, &src.ip) && addr_equal(&v.dst, &dst.ip));
		assert_int_equal(v.sport, src.port);
		assert_int_equal(v.dport, dst.port);
		assert_int_equal(v.payload_at, rows[i].at);
		/* A right checksum makes the sum over everything zero. */
		assert_int_equal(ip_l4_checksum(&v.src, &v.dst, IP_UDP, p + v.l4_at, n - v.l4_at), 0xffff);
		for (size_t cut = 0; cut < n; cut++)
			assert_false(ip_parse(p, cut, &v));
	}
}

static void test_fragments(void **state)
{
	(void)state;
	uint8_t p[128] = { 0 };
	struct endpoint src = ep("10.0.0.1:1"), dst = ep("10.0.0.2:2");
	size_t n = ip_write_udp(p, &src, &dst, 8);
	struct ip_view v;
	be_put(p + 6, 2, 0x2000);
	assert_true(ip_parse(p, n, &v));
	assert_false(v.later_fragment);
	assert_int_equal(v.dport, 2);
	be_put(p + 6, 2, 0x0010);
	assert_true(ip_parse(p, n, &v));
	assert_true(v.later_fragment);
	assert_int_equal(v.fragment_at, 128);
	assert_int_equal(v.dport, 0);
	be_put(p + 6, 2, 0x2000);
	be_put(p + 2, 2, 24); /* first fragment without a whole UDP header */
	assert_false(ip_parse(p, n, &v));
}

static void test_extension_headers(void **state)
{
	(void)state;
	uint8_t p[128] = { 0 };
	struct addr src, dst;
	assert_true(addr_parse("fd7a::1", &src) && addr_parse("fd7a::2", &dst));
	p[40] = IP_UDP; /* hop-by-hop, 8 bytes */
	be_put(p + 48, 2, 7);
	be_put(p + 50, 2, 9);
	size_t n = ip_write_header(p, &src, &dst, 0, 16);
	struct ip_view v;
	assert_true(ip_parse(p, n, &v));
	assert_int_equal(v.proto, IP_UDP);
	assert_int_equal(v.dport, 9);
	p[41] = 255; /* longer than the packet */
	assert_false(ip_parse(p, n, &v));
}

/* An IPv4 address inside an IPv6 packet must not pass for a packet of that address. */
static void test_mapped(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, 100, 64, 0, 1 };
	uint8_t p[128] = { 0 }, copy[16];
	struct endpoint src = ep("[fd7a::1]:1"), dst = ep("[fd7a::2]:2");
	size_t n = ip_write_udp(p, &src, &dst, 8);
	struct ip_view v;
	(void)state;
	assert_true(ip_parse(p, n, &v));
	for (size_t at = 8; at <= 24; at += 16) {
		memcpy(copy, p + at, 16);
		memcpy(p + at, mapped, 16);
		assert_false(ip_parse(p, n, &v));
		memcpy(p + at, copy, 16);
	}
}

/* --- one more packet of a flow --- */

static bool view_equal(const struct ip_view *a, const struct ip_view *b)
{
	return addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) && a->version == b->version &&
	       a->proto == b->proto && a->tcp_flags == b->tcp_flags && a->icmp_type == b->icmp_type &&
	       a->icmp_code == b->icmp_code && a->later_fragment == b->later_fragment &&
	       a->sport == b->sport && a->dport == b->dport && a->l4_at == b->l4_at &&
	       a->payload_at == b->payload_at && a->fragment_at == b->fragment_at &&
	       a->total_len == b->total_len;
}

/* Whether p is taken for one more of the flow of v. If so it is one, and its view what ip_parse makes of it. */
static bool is_next(const uint8_t *p, size_t len, const struct ip_view *v)
{
	struct ip_view next = *v, whole;
	if (!ip_parse_next(p, len, &next)) {
		assert_true(view_equal(&next, v));
		return false;
	}
	assert_true(ip_parse(p, len, &whole));
	assert_true(view_equal(&next, &whole));
	assert_true(addr_equal(&whole.src, &v->src) && addr_equal(&whole.dst, &v->dst));
	assert_true(whole.proto == v->proto && whole.sport == v->sport && whole.dport == v->dport);
	return true;
}

enum { NEXT_PAYLOAD = 30 };

static size_t make(uint8_t *p, bool v6, uint8_t proto)
{
	struct endpoint src = ep(v6 ? "[fd7a::1]:1000" : "10.0.0.1:1000"),
			dst = ep(v6 ? "[fd7a::2]:53" : "10.0.0.2:53");
	size_t at = v6 ? 40 : 20;
	memset(p, 0, 128);
	if (proto == IP_UDP)
		return ip_write_udp(p, &src, &dst, NEXT_PAYLOAD);
	be_put(p + at, 2, src.port);
	be_put(p + at + 2, 2, dst.port);
	p[at + 12] = 5 << 4;
	p[at + 13] = TCP_ACK;
	return ip_write_header(p, &src.ip, &dst.ip, proto, 20 + NEXT_PAYLOAD);
}

/* Which bytes say the flow, or that the headers are plain: version and length of the header, fragment, protocol, addresses. */
static bool says_flow(bool v6, size_t at, uint8_t change)
{
	size_t l4 = v6 ? 40 : 20;
	if (at >= l4)
		return at < l4 + 4;
	if (v6)
		return (at == 0 && change >> 4) || at == 6 || at >= 8;
	return at == 0 || (at == 6 && change & 0x3f) || at == 7 || at == 9 || at >= 12;
}

/* Every change of every byte of the headers, and every length. */
static void test_next(void **state)
{
	uint8_t p[128];
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		bool v6 = kind & 1, tcp = kind & 2;
		struct ip_view v;
		size_t n = make(p, v6, tcp ? IP_TCP : IP_UDP), headers = n - NEXT_PAYLOAD, l4 = v6 ? 40 : 20;
		assert_true(ip_parse(p, n, &v));
		assert_true(is_next(p, n, &v));
		for (size_t at = 0; at < headers; at++) {
			bool is_length = v6 ? at == 4 || at == 5 : at == 2 || at == 3;
			for (unsigned change = 1; change < 256; change++) {
				p[at] ^= (uint8_t)change;
				bool next = is_next(p, n, &v);
				if (says_flow(v6, at, (uint8_t)change))
					assert_false(next);
				else if (!is_length && !(tcp && at == l4 + 12))
					assert_true(next);
				p[at] ^= (uint8_t)change;
			}
		}
		for (size_t cut = 0; cut < n; cut++)
			assert_false(is_next(p, cut, &v));
		assert_true(is_next(p, n + 5, &v)); /* padding behind it */
		be_put(p + (v6 ? 4 : 2), 2, n - 10 - (v6 ? 40 : 0));
		assert_true(is_next(p, n, &v)); /* a shorter one */
		be_put(p + (v6 ? 4 : 2), 2, headers - 1 - (v6 ? 40 : 0));
		assert_false(is_next(p, n, &v));
	}
}

/* Those that are looked at whole, each time, and what follows them. */
static void test_next_not_plain(void **state)
{
	uint8_t p[128], plain[2][128];
	size_t n_plain[2] = { make(plain[0], false, IP_UDP), make(plain[1], true, IP_UDP) };
	struct ip_view v;
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = make(p, v6, v6 ? IP_ICMP6 : IP_ICMP);
		assert_true(ip_parse(p, n, &v));
		assert_false(is_next(p, n, &v));
		n = make(p, v6, IP_SCTP);
		assert_true(ip_parse(p, n, &v));
		assert_false(is_next(p, n, &v));
	}
	size_t n = make(p, false, IP_UDP);
	memmove(p + 24, p + 20, n - 20); /* an option of four bytes */
	p[0] = 0x46;
	be_put(p + 2, 2, n + 4);
	memset(p + 20, 1, 4);
	assert_true(ip_parse(p, n + 4, &v));
	assert_false(is_next(p, n + 4, &v));
	assert_false(is_next(plain[0], n_plain[0], &v));
	n = make(p, false, IP_UDP);
	be_put(p + 6, 2, 0x0002); /* a later fragment */
	assert_true(ip_parse(p, n, &v));
	assert_false(is_next(p, n, &v));
	memset(p, 0, 128);
	memcpy(p, plain[0], n);
	be_put(p + 20, 4, 0); /* with the ports that it is said to have */
	assert_false(is_next(p, n, &v));
	n = make(p, true, IP_UDP);
	memmove(p + 48, p + 40, n - 40);
	memset(p + 40, 0, 8);
	p[40] = IP_UDP;
	p[6] = 60; /* destination options */
	be_put(p + 4, 2, n - 40 + 8);
	assert_true(ip_parse(p, n + 8, &v));
	assert_int_equal(v.dport, 53);
	assert_false(is_next(p, n + 8, &v));
	assert_false(is_next(plain[1], n_plain[1], &v));
	struct ip_view none = { 0 }; /* of no packet */
	n = make(p, false, IP_UDP);
	assert_false(is_next(p, n, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sum), cmocka_unit_test(test_udp_round_trip),
		cmocka_unit_test(test_fragments), cmocka_unit_test(test_extension_headers),
		cmocka_unit_test(test_mapped), cmocka_unit_test(test_next),
		cmocka_unit_test(test_next_not_plain) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
