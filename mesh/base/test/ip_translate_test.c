#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CAP = 2000 };

static struct ip_ends ends(const char *src, const char *dst)
{
	struct ip_ends e;
	assert_true(addr_parse(src, &e.src) && addr_parse(dst, &e.dst));
	return e;
}

#define SIX ends("fd7a:115c:a1e0::7", "fd7a:115c:a1e0:b1a:0:7:a01:110")
#define FOUR ends("100.64.0.7", "10.1.1.16")

static size_t packet(uint8_t *p, const struct ip_ends *e, uint8_t proto, const uint8_t *l4, size_t len)
{
	size_t head = addr_is_v4(&e->src) ? 20 : 40;
	memcpy(p + head, l4, len);
	return ip_write_header(p, &e->src, &e->dst, proto, len);
}

static void check_sum(const uint8_t *p, size_t len, uint8_t proto)
{
	struct ip_view v;
	assert_true(ip_parse(p, len, &v));
	assert_int_equal(v.total_len, len);
	assert_int_equal(v.proto, proto);
	if (v.version == 4)
		assert_int_equal(ip_checksum(p, 20, 0), 0);
	size_t l4_len = len - v.l4_at;
	uint32_t pseudo = proto == IP_ICMP ? 0 : ip_pseudo_sum(&v.src, &v.dst, proto, l4_len);
	if (proto != IP_SCTP)
		assert_int_equal(ip_checksum(p + v.l4_at, l4_len, pseudo), 0);
}

/* There and back: what went is what comes, and each form is a good packet of its family. */
static void test_there_and_back(void **state)
{
	static const struct {
		uint8_t proto6, proto4, l4[24];
		size_t len, sum_at;
	} rows[] = {
		{ IP_UDP, IP_UDP, { 0x30, 0x39, 0, 53, 0, 11, 0, 0, 'a', 'b', 'c' }, 11, 6 },
		{ IP_TCP, IP_TCP, { 0x30, 0x39, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff }, 20,
			16 },
		{ IP_SCTP, IP_SCTP, { 0x30, 0x39, 0, 80, 1, 2, 3, 4, 9, 9, 9, 9 }, 12, 0 },
		{ IP_ICMP6, IP_ICMP, { 128, 0, 0, 0, 0x12, 0x34, 0, 1, 'x' }, 9, 2 },
		{ IP_ICMP6, IP_ICMP, { 129, 0, 0, 0, 0x12, 0x34, 0, 1, 'x' }, 9, 2 },
	};
	const struct ip_ends six = SIX, four = FOUR;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t p[CAP], was[CAP], l4[24];
		struct ip_view v;
		memcpy(l4, rows[i].l4, sizeof(l4));
		if (rows[i].sum_at)
			be_put(l4 + rows[i].sum_at, 2,
				ip_l4_checksum(&six.src, &six.dst, rows[i].proto6, l4, rows[i].len));
		size_t len = packet(p, &six, rows[i].proto6, l4, rows[i].len);
		p[0] = 0x6b; /* a traffic class */
		p[7] = 33;
		memcpy(was, p, len);
		assert_true(ip_parse(p, len, &v));
		assert_int_equal(ip_translate(p, CAP, &v, &four, NULL), len - 20);
		check_sum(p, len - 20, rows[i].proto4);
		assert_int_equal(p[1], 0xb0);
		assert_int_equal(p[8], 33);
		assert_true(ip_parse(p, len - 20, &v));
		assert_true(addr_equal(&v.src, &four.src) && addr_equal(&v.dst, &four.dst));
		assert_int_equal(ip_translate(p, CAP, &v, &six, NULL), len);
		assert_memory_equal(p, was, len);
	}
}

/* What was damaged stays so; a UDP checksum that IPv4 did without is made. */
static void test_checksums(void **state)
{
	uint8_t l4[] = { 0x30, 0x39, 0, 53, 0, 11, 0, 0, 'a', 'b', 'c' }, p[CAP];
	const struct ip_ends six = SIX, four = FOUR;
	struct ip_view v;
	(void)state;
	size_t len = packet(p, &four, IP_UDP, l4, sizeof(l4));
	assert_true(ip_parse(p, len, &v));
	assert_int_equal(ip_translate(p, CAP, &v, &six, NULL), len + 20);
	check_sum(p, len + 20, IP_UDP);
	be_put(l4 + 6, 2, ip_l4_checksum(&four.src, &four.dst, IP_UDP, l4, sizeof(l4)));
	l4[8] ^= 1;
	len = packet(p, &four, IP_UDP, l4, sizeof(l4));
	assert_true(ip_parse(p, len, &v));
	assert_int_equal(ip_translate(p, CAP, &v, &six, NULL), len + 20);
	assert_int_not_equal(
		ip_checksum(p + 40, sizeof(l4), ip_pseudo_sum(&six.src, &six.dst, IP_UDP, 11)), 0);
}

struct error_row {
	uint8_t type4, code4, type6, code6;
	uint32_t rest4, rest6;
};

