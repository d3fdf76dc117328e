#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "simnet/fabric/user/test/packets.h"
#include "mesh/base/err.h"
#include "simnet/fabric/user/link.h"
#include <cmocka.h>
#include <math.h> /* fabs */
#include <stdlib.h>
#include <string.h>

/* The models of a link against their parameters, with fixed seeds: what is asserted are bounds of four standard deviations
 * and more, and no clock runs. */

enum { MS = 1000000, PACKETS = 40000 };
static const char a[] = "192.168.1.10:5000", b[] = "203.0.113.10:3478";

struct tally {
	unsigned sent, lost, twins, damaged, late;
	double sum_ms, square_ms, least_ms, most_ms;
};

static struct tally play(
	const struct link_way *w, uint64_t seed, unsigned n, size_t payload, uint64_t every_ns)
{
	struct link l;
	struct tally t = { .least_ms = 1e9 };
	struct packet p = udp(a, b, payload, 9);
	uint64_t last = 0;
	link_init(&l, w, seed, "alice", "up");
	for (unsigned i = 0; i < n; i++) {
		uint64_t now = 1000ULL * MS + i * every_ns;
		struct link_fate f = link_enter(&l, p.b, &p.v, now);
		t.sent++;
		if (f.end != LINK_PASSES) {
			t.lost++;
			continue;
		}
		double ms = (double)(f.due_ns - now) / MS;
		t.sum_ms += ms;
		t.square_ms += ms * ms;
		t.least_ms = ms < t.least_ms ? ms : t.least_ms;
		t.most_ms = ms > t.most_ms ? ms : t.most_ms;
		t.twins += f.twin_due_ns != 0;
		t.damaged += f.turned_bit >= 0;
		t.late += f.due_ns < last;
		last = f.due_ns;
	}
	link_fini(&l);
	return t;
}

/* A share of n events with chance p. */
static void expect_share(unsigned got, unsigned n, double p)
{
	double share = (double)got / n, variance = p * (1 - p) / n;
	if ((share - p) * (share - p) > 16 * variance)
		fail_msg("%u of %u are %.4f, not %.4f", got, n, share, p);
}

static void test_loss(void **state)
{
	static const uint32_t ppm[] = { 1000, 10000, 200000, 500000 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ppm); i++) {
		struct tally t = play(&(struct link_way) { .loss = ppm[i] }, i + 1, PACKETS, 100, MS);
		expect_share(t.lost, t.sent, ppm[i] / 1e6);
	}
	assert_int_equal(play(&(struct link_way) { .loss = LINK_PPM }, 1, 100, 100, MS).lost, 100);
	assert_int_equal(play(&(struct link_way) { .dead = true }, 1, 100, 100, MS).lost, 100);
	assert_int_equal(play(&(struct link_way) { .mtu = 1400 }, 1, 100, 100, MS).lost, 0);
}

/* Gilbert and Elliott: the share of the bad state is enter / (enter + leave), a burst is 1 / leave packets long. */
static void test_bursts(void **state)
{
	(void)state;
	struct link_way w = { .bursts = { .enter = 10000, .leave = 125000 } };
	struct link l;
	struct packet p = udp(a, b, 100, 9);
	unsigned lost = 0, bursts = 0;
	bool was = false;
	link_init(&l, &w, 3, "alice", "up");
	for (unsigned i = 0; i < 4 * PACKETS; i++) {
		bool is = link_enter(&l, p.b, &p.v, (i + 1ULL) * MS).end == LINK_DROPS;
		lost += is;
		bursts += is && !was;
		was = is;
	}
	link_fini(&l);
	double share = (double)lost / (4 * PACKETS), length = (double)lost / bursts;
	assert_true(fabs(share - 10.0 / 135) < 0.008);
	assert_true(fabs(length - 8) < 0.8);
	w.bursts.bad = 500000;
	struct tally t = play(&w, 3, 4 * PACKETS, 100, MS); /* in the bad state every second one */
	assert_true(fabs((double)t.lost / t.sent - 10.0 / 135 / 2) < 0.004);
}

