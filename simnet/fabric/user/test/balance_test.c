#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include "simnet/fabric/user/board.h"
#include "simnet/fabric/user/test/packets.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* A router with three ways out at once, each with a NAT of its own: which of them a flow has. */

enum { MS = 1000000, WAYS = 3, FLOWS = 300, LAN_PORT = 1 };
static const struct mac inside_mac = { { 2, 0, 0, 0, 0, 1 } }, outside_mac = { { 2, 0, 0, 0, 0, 2 } },
			lan_mac = { { 2, 0, 0, 0, 0, 4 } };
static const char *const wans[WAYS] = { "203.0.113.100", "203.0.113.101", "10.40.0.100" };
static const char alice[] = "192.168.1.10:5000";

struct bench {
	struct board *b;
	int ports[WAYS];
	int port; /* where the last frame came out; -1 = nowhere, and n of them */
	unsigned n;
	struct frame f;
	uint64_t now;
};

static void keep_sent(void *owner, int port, const uint8_t *frame, size_t len)
{
	struct bench *t = owner;
	t->port = port;
	t->n++;
	t->f.len = (uint16_t)len;
	memcpy(t->f.b, frame, len);
}

static void know(struct bench *t, int port, enum router_side side, const char *who, const struct mac *mac)
{
	struct endpoint e = at(who);
	assert_true(router_add_neighbour(board_router(t->b, port), side, &e.ip, mac));
}

static void add_way(struct bench *t, int k, const struct nat_model *m)
{
	struct endpoint wan = at(wans[k]), lan = at("192.168.1.1");
	struct nat_config nat = { .model = m, .wan = wan.ip };
	struct router_way ways[2] = { { .side = ROUTER_WAN }, { .side = ROUTER_LAN } };
	struct router_config c = { .name = "office", .ways = ways, .n_ways = 2, .nat = &nat };
	assert_true(prefix_parse("0.0.0.0/0", &ways[0].dst) && prefix_parse("192.168.1.0/24", &ways[1].dst));
	c.feet[ROUTER_WAN] = (struct router_foot) {
		.mac = { { 2, 0, 0, 1, 0, (uint8_t)k } }, .v4 = wan.ip, .net4 = ways[0].dst
	};
	c.feet[ROUTER_LAN] = (struct router_foot) { .mac = lan_mac, .v4 = lan.ip, .net4 = ways[1].dst };
	t->ports[k] = board_add_router(t->b, &c, NULL);
	assert_int_equal(t->ports[k], 2 * k);
	if (k)
		board_join(t->b, t->ports[k], t->ports[0]);
	for (int i = 1; i < 5; i++) {
		char who[32];
		snprintf(who, sizeof(who), "198.51.100.%d:1", i);
		know(t, t->ports[k], ROUTER_WAN, who, &outside_mac);
	}
	know(t, t->ports[k], ROUTER_LAN, alice, &inside_mac);
}

static void bench_init(struct bench *t, const struct nat_model *m)
{
	static const struct board_ops ops = { .send = keep_sent };
	memset(t, 0, sizeof(*t));
	t->b = board_new(7, &ops, t);
	for (int k = 0; k < WAYS; k++)
		add_way(t, k, m);
}

/* The port at which it comes out, and there alone; -1 = nowhere. */
static int enter(struct bench *t, int port, const struct packet *p)
{
	struct frame f = { .len = (uint16_t)(ETH_HEADER + p->len) };
	const struct mac wan_mac = { { 2, 0, 0, 1, 0, (uint8_t)(port / 2) } };
	bool lan = port == LAN_PORT;
	eth_set_ethernet(&f, lan ? &inside_mac : &outside_mac, lan ? &lan_mac : &wan_mac, ETH_TYPE_V4);
	memcpy(f.b + ETH_HEADER, p->b, p->len);
	t->n = 0;
	t->port = -1;
	board_received(t->b, port, f.b, f.len, t->now += MS);
	assert_true(t->n <= 1);
	return t->port;
}

static struct packet came_out(const struct bench *t)
{
	struct packet p = { .len = t->f.len - (size_t)ETH_HEADER };
	memcpy(p.b, t->f.b + ETH_HEADER, p.len);
	look(&p);
	assert_true(is_sound(&p));
	return p;
}

static struct packet flow(int i)
{
	char from[32], to[32];
	snprintf(from, sizeof(from), "192.168.1.10:%d", 5000 + i / 4);
	snprintf(to, sizeof(to), "198.51.100.%d:%d", 1 + i % 4, 3000 + i);
	return udp(from, to, 20, 1);
}

/* Every way has its share of the flows, each packet of one the same, with that way's address; what comes back is let in there
 * alone. Three of 300: 100 each, and 75 to 125 is three times the deviation (8.2). */
