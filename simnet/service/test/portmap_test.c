#include "simnet/service/portmap.h"

#include "mesh/base/wire.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };
struct bench {
	struct portmap map;
	struct faults faults;
	uint8_t out[PORTMAP_REPLY_MAX];
	size_t n;
	bool changed;
	uint64_t now_ms;
};

static struct endpoint host(uint32_t last)
{
	return (struct endpoint) { .ip = addr_v4(0xc0a80100 + last), .port = 5350 };
}

static struct bench new_bench(void)
{
	return (struct bench) { .map = { .outer = addr_v4(0xcb007164), .began_ms = NOW_MS - 7000 },
		.now_ms = NOW_MS };
}

static void ask(struct bench *b, uint32_t from, const uint8_t *msg, size_t len)
{
	struct endpoint at = host(from);
	b->n = portmap_answer(&b->map, b->now_ms, &b->faults, &at, msg, len, b->out, &b->changed);
}

/* NAT-PMP: op 1 UDP, 2 TCP. */
static void ask_pmp(
	struct bench *b, uint32_t from, uint8_t op, uint16_t inner, uint16_t outer, uint32_t life_s)
{
	uint8_t m[12] = { 0, op };
	be_put(m + 4, 2, inner);
	be_put(m + 6, 2, outer);
	be_put(m + 8, 4, life_s);
	ask(b, from, m, sizeof(m));
}

static void ask_pcp(
	struct bench *b, uint32_t from, uint8_t nonce, uint16_t inner, uint16_t outer, uint32_t life_s)
{
	uint8_t m[60] = { 2, 1 };
	be_put(m + 4, 4, life_s);
	memcpy(m + 8, host(from).ip.b, 16);
	memset(m + 24, nonce, 12);
	m[36] = 17;
	be_put(m + 40, 2, inner);
	be_put(m + 42, 2, outer);
	ask(b, from, m, sizeof(m));
}

/* RFC 6886 sections 3.2 and 3.3. */
static void test_pmp_vectors(void **state)
{
	static const uint8_t address[] = { 0, 0x80, 0, 0, 0, 0, 0, 7, 203, 0, 113, 100 };
	static const uint8_t mapped[] = { 0, 0x81, 0, 0, 0, 0, 0, 7, 0x10, 0x01, 0x20, 0x02, 0, 0, 0, 60 };
	struct bench b = new_bench();
	(void)state;

	ask(&b, 2, (const uint8_t[]) { 0, 0 }, 2);
	assert_int_equal(b.n, sizeof(address));
	assert_memory_equal(b.out, address, sizeof(address));
	assert_false(b.changed);
	ask_pmp(&b, 2, 1, 0x1001, 0x2002, 60);
	assert_int_equal(b.n, sizeof(mapped));
	assert_memory_equal(b.out, mapped, sizeof(mapped));
	assert_true(b.changed);
	ask_pmp(&b, 2, 1, 0x1001, 0, 60); /* renewed: the same port, and no other rules */
	assert_memory_equal(b.out, mapped, sizeof(mapped));
	assert_false(b.changed);
}

static void test_pmp_ports(void **state)
{
	struct bench b = new_bench();
	(void)state;

	ask_pmp(&b, 2, 1, 5000, 6000, 60);
	ask_pmp(&b, 3, 1, 5000, 6000, 60); /* taken by another host */
	assert_int_equal(be_get(b.out + 10, 2), 20000);
	ask_pmp(&b, 3, 2, 5000, 6000, 60); /* TCP is apart */
	assert_int_equal(be_get(b.out + 10, 2), 6000);
	ask_pmp(&b, 4, 1, 5001, 0, 1u << 30); /* no wish: as inside; and no longer than two hours */
	assert_int_equal(be_get(b.out + 10, 2), 5001);
	assert_int_equal(be_get(b.out + 12, 4), PORTMAP_LIFE_MAX_S);
	ask_pmp(&b, 4, 1, 80, 80, 60); /* low ports are not given */
	assert_int_equal(be_get(b.out + 10, 2), 20001);
	assert_int_equal(b.map.n, 5);
	ask_pmp(&b, 4, 1, 0, 0, 0); /* all UDP of that host */
	assert_true(b.changed);
	assert_int_equal(b.map.n, 3);
	ask_pmp(&b, 9, 1, 5000, 0, 0); /* nobody's */
	assert_false(b.changed);
	assert_int_equal(b.out[3], 0);
}