static void test_nth(void **state)
{
	(void)state;
	struct link_way w = { .nth = { 1, 3 } };
	struct link l;
	link_init(&l, &w, 1, "alice", "up");
	struct packet p = udp(a, b, 100, 9), other = udp("192.168.1.10:5001", b, 100, 9);
	static const bool lost[] = { true, false, true, false, false };
	for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
		(void)link_enter(&l, other.b, &other.v, MS); /* another flow counts for itself */
		(void)link_enter(&l, other.b, &other.v, MS);
		assert_int_equal(link_enter(&l, p.b, &p.v, MS).end == LINK_DROPS, lost[i]);
	}
	link_fini(&l);
}

/* Behind as many routers as it may pass it is dead; one more, and it is there. */
static void test_hops(void **state)
{
	(void)state;
	struct packet p = udp(a, b, 100, 9);
	uint8_t life = p.b[8];
	const struct {
		uint8_t hops;
		bool passes;
	} rows[] = { { 0, true }, { (uint8_t)(life - 1), true }, { life, false },
		{ LINK_HOPS_MAX, life > LINK_HOPS_MAX } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct link l;
		link_init(&l, &(struct link_way) { .hops = rows[i].hops }, 1, "alice", "up");
		if ((link_enter(&l, p.b, &p.v, MS).end == LINK_PASSES) != rows[i].passes)
			fail_msg("row %zu", i);
		link_fini(&l);
	}
}

static void test_classes(void **state)
{
	(void)state;
	static const uint8_t disco[8] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };
	struct packet p[LINK_CLASSES] = {
		[LINK_DISCO] = udp(a, b, 100, 0),
		[LINK_STUN] = udp(a, b, 100, 0x00010010),
		[LINK_WIREGUARD] = udp(a, b, 148, 0x01000000),
		[LINK_TLS] = tcp("192.168.1.10:5000", "203.0.113.10:443", TCP_SYN),
		[LINK_DNS] = udp(a, "203.0.113.10:53", 40, 0x77770100),
		[LINK_QUIC] = udp(a, "203.0.113.10:443", 1200, 0xc3000000),
		[LINK_ICMP] = echo("192.168.1.10", "203.0.113.10", 7, true),
		[LINK_OTHER] = udp(a, b, 100, 0x77777777),
	};
	static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };
	memcpy(p[LINK_DISCO].b + 28, disco, sizeof(disco));
	memcpy(p[LINK_STUN].b + 32, cookie, sizeof(cookie));
	for (int i = 0; i < LINK_CLASSES; i++) {
		if (link_class_of(p[i].b, &p[i].v) != (enum link_class)i)
			fail_msg("class %s", link_class_name((enum link_class)i));
		struct link_way w = { 0 };
		w.class_loss[i] = LINK_PPM;
		struct link l;
		link_init(&l, &w, 1, "alice", "up");
		for (int k = 0; k < LINK_CLASSES; k++)
			assert_int_equal(link_enter(&l, p[k].b, &p[k].v, MS).end == LINK_DROPS, k == i);
		link_fini(&l);
	}
}

static void test_size(void **state)
{
	(void)state;
	struct link_way w = { .big = 500, .big_loss = LINK_PPM };
	assert_int_equal(play(&w, 1, 10, 472, MS).lost, 0); /* 500 bytes with its headers */
	assert_int_equal(play(&w, 1, 10, 473, MS).lost, 10);
}

static void test_delay(void **state)
{
	(void)state;
	struct tally t = play(&(struct link_way) { .delay_us = 20000 }, 1, 1000, 100, MS);
	assert_true(t.least_ms == 20 && t.most_ms == 20);
	/* Uniform over 15 .. 25 ms, packets so far apart that none waits for another: the mean of 20, a
	 * variance of 100 / 12. */
	t = play(&(struct link_way) { .delay_us = 20000, .jitter_us = 5000 }, 1, PACKETS, 100, 50ULL * MS);
	double mean = t.sum_ms / t.sent, variance = t.square_ms / t.sent - mean * mean;
	assert_true(fabs(mean - 20) < 4 * 2.887 / 200);
	assert_true(fabs(variance - 100.0 / 12) < 0.2);
	assert_true(t.least_ms >= 15 && t.least_ms < 15.01 && t.most_ms <= 25 && t.most_ms > 24.99);
	/* Close together they keep their order all the same. */
	t = play(&(struct link_way) { .delay_us = 20000, .jitter_us = 5000 }, 1, PACKETS, 100, MS / 10);
	assert_int_equal(t.late, 0);
	assert_true(t.most_ms <= 25.1);
}