static size_t error(uint8_t *p, const struct ip_ends *outer, const struct ip_ends *inner, uint8_t type,
	uint8_t code, uint32_t rest)
{
	bool v4 = addr_is_v4(&outer->src);
	uint8_t l4[8 + 40 + 8] = { type, code }, quoted[8] = { 0x30, 0x39, 0, 53, 0, 108, 7, 7 };
	be_put(l4 + 4, 4, rest);
	size_t head = v4 ? 20 : 40;
	memcpy(l4 + 8 + head, quoted, sizeof(quoted));
	ip_write_header(l4 + 8, &inner->src, &inner->dst, IP_UDP, 108); /* the rest of it is not here */
	size_t len = 8 + head + sizeof(quoted);
	be_put(l4 + 2, 2,
		v4 ? ip_checksum(l4, len, 0) : ip_l4_checksum(&outer->src, &outer->dst, IP_ICMP6, l4, len));
	return packet(p, outer, v4 ? IP_ICMP : IP_ICMP6, l4, len);
}

static void check_error(uint8_t *p, size_t len, const struct ip_ends *to, const struct ip_ends *quoted,
	const uint8_t kind[static 2], uint32_t rest)
{
	struct ip_view v, q;
	bool to4 = addr_is_v4(&to->src);
	assert_true(ip_parse(p, len, &v));
	assert_true(ip_quoted(p, &v, &q));
	assert_int_equal(q.sport, 0x3039);
	assert_int_equal(q.dport, 53);
	size_t out = ip_translate(p, CAP, &v, to, quoted);
	assert_int_equal(out, to4 ? len - 40 : len + 40);
	check_sum(p, out, to4 ? IP_ICMP : IP_ICMP6);
	assert_true(ip_parse(p, out, &v));
	assert_int_equal(v.icmp_type, kind[0]);
	assert_int_equal(v.icmp_code, kind[1]);
	assert_int_equal(be_get(p + v.l4_at + 4, 4), rest);
	if (!ip_quoted(p, &v, &q)) /* the way back is not always there */
		return;
	assert_true(addr_equal(&q.src, &quoted->src) && addr_equal(&q.dst, &quoted->dst));
	assert_int_equal(q.sport, 0x3039);
	assert_int_equal(be_get(p + v.l4_at + 8 + (to4 ? 2 : 4), 2), to4 ? 128 : 108);
}

static void test_errors(void **state)
{
	static const struct error_row rows[] = {
		{ 3, 1, 1, 0, 0, 0 },
		{ 3, 3, 1, 4, 0, 0 },
		{ 3, 10, 1, 1, 0, 0 },
		{ 3, 2, 4, 1, 0, 6 },
		{ 3, 4, 2, 0, 1400, 1420 },
		{ 3, 4, 2, 0, 576, 1280 },
		{ 11, 0, 3, 0, 0, 0 },
	};
	const struct ip_ends six = SIX, four = FOUR, back6 = { .src = six.dst, .dst = six.src },
			     back4 = { .src = four.dst, .dst = four.src };
	uint8_t p[CAP];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = error(p, &back4, &four, rows[i].type4, rows[i].code4, rows[i].rest4);
		check_error(
			p, len, &back6, &six, (uint8_t[]) { rows[i].type6, rows[i].code6 }, rows[i].rest6);
	}
	size_t len = error(p, &six, &back6, 2, 0, 1280);
	check_error(p, len, &four, &back4, (uint8_t[]) { 3, 4 }, 1260);
	len = error(p, &six, &back6, 1, 4, 0);
	check_error(p, len, &four, &back4, (uint8_t[]) { 3, 3 }, 0);
	len = error(p, &six, &back6, 4, 1, 6);
	check_error(p, len, &four, &back4, (uint8_t[]) { 3, 2 }, 0);
}

/* The packet stays as it was. */
static void test_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t at, value;
		bool v4, needs_room;
	} rows[] = {
		{ "a fragment of UDP without a checksum", 6, 0x20, true, false },
		{ "a fragment of ICMP", 6, 44, false, false },
		{ "IPv6 with a routing header", 6, 43, false, false },
		{ "a protocol of the engine's own", 9, IP_TSMP, true, false },
		{ "no room", 9, IP_UDP, true, true },
	};
	const struct ip_ends six = SIX, four = FOUR;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t l4[24] = { IP_ICMP6, 0, 0, 0, 0, 24 }, p[CAP], was[CAP];
		struct ip_view v;
		size_t len = packet(p, rows[i].v4 ? &four : &six, IP_UDP, l4, sizeof(l4));
		p[rows[i].at] = rows[i].value;
		memcpy(was, p, len);
		assert_true(ip_parse(p, len, &v));
		size_t cap = rows[i].needs_room ? len + 19 : CAP;
		if (ip_translate(p, cap, &v, rows[i].v4 ? &six : &four, NULL) != 0)
			fail_msg("%s", rows[i].what);
		assert_memory_equal(p, was, len);
	}
	/* Neighbour discovery has nothing like it, and an error needs its second pair of addresses. */
	uint8_t nd[24] = { 135 }, p[CAP];
	struct ip_view v;
	size_t len = packet(p, &six, IP_ICMP6, nd, sizeof(nd));
	assert_true(ip_parse(p, len, &v));
	assert_int_equal(ip_translate(p, CAP, &v, &four, NULL), 0);
	len = error(p, &four, &(struct ip_ends) { .src = four.dst, .dst = four.src }, 3, 1, 0);
	assert_true(ip_parse(p, len, &v));
	assert_int_equal(ip_translate(p, CAP, &v, &six, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
