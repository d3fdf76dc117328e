#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/via.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PEER6 "fd7a:115c:a1e0::7"
#define SITE7 "fd7a:115c:a1e0:b1a:0:7:a01:110" /* 10.1.1.16 */
#define SITE8 "fd7a:115c:a1e0:b1a:0:8:a01:110" /* the same of another place */
#define T0 UINT64_C(1000)

struct place {
	struct via *t;
	struct prefix addresses[2];
	struct netmap_peer peer;
};

static void place_make(struct place *p)
{
	*p = (struct place) { .t = via_new(7) };
	assert_non_null(p->t);
	assert_true(prefix_parse("100.64.0.7/32", &p->addresses[0]));
	assert_true(prefix_parse(PEER6 "/128", &p->addresses[1]));
	p->peer.node.id = 3;
	p->peer.node.addresses = (struct ctl_prefixes) { p->addresses, 2 };
}

static struct endpoint at(const char *ip, uint16_t port)
{
	struct endpoint e = { .port = port };
	assert_true(addr_parse(ip, &e.ip));
	return e;
}

static struct ip_view put_udp(
	struct pkt *p, const struct endpoint *src, const struct endpoint *dst, size_t len)
{
	struct ip_view v;
	pkt_reset(p);
	memset(pkt_data(p), 'x', 48 + len);
	p->len = (uint16_t)ip_write_udp(pkt_data(p), src, dst, len);
	assert_true(ip_parse(pkt_data(p), p->len, &v));
	return v;
}

static enum via_verdict in(struct place *p, const char *from, uint16_t sport, const char *to, struct pkt *pkt)
{
	struct endpoint src = at(from, sport), dst = at(to, 53);
	struct ip_view v = put_udp(pkt, &src, &dst, 5);
	return via_in(p->t, T0, &p->peer, &v, pkt);
}

static void check_ends(const struct pkt *pkt, const char *src, const char *dst, uint16_t dport)
{
	struct pkt p = *pkt;
	struct ip_view v;
	struct endpoint a = at(src, 0), b = at(dst, 0);
	assert_true(ip_parse(pkt_data(&p), p.len, &v));
	assert_true(addr_equal(&v.src, &a.ip) && addr_equal(&v.dst, &b.ip));
	assert_int_equal(v.dport, dport);
}

static enum via_verdict answer(struct place *p, uint64_t now, uint16_t to_port, size_t len, struct pkt *pkt)
{
	struct endpoint src = at("10.1.1.16", 53), dst = at("100.64.0.7", to_port);
	struct ip_view v = put_udp(pkt, &src, &dst, len);
	return via_out(p->t, now, &v, pkt);
}

/* The answer goes back to the site that was asked, though both have the same address. */
static void test_two_sites(void **state)
{
	struct place p;
	struct pkt pkt;
	(void)state;
	place_make(&p);
	assert_false(via_in_use(p.t));
	assert_int_equal(answer(&p, T0, 1000, 5, &pkt), VIA_NOT);
	assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_DONE);
	check_ends(&pkt, "100.64.0.7", "10.1.1.16", 53);
	assert_int_equal(in(&p, PEER6, 1001, SITE8, &pkt), VIA_DONE);
	check_ends(&pkt, "100.64.0.7", "10.1.1.16", 53);
	assert_true(via_in_use(p.t));
	assert_int_equal(answer(&p, T0, 1000, 5, &pkt), VIA_DONE);
	check_ends(&pkt, SITE7, PEER6, 1000);
	assert_int_equal(answer(&p, T0, 1001, 5, &pkt), VIA_DONE);
	check_ends(&pkt, SITE8, PEER6, 1001);
	assert_int_equal(answer(&p, T0, 1002, 5, &pkt), VIA_NOT);
	check_ends(&pkt, "10.1.1.16", "100.64.0.7", 1002);
	assert_int_equal(answer(&p, T0 + 599999, 1000, 5, &pkt), VIA_DONE);
	assert_int_equal(answer(&p, T0 + 2 * 600000 - 1, 1000, 5, &pkt), VIA_NOT);
	via_free(p.t);
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to;
		enum via_verdict want;
	} rows[] = {
		{ PEER6, "fd7a:115c:a1e0::9", VIA_NOT },
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:7f00:1", VIA_REFUSED },    /* 127.0.0.1 */
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:a9fe:a9fe", VIA_REFUSED }, /* 169.254.169.254 */
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:e000:1", VIA_REFUSED },    /* 224.0.0.1 */
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:ffff:ffff", VIA_REFUSED },
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:0:1", VIA_REFUSED },
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:6440:1", VIA_REFUSED },    /* 100.64.0.1 */
		{ PEER6, "fd7a:115c:a1e0:b1a:0:7:6464:6464", VIA_REFUSED }, /* its resolver */
		{ PEER6, "fd7a:115c:a1e0:b1a:1:7:a01:110", VIA_REFUSED },   /* no site */
		{ "2001:db8::1", SITE7, VIA_NO_ADDRESS },
	};
	struct place p;
	struct pkt pkt;
	(void)state;
	place_make(&p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (in(&p, rows[i].from, 1000, rows[i].to, &pkt) != rows[i].want)
			fail_msg("%s to %s", rows[i].from, rows[i].to);
	p.peer.node.addresses = (struct ctl_prefixes) { p.addresses + 1, 1 };
	assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_NO_ADDRESS);
	assert_false(via_in_use(p.t));
	via_free(p.t);
}