static void test_far(void **state)
{
	(void)state;
	struct link_far far[1] = { { .delay_us = 40000 } };
	struct link l;
	struct packet near = udp(a, "198.51.100.1:1", 20, 0), away = udp(a, b, 20, 0);
	assert_true(prefix_parse("203.0.113.0/24", &far[0].net));
	link_init(&l, &(struct link_way) { .delay_us = 1000 }, 1, "alice", "up");
	l.far = far;
	l.n_far = 1;
	assert_int_equal(link_enter(&l, near.b, &near.v, MS).due_ns, 2 * MS);
	assert_int_equal(link_enter(&l, away.b, &away.v, MS).due_ns, 42 * MS);
	link_fini(&l);
}

/* 1 Mbit/s: a packet of 1250 bytes takes 10 ms, ten of them fit into 100 ms of queue, and what comes faster is lost. */
static void test_rate(void **state)
{
	(void)state;
	struct link_way w = { .rate_bps = 1000000, .queue_bytes = 12500 };
	struct link l;
	struct packet p = udp(a, b, 1222, 0);
	link_init(&l, &w, 1, "alice", "up");
	for (unsigned i = 0; i < 12; i++) {
		struct link_fate f = link_enter(&l, p.b, &p.v, MS);
		assert_int_equal(f.end, i < 10 ? LINK_PASSES : LINK_DROPS);
		if (i < 10)
			assert_int_equal(f.due_ns, MS + (i + 1) * 10ULL * MS);
	}
	link_fini(&l);
	/* For ten seconds, twice as much as fits: what passes is the rate. */
	struct tally t = play(&w, 1, 2000, 1222, 5ULL * MS);
	assert_in_range(t.sent - t.lost, 1000, 1011);
	assert_true(t.most_ms <= 100.1);
}

static void test_tricks(void **state)
{
	(void)state;
	struct tally t =
		play(&(struct link_way) { .duplicate = 50000, .corrupt = 30000 }, 5, PACKETS, 100, MS);
	expect_share(t.twins, t.sent, 0.05);
	expect_share(t.damaged, t.sent, 0.03);
	t = play(&(struct link_way) { .reorder = 100000, .reorder_us = 3500 }, 5, PACKETS, 100, MS);
	/* One that is held back is overtaken, unless so is the next. */
	expect_share(t.late, t.sent, 0.1 * 0.9);
}

/* Whatever else is on the link, a flow's packets meet the same; another seed, link or way is another fate. */
static void test_keys(void **state)
{
	(void)state;
	static const char *const links[][2] = { { "alice", "up" }, { "alice", "up" }, { "alice", "down" },
		{ "bob", "up" }, { "alice", "up" } };
	bool fate[5][500];
	struct link_way w = { .loss = 300000 };
	struct packet p = udp(a, b, 100, 9), noise = udp("192.168.1.10:77", b, 100, 9);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct link l;
		link_init(&l, &w, i == 4 ? 2 : 1, links[i][0], links[i][1]);
		for (unsigned k = 0; k < 500; k++) {
			for (unsigned n = 0; i == 1 && n < k % 3; n++)
				(void)link_enter(&l, noise.b, &noise.v, MS);
			fate[i][k] = link_enter(&l, p.b, &p.v, MS).end == LINK_DROPS;
		}
		link_fini(&l);
	}
	assert_memory_equal(fate[0], fate[1], sizeof(fate[0]));
	for (int i = 2; i < 5; i++)
		assert_memory_not_equal(fate[0], fate[i], sizeof(fate[0]));
}

/* Flows beyond the bound are counted anew; nothing grows. */
static void test_many_flows(void **state)
{
	(void)state;
	struct link l;
	struct packet p = udp(a, b, 20, 0);
	link_init(&l, &(struct link_way) { .delay_us = 1 }, 1, "alice", "up");
	for (unsigned i = 0; i < 3 * LINK_FLOWS_MAX; i++) {
		p.v.sport = (uint16_t)i;
		p.v.dport = (uint16_t)(i >> 16);
		assert_int_equal(link_enter(&l, p.b, &p.v, MS).end, LINK_PASSES);
		assert_true(l.flows.n <= LINK_FLOWS_MAX);
	}
	link_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_nth),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_tricks),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_many_flows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