/* RFC 6887 section 11. */
static void test_pcp(void **state)
{
	struct bench b = new_bench();
	(void)state;

	ask_pcp(&b, 2, 7, 5000, 6000, 60);
	assert_int_equal(b.n, 60);
	assert_int_equal(b.out[0], 2);
	assert_int_equal(b.out[1], 0x81);
	assert_int_equal(b.out[3], 0);
	assert_int_equal(be_get(b.out + 4, 4), 60);
	assert_int_equal(be_get(b.out + 8, 4), 7);
	assert_int_equal(be_get(b.out + 42, 2), 6000);
	assert_memory_equal(b.out + 44, b.map.outer.b, 16);
	ask_pcp(&b, 2, 8, 5000, 6000, 60); /* another nonce: it is not his */
	assert_int_equal(b.out[3], 2);
	ask_pcp(&b, 2, 8, 5000, 0, 0);
	assert_int_equal(b.out[3], 2);
	assert_int_equal(b.map.n, 1);
	ask_pcp(&b, 2, 7, 5000, 0, 0);
	assert_int_equal(b.out[3], 0);
	assert_true(b.changed);
	assert_int_equal(b.map.n, 0);
	uint8_t announce[24] = { 2, 0 };
	memcpy(announce + 8, host(2).ip.b, 16);
	ask(&b, 2, announce, sizeof(announce));
	assert_int_equal(b.n, 24);
	assert_int_equal(b.out[3], 0);
	announce[23]++; /* another's address */
	ask(&b, 2, announce, sizeof(announce));
	assert_int_equal(b.out[3], 12);
	announce[23]--;
	announce[1] = 2; /* PEER */
	ask(&b, 2, announce, sizeof(announce));
	assert_int_equal(b.out[3], 4);
}