static void test_share(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	unsigned count[WAYS] = { 0 };
	(void)state;
	bench_init(&t, &m);
	for (int i = 0; i < FLOWS; i++) {
		struct packet p = flow(i);
		char wan[ENDPOINT_TEXT], peer[ENDPOINT_TEXT];
		int port = enter(&t, LAN_PORT, &p);
		assert_true(port >= 0 && port % 2 == 0);
		count[port / 2]++;
		struct packet out = came_out(&t);
		struct endpoint own = { .ip = out.v.src, .port = out.v.sport },
				other = { .ip = out.v.dst, .port = out.v.dport },
				expected = at(wans[port / 2]);
		assert_true(addr_equal(&own.ip, &expected.ip));
		assert_int_equal(enter(&t, LAN_PORT, &p), port);
		struct packet back = udp(endpoint_format(&other, peer), endpoint_format(&own, wan), 20, 1);
		assert_int_equal(enter(&t, port, &back), LAN_PORT);
	}
	for (int k = 0; k < WAYS; k++)
		assert_in_range(count[k], 75, 125);
	board_free(t.b);
}

/* Who came in by one is answered by it, as is an error about what came in, whatever the hash says. */
static void test_answers(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	(void)state;
	m.forwards[m.n_forwards++] = (struct nat_forward) {
		.proto = 17, .port = 4242, .to = "alice", .ip = at(alice).ip, .to_port = 5000
	};
	bench_init(&t, &m);
	for (int k = 0; k < WAYS; k++)
		for (int i = 0; i < 20; i++) {
			char peer[32], wan[32];
			snprintf(peer, sizeof(peer), "198.51.100.1:%d", 1000 + 100 * k + i);
			snprintf(wan, sizeof(wan), "%s:4242", wans[k]);
			struct packet in = udp(peer, wan, 20, 1), out = udp(alice, peer, 20, 1);
			assert_int_equal(enter(&t, t.ports[k], &in), LAN_PORT);
			struct packet arrived = came_out(&t), error = error_about(&arrived, alice, 3, 3);
			assert_int_equal(enter(&t, LAN_PORT, &out), t.ports[k]);
			struct packet answer = came_out(&t);
			expect_ends(&answer, wan, peer);
			assert_int_equal(enter(&t, LAN_PORT, &error), t.ports[k]);
		}
	board_free(t.b);
}

/* One that is pulled has no flows, and forgets those it had; the others keep theirs. */
static void test_pulled(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	int had[FLOWS];
	unsigned moved[WAYS] = { 0 };
	(void)state;
	bench_init(&t, &m);
	for (int i = 0; i < FLOWS; i++) {
		struct packet p = flow(i);
		had[i] = enter(&t, LAN_PORT, &p);
	}
	board_set_idle(t.b, t.ports[1], true, t.now);
	assert_int_equal(nat_sessions(router_nat(board_router(t.b, t.ports[1]))), 0);
	for (int i = 0; i < FLOWS; i++) {
		struct packet p = flow(i);
		int port = enter(&t, LAN_PORT, &p);
		assert_true(port >= 0 && port != t.ports[1]);
		if (had[i] == t.ports[1])
			moved[port / 2]++;
		else
			assert_int_equal(port, had[i]);
	}
	assert_true(moved[0] > 20 && moved[2] > 20);
	board_set_idle(t.b, t.ports[1], false, t.now);
	for (int i = 0; i < FLOWS; i++) {
		struct packet p = flow(i);
		assert_true(enter(&t, LAN_PORT, &p) != t.ports[1]); /* where they are, they stay */
	}
	board_free(t.b);
}

/* The outer address of any of them is the router's own, reached from inside by that one. */
static void test_hairpin(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	(void)state;
	m.hairpin = NAT_HAIRPIN_EXTERNAL;
	bench_init(&t, &m);
	know(&t, LAN_PORT, ROUTER_LAN, "192.168.1.11:1", &inside_mac);
	for (int i = 0; i < 20; i++) {
		struct packet p = flow(i);
		char to[ENDPOINT_TEXT];
		int port = enter(&t, LAN_PORT, &p);
		struct packet out = came_out(&t);
		struct endpoint own = { .ip = out.v.src, .port = out.v.sport };
		struct packet back = udp("192.168.1.11:7", endpoint_format(&own, to), 20, 1);
		know(&t, t.ports[port / 2], ROUTER_LAN, alice, &inside_mac);
		assert_int_equal(enter(&t, LAN_PORT, &back), LAN_PORT);
	}
	board_free(t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_pulled),
		cmocka_unit_test(test_hairpin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
