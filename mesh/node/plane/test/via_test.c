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

/* What would be too long as IPv6, and may not be cut: its sender hears what fits. */
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
	via_free(p.t);
}

/* --- what is cut --- */

struct whole { /* put together again, as by who gets the pieces */
	uint8_t l4[4096];
	size_t len, had;
	uint32_t id;
	unsigned pieces;
	bool ended;
};

static void take_piece(struct whole *w, struct pkt *pkt)
{
	const uint8_t *p = pkt_data(pkt);
	struct ip_view v;
	assert_true(pkt->len <= IP6_MTU_MIN);
	assert_true(ip_parse(p, pkt->len, &v));
	check_ends(pkt, SITE7, PEER6, v.dport);
	assert_int_equal(p[6], 44);
	assert_int_equal(p[40], IP_UDP);
	assert_true(!w->pieces || w->id == be_get(p + 44, 4));
	w->id = (uint32_t)be_get(p + 44, 4);
	size_t len = pkt->len - 48u, where = be_get(p + 42, 2) & 0xfff8;
	bool more = p[43] & 1;
	assert_true(where + len <= sizeof(w->l4) && (!more || len % 8 == 0));
	memcpy(w->l4 + where, p + 48, len);
	w->had += len;
	if (!more) {
		w->len = where + len;
		w->ended = true;
	}
	w->pieces++;
}

/* One packet of the answer, and what becomes of it. */
static enum via_verdict out_piece(struct place *p, uint64_t now, struct pkt *pkt, struct whole *w)
{
	struct ip_view v;
	assert_true(ip_parse(pkt_data(pkt), pkt->len, &v));
	enum via_verdict r = via_out(p->t, now, &v, pkt);
	if (r == VIA_DONE && w) {
		take_piece(w, pkt);
		if (via_rest(p->t))
			take_piece(w, via_rest(p->t));
	}
	return r;
}

static void check_whole(const struct whole *w, size_t len)
{
	struct endpoint src = at(SITE7, 53), dst = at(PEER6, 1000);
	assert_true(w->ended && w->had == w->len);
	assert_int_equal(w->len, 8 + len);
	assert_int_equal(ip_checksum(w->l4, w->len, ip_pseudo_sum(&src.ip, &dst.ip, IP_UDP, w->len)), 0);
}

/* The bytes of a datagram from `from` on, as the kernel cuts it for a narrow link. */
static void put_piece(struct pkt *pkt, const uint8_t *l4, size_t from, size_t len, bool more, uint16_t id)
{
	struct endpoint src = at("10.1.1.16", 53), dst = at("100.64.0.7", 1000);
	pkt_reset(pkt);
	memcpy(pkt_data(pkt) + 20, l4 + from, len);
	pkt->len = (uint16_t)ip_write_header(pkt_data(pkt), &src.ip, &dst.ip, IP_UDP, len);
	be_put(pkt_data(pkt) + 4, 2, id);
	be_put(pkt_data(pkt) + 6, 2, from / 8 | (more ? 0x2000 : 0));
}