static void test_faults(void **state)
{
	static const struct {
		const char *faults;
		bool pcp;
		int version, result; /* -1: no answer */
	} rows[] = {
		{ "", false, 0, 0 },
		{ "", true, 2, 0 },
		{ "dead", false, -1, 0 },
		{ "refuse", false, 0, 2 },
		{ "refuse", true, 2, 2 },
		{ "no-pcp", true, 0, 1 },
		{ "no-pmp", false, 0, 1 },
		{ "no-pmp", true, 2, 0 },
		{ "no-pcp", false, 0, 0 },
		{ "no-pcp,no-pmp", false, -1, 0 },
		{ "no-pcp,no-pmp", true, -1, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench b = new_bench();
		struct errbuf eb;
		assert_int_equal(faults_parse(SERVICE_PORTMAP, rows[i].faults, &b.faults, &eb), 0);
		if (rows[i].pcp)
			ask_pcp(&b, 2, 1, 5000, 5000, 60);
		else
			ask_pmp(&b, 2, 1, 5000, 5000, 60);
		if ((rows[i].version < 0) != !b.n ||
			(b.n && (b.out[0] != rows[i].version || b.out[3] != rows[i].result)))
			fail_msg("row %zu: %zu bytes, version %d, result %d", i, b.n, b.out[0], b.out[3]);
	}
	struct bench b = new_bench();
	struct errbuf eb;
	faults_parse(SERVICE_PORTMAP, "other-port,outer=10.0.0.1", &b.faults, &eb);
	ask_pcp(&b, 2, 1, 5000, 5000, 60);
	assert_int_equal(be_get(b.out + 42, 2), 20000);
	assert_int_equal(b.out[56], 10);
	ask(&b, 2, (const uint8_t[]) { 0, 0 }, 2);
	assert_int_equal(b.out[8], 10);
}

static void test_bounds_and_hostile(void **state)
{
	struct bench b = new_bench();
	uint8_t m[60] = { 0 };
	(void)state;

	for (uint32_t i = 0; i <= PORTMAP_MAX; i++)
		ask_pmp(&b, 2 + i % 100, 1, (uint16_t)(5000 + i), 0, 60);
	assert_int_equal(b.map.n, PORTMAP_MAX);
	assert_int_equal(b.out[3], 4);
	ask_pcp(&b, 7, 1, 1, 1, 60);
	assert_int_equal(b.out[3], 8);
	ask_pmp(&b, 2, 1, 0, 1, 60); /* no port inside */
	assert_int_equal(b.out[3], 4);
	for (size_t len = 0; len < 12; len++) {
		uint8_t pmp[12] = { 0, 1 };
		ask(&b, 2, pmp, len);
		assert_int_equal(b.n, 0);
	}
	ask(&b, 2, (const uint8_t[]) { 0, 0x80 }, 2); /* an answer */
	assert_int_equal(b.n, 0);
	ask(&b, 2, (const uint8_t[]) { 0, 9 }, 2);
	assert_int_equal(b.out[3], 5);
	ask(&b, 2, (const uint8_t[]) { 3, 0 }, 2);
	assert_int_equal(b.out[0], 2);
	assert_int_equal(b.out[3], 1);
	for (size_t len = 1; len < 24; len++) {
		m[0] = 2;
		ask(&b, 2, m, len);
		assert_int_equal(b.n, 0);
	}
	m[1] = 1;
	memcpy(m + 8, host(2).ip.b, 16);
	ask(&b, 2, m, 40); /* half a MAP */
	assert_int_equal(b.n, 24);
	assert_int_equal(b.out[3], 3);
}

static struct endpoint host6(uint8_t last)
{
	struct endpoint at = { .ip = { { 0x2a, 0x0e, [15] = last } }, .port = 5350 };
	return at;
}

static void ask_pcp6(
	struct bench *b, uint8_t from, uint8_t nonce, uint16_t inner, uint16_t outer, uint32_t life_s)
{
	uint8_t m[60] = { 2, 1 };
	struct endpoint at = host6(from);
	be_put(m + 4, 4, life_s);
	memcpy(m + 8, at.ip.b, 16);
	memset(m + 24, nonce, 12);
	m[36] = 17;
	be_put(m + 40, 2, inner);
	be_put(m + 42, 2, outer);
	b->n = portmap_answer(&b->map, b->now_ms, &b->faults, &at, m, sizeof(m), b->out, &b->changed);
}

/* RFC 6887 section 11: what IPv6 is mapped to is itself. */
static void test_pinholes(void **state)
{
	struct bench b = new_bench();
	struct buf text = { 0 };
	struct endpoint at = host6(7), other = host6(8);
	(void)state;

	ask_pmp(&b, 2, 1, 5000, 5000, 60);
	assert_true(portmap_rules(&b.map, &text));
	assert_null(strstr(buf_cstr(&text), "ip6")); /* where there was none, there need be no IPv6 */
	ask_pcp6(&b, 7, 1, 5000, 6000, 60);
	assert_int_equal(b.n, 60);
	assert_int_equal(b.out[3], 0);
	assert_int_equal(be_get(b.out + 42, 2), 5000);
	assert_memory_equal(b.out + 44, at.ip.b, 16);
	ask_pcp6(&b, 8, 2, 5000, 5000, 60); /* another host's port is another's */
	assert_int_equal(b.out[3], 0);
	assert_memory_equal(b.out + 44, other.ip.b, 16);
	buf_free(&text);
	assert_true(portmap_rules(&b.map, &text));
	assert_non_null(strstr(buf_cstr(&text), "ip6 daddr 2a0e::7 udp dport 5000 accept"));
	assert_non_null(strstr(buf_cstr(&text), "ip6 daddr 2a0e::8 udp dport 5000 accept"));
	assert_non_null(strstr(buf_cstr(&text), "udp dport 5000 dnat to 192.168.1.2:5000"));
	buf_free(&text);
	ask_pcp6(&b, 7, 9, 5000, 5000, 60); /* another nonce */
	assert_int_equal(b.out[3], 2);
	ask_pcp6(&b, 7, 1, 5000, 5000, 0);
	assert_true(b.changed);
	b.faults.no_pcp = true;
	ask_pcp6(&b, 7, 1, 5000, 5000, 60);
	assert_int_equal(b.n, 0);
	b.faults.no_pcp = false;
	b.n = portmap_answer(
		&b.map, b.now_ms, &b.faults, &at, (const uint8_t[]) { 0, 0 }, 2, b.out, &b.changed);
	assert_int_equal(b.out[0], 2); /* NAT-PMP has no IPv6 */
	assert_int_equal(b.out[3], 1);
	faults_parse(SERVICE_PORTMAP, "outer=10.0.0.1", &b.faults, &(struct errbuf) { 0 });
	ask_pcp6(&b, 7, 1, 5000, 5000, 60);
	assert_memory_equal(b.out + 44, at.ip.b, 16); /* the claim is of the other family */
	faults_parse(SERVICE_PORTMAP, "no-epoch,outer=fd00::1", &b.faults, &(struct errbuf) { 0 });
	ask_pcp6(&b, 7, 1, 5000, 5000, 60);
	assert_int_equal(b.out[44], 0xfd);
	assert_int_equal(be_get(b.out + 8, 4), 0);
}

/* A port that the router itself forwards is nobody's. */
static void test_taken(void **state)
{
	static const struct portmap_taken taken[] = { { 17, 5000 }, { 6, 20000 } };
	struct bench b = new_bench();
	(void)state;

	b.map.taken = taken;
	b.map.n_taken = ARRAY_LEN(taken);
	ask_pmp(&b, 2, 1, 5000, 5000, 60);
	assert_int_equal(be_get(b.out + 10, 2), 20000);
	ask_pmp(&b, 2, 2, 5000, 5000, 60);
	assert_int_equal(be_get(b.out + 10, 2), 5000);
	b.faults.other_port = true;
	ask_pmp(&b, 3, 2, 5000, 5000, 60);
	assert_int_equal(be_get(b.out + 10, 2), 20001);
}

static void test_expiry_and_rules(void **state)
{
	struct bench b = new_bench();
	struct buf text = { 0 };
	(void)state;

	ask_pmp(&b, 2, 1, 5000, 6000, 60);
	ask_pmp(&b, 3, 2, 5000, 6001, 10);
	assert_true(portmap_rules(&b.map, &text));
	assert_non_null(
		strstr(buf_cstr(&text), "ip daddr 203.0.113.100 udp dport 6000 dnat to 192.168.1.2:5000"));
	assert_non_null(
		strstr(buf_cstr(&text), "ip daddr 203.0.113.100 tcp dport 6001 dnat to 192.168.1.3:5000"));
	buf_free(&text);
	assert_false(portmap_expire(&b.map, NOW_MS + 9999));
	assert_true(portmap_expire(&b.map, NOW_MS + 10000));
	assert_int_equal(b.map.n, 1);
	assert_int_equal(b.map.v[0].outer, 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pmp_vectors),
		cmocka_unit_test(test_pmp_ports),
		cmocka_unit_test(test_pcp),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_bounds_and_hostile),
		cmocka_unit_test(test_pinholes),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_expiry_and_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
