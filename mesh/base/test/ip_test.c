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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sum), cmocka_unit_test(test_udp_round_trip),
		cmocka_unit_test(test_fragments), cmocka_unit_test(test_extension_headers),
		cmocka_unit_test(test_mapped) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
