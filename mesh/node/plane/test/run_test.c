/* Packets of a flow that stand together are looked up once; each that is not of it is looked at. */
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { US = 0, THEM = 1, BATCH = 8, PAYLOAD = 12 };

struct shape { /* of a packet from 100.64.0.1:1000, but for what is said here; sent as it is by who does not look at it */
	uint8_t proto;
	uint16_t dport;
	uint8_t flags;	    /* TCP */
	uint16_t fragment;  /* the field of IPv4 */
	uint32_t src, dst;  /* 0: their own */
	uint16_t too_short; /* bytes that the header says and are not there */
	bool passes;
};

static size_t make(uint8_t *p, const struct world *w, const struct shape *s)
{
	struct addr src = s->src ? addr_v4(s->src) : w->side[US].ip,
		    dst = s->dst ? addr_v4(s->dst) : w->side[THEM].ip;
	memset(p, 0, 64);
	be_put(p + 20, 2, 1000);
	be_put(p + 22, 2, s->dport);
	if (s->proto == IP_UDP)
		be_put(p + 24, 2, 8 + PAYLOAD);
	p[32] = s->proto == IP_TCP ? 5 << 4 : 0;
	p[33] = s->flags;
	size_t n = ip_write_header(p, &src, &dst, s->proto, (s->proto == IP_TCP ? 20 : 8) + (size_t)PAYLOAD);
	be_put(p + 6, 2, s->fragment);
	be_put(p + 2, 2, n + s->too_short);
	be_put(p + 10, 2, 0);
	be_put(p + 10, 2, ip_checksum(p, 20, 0));
	return n;
}

/* Seals each for the other side, whatever it is, and hands them in together. Returns how many came out. */
static size_t hand_in(struct world *w, const struct shape *shapes, size_t n)
{
	static struct pkt pkts[BATCH];
	struct endpoint from[BATCH];
	struct side *b = &w->side[THEM];
	size_t before = b->n_tun;
	for (size_t i = 0; i < n; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = (uint16_t)make(pkt_data(&pkts[i]), w, &shapes[i]);
		assert_int_equal(wg_seal(w->side[US].d.wg, w->now_ms, 2, &pkts[i]), WG_OK);
		from[i] = w->side[US].at;
	}
	dataplane_udp_received(&b->d, PATH_MAIN, pkts, from, n);
	return b->n_tun - before;
}

static struct world *connected(void)
{
	struct world *w = world_new();
	world_map(w, US, "");
	world_map(w, THEM, WORLD_PORT_80);
	world_send(w, US, 1000, 80, "first");
	world_run(w, 6000);
	assert_int_equal(w->side[THEM].n_tun, 1);
	return w;
}

/* In a batch whose others may pass, before and after the one that may not. */
static void test_each_is_judged(void **state)
{
	static const struct shape good = { .proto = IP_UDP, .dport = 80, .passes = true }, segment = {
		.proto = IP_TCP, .dport = 80, .flags = TCP_ACK, .passes = true
	};
	static const struct shape rows[] = {
		{ .proto = IP_UDP, .dport = 80, .passes = true },
		{ .proto = IP_UDP, .dport = 81 },
		{ .proto = IP_UDP, .dport = 80, .src = 0x64400003 }, /* another's */
		{ .proto = IP_UDP, .dport = 80, .dst = 0x64646464 }, /* the resolver's */
		{ .proto = IP_UDP, .dport = 80, .dst = 0x64400009 }, /* not ours */
		{ .proto = IP_UDP, .dport = 80, .too_short = 40 },
		{ .proto = IP_UDP, .dport = 80, .fragment = 0x0001 }, /* over the header of the first */
		{ .proto = IP_UDP, .dport = 80, .fragment = 0x2000, .passes = true },
		{ .proto = IP_TCP, .dport = 81, .flags = TCP_SYN },
		{ .proto = IP_TCP, .dport = 81, .flags = 0 },
		{ .proto = IP_TCP, .dport = 80, .flags = TCP_SYN, .passes = true },
		{ .proto = IP_SCTP, .dport = 80 },
	};
	struct world *w = connected();
	struct side *b = &w->side[THEM];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct shape batch[] = { good, good, rows[i], good, rows[i], rows[i], segment,
			segment };
		size_t expected = 5 + (rows[i].passes ? 3 : 0);
		b->n_tun = 0;
		assert_int_equal(hand_in(w, batch, BATCH), expected);
		for (size_t k = 0, at = 0; k < BATCH; k++) { /* those, in their order, as they were */
			uint8_t p[64];
			size_t n = make(p, w, &batch[k]);
			if (!batch[k].passes)
				continue;
			assert_int_equal(b->tun[at].len, n);
			assert_memory_equal(b->tun[at].b + b->tun[at].at, p, n);
			at++;
		}
	}
	world_free(w);
}