/* What may be cut arrives, and whole: a packet that is too long by its new header, and fragments of a longer one. */
static void test_cut(void **state)
{
	enum { LONG = 3000, FIRST = 1256 };
	struct endpoint src = at("10.1.1.16", 53), dst = at("100.64.0.7", 1000), six = at(PEER6, 1);
	struct place p;
	struct pkt pkt;
	(void)state;
	place_make(&p);
	assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_DONE);
	for (size_t len = 1260 - 28; len <= 1280 - 28; len++) {
		struct whole w = { .len = 0 };
		put_udp(&pkt, &src, &dst, len);
		pkt_data(&pkt)[6] = 0;
		if (len == 1260 - 28) {
			assert_int_equal(out_piece(&p, T0, &pkt, NULL), VIA_DONE);
			assert_true(pkt.len == IP6_MTU_MIN && !via_rest(p.t) && pkt_data(&pkt)[6] == IP_UDP);
			continue;
		}
		assert_int_equal(out_piece(&p, T0, &pkt, &w), VIA_DONE);
		assert_int_equal(w.pieces, 2);
		check_whole(&w, len);
		assert_non_null(via_rest(p.t));
		put_udp(&pkt, &six, &six, 5);
		assert_int_equal(out_piece(&p, T0, &pkt, NULL), VIA_NOT);
		assert_null(via_rest(p.t)); /* once */
	}
	uint8_t l4[8 + LONG];
	memset(l4, 'y', sizeof(l4));
	be_put(l4, 2, 53);
	be_put(l4 + 2, 2, 1000);
	be_put(l4 + 4, 2, sizeof(l4));
	be_put(l4 + 6, 2, 0);
	be_put(l4 + 6, 2, ip_l4_checksum(&src.ip, &dst.ip, IP_UDP, l4, sizeof(l4)));
	struct whole w = { .len = 0 };
	put_piece(&pkt, l4, FIRST, FIRST, true, 77); /* before its first: nobody's */
	assert_int_equal(out_piece(&p, T0, &pkt, NULL), VIA_NOT);
	for (size_t from = 0; from < sizeof(l4); from += FIRST) {
		size_t len = sizeof(l4) - from < FIRST ? sizeof(l4) - from : FIRST;
		put_piece(&pkt, l4, from, len, from + len < sizeof(l4), 77);
		assert_int_equal(out_piece(&p, T0, &pkt, &w), VIA_DONE);
	}
	assert_int_equal(w.id, 77);
	assert_int_equal(w.pieces, 5);
	check_whole(&w, LONG);
	/* past the end of any datagram: its other part would be a first one */
	put_piece(&pkt, l4, FIRST, FIRST, false, 77);
	be_put(pkt_data(&pkt) + 6, 2, 0x2000 - 1232 / 8);
	assert_int_equal(out_piece(&p, T0, &pkt, NULL), VIA_NO_WAY);
	assert_null(via_rest(p.t));
	put_piece(&pkt, l4, FIRST, FIRST, true, 78); /* of another, and of this one much later */
	assert_int_equal(out_piece(&p, T0, &pkt, NULL), VIA_NOT);
	put_piece(&pkt, l4, FIRST, FIRST, true, 77);
	assert_int_equal(out_piece(&p, T0 + 10000, &pkt, NULL), VIA_NOT);
	via_free(p.t);
}

/* What the peer has cut goes on cut; what it has not may be, on the way, if no link of IPv6 would have. */
static void test_cut_by_peer(void **state)
{
	struct endpoint src = at(PEER6, 1000), dst = at(SITE7, 53);
	struct place p;
	struct pkt pkt;
	struct ip_view v;
	uint64_t ids[2];
	(void)state;
	place_make(&p);
	for (int later = 0; later < 2; later++) {
		pkt_reset(&pkt);
		uint8_t *b = pkt_data(&pkt);
		memset(b, 'x', 1280);
		(void)ip_write_udp(b + 8, &src, &dst, 1224);
		pkt.len = (uint16_t)ip_write_header(b, &src.ip, &dst.ip, 44, 8 + 1232);
		memcpy(b + 40, (uint8_t[]) { IP_UDP, 0, 0, 0, 0, 5, 0, 77 }, 8);
		be_put(b + 42, 2, later ? 1232 : 1);
		be_put(b + 48, 4, 1000 << 16 | 53);
		assert_true(ip_parse(b, pkt.len, &v));
		assert_int_equal(via_in(p.t, T0, &p.peer, &v, &pkt), VIA_DONE);
		assert_int_equal(pkt.len, 20 + 1232);
		assert_int_equal(be_get(pkt_data(&pkt) + 4, 2), 77);
		assert_int_equal(be_get(pkt_data(&pkt) + 6, 2), later ? 1232 / 8 : 0x2000);
		assert_int_equal(ip_checksum(pkt_data(&pkt), 20, 0), 0);
		check_ends(&pkt, "100.64.0.7", "10.1.1.16", later ? 0 : 53);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(in(&p, PEER6, 1000, SITE7, &pkt), VIA_DONE);
		ids[i] = be_get(pkt_data(&pkt) + 4, 2);
		assert_int_equal(be_get(pkt_data(&pkt) + 6, 2), 0);
	}
	assert_true(ids[0] && ids[1] && ids[0] != ids[1]);
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
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_by_peer),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