/* What would be too long as IPv6: its sender hears what fits, unless others may cut it. */
static void test_too_large(void **state)
{
	struct place p;
	struct pkt pkt;
	struct ip_view v, q;
	(void)state;
	place_make(&p);
	assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_DONE);
	assert_int_equal(answer(&p, T0, 1000, 1260 - 28, &pkt), VIA_DONE);
	assert_int_equal(pkt.len, IP6_MTU_MIN);
	assert_int_equal(answer(&p, T0, 1000, 1261 - 28, &pkt), VIA_TOO_LARGE);
	assert_true(ip_parse(pkt_data(&pkt), pkt.len, &v));
	assert_int_equal(pkt.len, 20 + 8 + 28);
	check_ends(&pkt, "100.64.0.7", "10.1.1.16", 0);
	assert_int_equal(v.icmp_type, 3);
	assert_int_equal(v.icmp_code, 4);
	assert_int_equal(be_get(pkt_data(&pkt) + 20 + 6, 2), 1260);
	assert_int_equal(ip_checksum(pkt_data(&pkt) + 20, pkt.len - 20u, 0), 0);
	assert_true(ip_quoted(pkt_data(&pkt), &v, &q));
	assert_int_equal(q.dport, 1000);
	struct endpoint src = at("10.1.1.16", 53), dst = at("100.64.0.7", 1000);
	v = put_udp(&pkt, &src, &dst, 1261 - 28);
	pkt_data(&pkt)[6] = 0; /* may be cut */
	assert_int_equal(via_out(p.t, T0, &v, &pkt), VIA_TOO_LARGE);
	assert_int_equal(pkt.len, 0);
	via_free(p.t);
}

/* Errors of both sides find their flow by the packet they quote. */
static void test_errors(void **state)
{
	enum { QUOTED = 28 };
	struct place p;
	struct pkt pkt;
	struct ip_view v, q;
	uint8_t l4[8 + 48] = { 3, 1 };
	struct endpoint router = at("10.9.9.9", 0), us = at("100.64.0.7", 1000), host = at("10.1.1.16", 53),
			six = at(PEER6, 1000), via = at(SITE7, 53);
	(void)state;
	place_make(&p);
	assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_DONE);
	memcpy(l4 + 8, pkt_data(&pkt), QUOTED);
	be_put(l4 + 2, 2, ip_checksum(l4, 8 + QUOTED, 0));
	pkt_reset(&pkt);
	memcpy(pkt_data(&pkt) + 20, l4, 8 + QUOTED);
	pkt.len = (uint16_t)ip_write_header(pkt_data(&pkt), &router.ip, &us.ip, IP_ICMP, 8 + QUOTED);
	assert_true(ip_parse(pkt_data(&pkt), pkt.len, &v));
	assert_int_equal(via_out(p.t, T0, &v, &pkt), VIA_DONE);
	check_ends(&pkt, SITE7, PEER6, 0);
	assert_true(ip_quoted(pkt_data(&pkt), &v, &q));
	assert_true(addr_equal(&q.src, &six.ip) && addr_equal(&q.dst, &via.ip));
	assert_int_equal(q.sport, 1000);

	/* The peer has closed the port that the host answered to. */
	memset(l4, 0, sizeof(l4));
	l4[0] = 1;
	l4[1] = 4;
	(void)ip_write_udp(l4 + 8, &via, &six, 0);
	be_put(l4 + 2, 2, ip_l4_checksum(&six.ip, &via.ip, IP_ICMP6, l4, sizeof(l4)));
	pkt_reset(&pkt);
	memcpy(pkt_data(&pkt) + 40, l4, sizeof(l4));
	pkt.len = (uint16_t)ip_write_header(pkt_data(&pkt), &six.ip, &via.ip, IP_ICMP6, sizeof(l4));
	assert_true(ip_parse(pkt_data(&pkt), pkt.len, &v));
	assert_int_equal(via_in(p.t, T0, &p.peer, &v, &pkt), VIA_DONE);
	check_ends(&pkt, "100.64.0.7", "10.1.1.16", 0);
	assert_true(ip_parse(pkt_data(&pkt), pkt.len, &v));
	assert_true(ip_quoted(pkt_data(&pkt), &v, &q));
	assert_true(addr_equal(&q.src, &host.ip) && addr_equal(&q.dst, &us.ip));
	assert_int_equal(q.dport, 1000);
	via_free(p.t);
}

/* Who opens very many takes the places of its own flows, once there are none left. */
static void test_many(void **state)
{
	struct place p;
	struct pkt pkt;
	unsigned lost = 0;
	(void)state;
	place_make(&p);
	struct place other = p;
	struct prefix theirs[2];
	assert_true(prefix_parse("100.64.0.8/32", &theirs[0]));
	assert_true(prefix_parse("fd7a:115c:a1e0::8/128", &theirs[1]));
	other.peer.node.id = 4;
	other.peer.node.addresses = (struct ctl_prefixes) { theirs, 2 };
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(in(&p, PEER6, (uint16_t)(2000 + i), SITE7, &pkt), VIA_DONE);
	for (uint32_t i = 1; i < 60000; i++)
		assert_int_equal(in(&other, "fd7a:115c:a1e0::8", (uint16_t)i, SITE8, &pkt), VIA_DONE);
	for (uint16_t i = 0; i < 100; i++)
		lost += answer(&p, T0, (uint16_t)(2000 + i), 5, &pkt) != VIA_DONE;
	if (lost > 2)
		fail_msg("%u of 100 flows were lost to another peer's", lost);
	via_free(p.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_sites),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