/* A segment of a connection passes whatever its port; what begins one does not for coming right behind it. */
static void test_beginnings(void **state)
{
	static const struct shape rows[] = { { .proto = IP_TCP, .dport = 81, .flags = TCP_ACK },
		{ .proto = IP_TCP, .dport = 81, .flags = TCP_ACK | TCP_PSH },
		{ .proto = IP_TCP, .dport = 81, .flags = TCP_SYN },
		{ .proto = IP_TCP, .dport = 81, .flags = TCP_ACK },
		{ .proto = IP_TCP, .dport = 81, .flags = 0 } };
	struct world *w = connected();
	uint64_t no_rule = w->side[THEM].d.filter_drops.no_rule;
	(void)state;
	assert_int_equal(hand_in(w, rows, sizeof(rows) / sizeof(rows[0])), 3);
	assert_int_equal(w->side[THEM].d.filter_drops.no_rule, no_rule + 2);
	world_free(w);
}

/* What goes to a network behind us by 4via6 must be translated, each packet: here it cannot be, and none passes. */
static void test_via(void **state)
{
	static struct pkt pkts[3];
	struct world *w = connected();
	struct side *b = &w->side[THEM];
	struct filter_rule all = { .src = &(struct filter_range) { .any = true },
		.n_src = 1,
		.dst = &(struct filter_dst) { .any = true, .last = 65535 },
		.n_dst = 1 };
	struct prefix site;
	struct endpoint from[3], src = { .port = 1000 }, dst = { .port = 53 };
	(void)state;
	world_map_with(w, US, "", "fd7a:115c:a1e0:b1a:0:7:a01:100/120");
	world_map_with(w, THEM, WORLD_PORT_80, "fd7a:115c:a1e0::7/128");
	assert_true(prefix_parse("fd7a:115c:a1e0:b1a:0:7:a01:100/120", &site));
	dataplane_rules_set(&b->d, filter_build(&all, 1, &(struct filter_local) { .v = &site, .n = 1 }));
	assert_true(addr_parse("fd7a:115c:a1e0::7", &src.ip) &&
		    addr_parse("fd7a:115c:a1e0:b1a:0:7:a01:110", &dst.ip));
	b->n_tun = 0;
	for (size_t i = 0; i < 3; i++) {
		pkt_reset(&pkts[i]);
		memset(pkt_data(&pkts[i]), 0, 64);
		pkts[i].len = (uint16_t)ip_write_udp(pkt_data(&pkts[i]), &src, &dst, 5);
		assert_int_equal(wg_seal(w->side[US].d.wg, w->now_ms, 2, &pkts[i]), WG_OK);
		from[i] = w->side[US].at;
	}
	dataplane_udp_received(&b->d, PATH_MAIN, pkts, from, 3);
	assert_int_equal(b->n_tun, 0);
	assert_int_equal(b->d.drops.via6_no_address, 3);
	world_free(w);
}

/* Out of the TUN: each to where it goes, and what goes nowhere is counted each time. */
static void test_out(void **state)
{
	static const struct shape rows[] = { { .proto = IP_UDP, .dport = 80, .passes = true },
		{ .proto = IP_UDP, .dport = 80, .passes = true },
		{ .proto = IP_UDP, .dport = 80, .src = 0x0a000007 }, /* foreign */
		{ .proto = IP_UDP, .dport = 80, .src = 0x0a000007 },
		{ .proto = IP_UDP, .dport = 80, .passes = true },
		{ .proto = IP_UDP, .dport = 80, .too_short = 9 },
		{ .proto = IP_UDP, .dport = 80, .dst = 0x64400009 }, /* of no peer */
		{ .proto = IP_UDP, .dport = 80, .passes = true } };
	static struct pkt pkts[BATCH];
	struct world *w = connected();
	struct side *a = &w->side[US];
	size_t before = w->side[THEM].n_tun;
	uint64_t foreign = a->d.drops.out_foreign_source, malformed = a->d.drops.out_malformed,
		 no_route = wg_drops(a->d.wg)->no_route;
	(void)state;
	for (size_t i = 0; i < BATCH; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = (uint16_t)make(pkt_data(&pkts[i]), w, &rows[i]);
	}
	dataplane_tun_received(&a->d, pkts, BATCH);
	world_run(w, 10);
	assert_int_equal(w->side[THEM].n_tun, before + 4);
	assert_int_equal(a->d.drops.out_foreign_source, foreign + 2);
	assert_int_equal(a->d.drops.out_malformed, malformed + 1);
	assert_int_equal(wg_drops(a->d.wg)->no_route, no_route + 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_is_judged),
		cmocka_unit_test(test_beginnings), cmocka_unit_test(test_via), cmocka_unit_test(test_out) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
