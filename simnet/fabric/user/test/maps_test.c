#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/err.h"
#include "simnet/fabric/user/board.h"
#include "simnet/fabric/user/test/packets.h"
#include <cmocka.h>
#include <string.h>

/* A router that maps ports for who asks: what is its host's, and who comes in by what is mapped. */

enum { MS = 1000000, SENT_MAX = 8, WAN_PORT = 0, LAN_PORT = 1, HOST_PORT = 2 };
static const struct mac inside_mac = { { 2, 0, 0, 0, 0, 1 } }, outside_mac = { { 2, 0, 0, 0, 0, 2 } },
			wan_mac = { { 2, 0, 0, 0, 0, 3 } }, lan_mac = { { 2, 0, 0, 0, 0, 4 } };
static const char alice[] = "192.168.1.10:5000", peer[] = "203.0.113.10:3478",
		  alice6[] = "[2001:db8::a]:5000", peer6[] = "[2001:db8:f::9]:7";

struct bench {
	struct board *b;
	struct router *r;
	struct {
		int port;
		struct frame f;
	} sent[SENT_MAX];
	size_t n;
	uint64_t now;
};

static void keep_sent(void *owner, int port, const uint8_t *frame, size_t len)
{
	struct bench *t = owner;
	assert_true(t->n < SENT_MAX && len <= ETH_FRAME_MAX);
	t->sent[t->n].port = port;
	t->sent[t->n].f.len = (uint16_t)len;
	memcpy(t->sent[t->n++].f.b, frame, len);
}

static void know(struct bench *t, enum router_side side, const char *who, const struct mac *mac)
{
	struct endpoint e = at(who);
	assert_true(router_add_neighbour(t->r, side, &e.ip, mac));
}

static void bench_init(struct bench *t, const struct nat_model *m)
{
	static const struct board_ops ops = { .send = keep_sent };
	struct endpoint wan = at("203.0.113.100"), lan = at("192.168.1.1"), wan6 = at("[2001:db8:f::1]:1"),
			lan6 = at("[2001:db8::1]:1");
	struct nat_config nat = { .model = m, .wan = wan.ip };
	struct router_way ways[4] = { { .side = ROUTER_WAN }, { .side = ROUTER_WAN }, { .side = ROUTER_LAN },
		{ .side = ROUTER_LAN } };
	assert_true(prefix_parse("0.0.0.0/0", &ways[0].dst) && prefix_parse("::/0", &ways[1].dst) &&
		    prefix_parse("192.168.1.0/24", &ways[2].dst) &&
		    prefix_parse("2001:db8::/64", &ways[3].dst));
	struct router_config c = {
		.name = "home", .ways = ways, .n_ways = 4, .nat = &nat, .v6_firewall = true
	};
	c.feet[ROUTER_WAN] = (struct router_foot) {
		.mac = wan_mac, .v4 = wan.ip, .v6 = wan6.ip, .net4 = ways[0].dst, .net6 = ways[1].dst
	};
	c.feet[ROUTER_LAN] = (struct router_foot) {
		.mac = lan_mac, .v4 = lan.ip, .v6 = lan6.ip, .net4 = ways[2].dst, .net6 = ways[3].dst
	};
	memset(t, 0, sizeof(*t));
	t->b = board_new(7, &ops, t);
	assert_int_equal(board_add_router(t->b, &c, NULL), WAN_PORT);
	assert_int_equal(board_add_host(t->b, LAN_PORT), HOST_PORT);
	t->r = board_router(t->b, WAN_PORT);
	know(t, ROUTER_WAN, peer, &outside_mac);
	know(t, ROUTER_WAN, peer6, &outside_mac);
	know(t, ROUTER_LAN, alice, &inside_mac);
	know(t, ROUTER_LAN, alice6, &inside_mac);
}

/* The port at which it comes out, and there alone; -1 = nowhere. */
static int enter(struct bench *t, int port, const struct packet *p)
{
	struct frame f = { .len = (uint16_t)(ETH_HEADER + p->len) };
	bool wan = port == WAN_PORT;
	eth_set_ethernet(&f, wan ? &outside_mac : &inside_mac, wan ? &wan_mac : &lan_mac,
		p->v.version == 4 ? ETH_TYPE_V4 : ETH_TYPE_V6);
	memcpy(f.b + ETH_HEADER, p->b, p->len);
	t->n = 0;
	board_received(t->b, port, f.b, f.len, t->now += MS);
	assert_true(t->n <= 1);
	return t->n ? t->sent[0].port : -1;
}

static struct packet came_out(const struct bench *t)
{
	struct packet p = { .len = t->sent[0].f.len - (size_t)ETH_HEADER };
	assert_int_equal(t->n, 1);
	memcpy(p.b, t->sent[0].f.b + ETH_HEADER, p.len);
	look(&p);
	assert_true(is_sound(&p));
	return p;
}

static void expect_out(const struct bench *t, const char *from, const char *to)
{
	struct packet p = came_out(t);
	expect_ends(&p, from, to);
}

static void test_shares(void **state)
{
	static const struct {
		const char *to;
		bool tcp;
		int port; /* where it comes out */
	} rows[] = {
		{ "192.168.1.1:5351", false, HOST_PORT },
		{ "192.168.1.1:1900", false, HOST_PORT },
		{ "239.255.255.250:1900", false, HOST_PORT },
		{ "192.168.1.1:5000", true, HOST_PORT },
		{ "[2001:db8::1]:5351", false, HOST_PORT },
		/* And what is the router's. */
		{ "192.168.1.1:5352", false, LAN_PORT },
		{ "192.168.1.1:5351", true, LAN_PORT },
		{ "192.168.1.1:5000", false, LAN_PORT },
		{ "203.0.113.10:5351", false, WAN_PORT },
		{ "203.0.113.100:5351", false, -1 },
		{ "239.255.255.251:1900", false, -1 },
	};
	struct nat_model m = nat_model_default;
	struct bench t;
	(void)state;
	bench_init(&t, &m);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *from = rows[i].to[0] == '[' ? alice6 : alice;
		struct packet p = rows[i].tcp ? tcp(from, rows[i].to, TCP_SYN) : udp(from, rows[i].to, 20, 1);
		if (enter(&t, LAN_PORT, &p) != rows[i].port)
			fail_msg("row %zu: not at port %d", i, rows[i].port);
	}
	struct packet answer = udp("192.168.1.1:5351", alice, 20, 1),
		      ask = udp(alice, "192.168.1.1:5351", 20, 1);
	assert_int_equal(enter(&t, HOST_PORT, &answer), LAN_PORT);
	expect_out(&t, "192.168.1.1:5351", alice);
	router_block_udp(t.r, "UDP is cut");
	assert_int_equal(enter(&t, LAN_PORT, &ask), -1);
	board_free(t.b);
}

/* The host of the router looks for its neighbours itself, and both hear the answer; questions are the router's. */
static void test_neighbours(void **state)
{
	struct nat_model m = nat_model_default;
	struct endpoint who = at("192.168.1.11:1"), own = at("192.168.1.1:1");
	struct frame request, answer;
	struct eth_view v;
	struct eth_neighbour n;
	struct bench t;
	(void)state;
	bench_init(&t, &m);
	eth_write_request(&request, &who.ip, &own.ip, &lan_mac);
	board_received(t.b, HOST_PORT, request.b, request.len, 1);
	assert_true(t.n == 1 && t.sent[0].port == LAN_PORT);
	assert_true(
		eth_read(request.b, request.len, &v) && eth_read_neighbour(request.b, request.len, &v, &n));
	eth_write_answer(&answer, &n, &inside_mac);
	t.n = 0;
	board_received(t.b, LAN_PORT, answer.b, answer.len, 2);
	assert_true(t.n == 1 && t.sent[0].port == HOST_PORT);
	eth_write_request(&request, &own.ip, &who.ip, &inside_mac);
	t.n = 0;
	board_received(t.b, LAN_PORT, request.b, request.len, 3);
	assert_true(t.n == 1 && t.sent[0].port == LAN_PORT);
	board_free(t.b);
}

/* A mapped port leads in whatever the filtering; the answer leaves by it, also where its host has another mapping. */
static void test_maps(void **state)
{
	(void)state;
	for (int c = 0; c < NAT_MAPPINGS; c++) {
		struct nat_model m = nat_model_default;
		struct bench t;
		struct router_maps maps = { .n = 1,
			.v = { { .proto = IP_UDP, .outer = 4242, .inner = at(alice) } } };
		struct packet in = udp(peer, "203.0.113.100:4242", 20, 1), out = udp(alice, peer, 20, 1),
			      first = udp(alice, "203.0.113.11:9", 20, 1),
			      other = tcp(peer, "203.0.113.100:4242", TCP_SYN);
		m.udp = m.tcp = (struct nat_class) { (enum nat_mapping)c, NAT_APDF };
		bench_init(&t, &m);
		know(&t, ROUTER_WAN, "203.0.113.11:9", &outside_mac);
		assert_int_equal(enter(&t, WAN_PORT, &in), -1);
		assert_int_equal(enter(&t, LAN_PORT, &first), WAN_PORT);
		router_set_maps(t.r, &maps);
		assert_int_equal(enter(&t, WAN_PORT, &in), LAN_PORT);
		expect_out(&t, peer, alice);
		assert_int_equal(enter(&t, LAN_PORT, &out), WAN_PORT);
		expect_out(&t, "203.0.113.100:4242", peer);
		assert_int_equal(enter(&t, WAN_PORT, &other), -1);
		router_set_maps(t.r, &(struct router_maps) { 0 });
		nat_forget(router_nat(t.r), false, t.now);
		assert_int_equal(enter(&t, WAN_PORT, &in), -1);
		board_free(t.b);
	}
}

/* What is mapped to IPv6 is let in by the firewall: that host's port and no other. */
static void test_pinhole(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	struct router_maps maps = { .n = 1,
		.v = { { .proto = IP_UDP, .outer = 5000, .inner = at(alice6) } } };
	struct packet in = udp(peer6, alice6, 20, 1), out = udp(alice6, peer6, 20, 1),
		      other = udp(peer6, "[2001:db8::a]:5001", 20, 1);
	(void)state;
	bench_init(&t, &m);
	assert_int_equal(enter(&t, WAN_PORT, &in), -1);
	router_set_maps(t.r, &maps);
	assert_int_equal(enter(&t, WAN_PORT, &in), LAN_PORT);
	assert_int_equal(enter(&t, LAN_PORT, &out), WAN_PORT);
	assert_int_equal(enter(&t, WAN_PORT, &other), -1);
	board_free(t.b);
}

/* Who was sent to may answer, until the router forgets. */
static void test_forgets_six(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	struct packet in = udp(peer6, alice6, 20, 1), out = udp(alice6, peer6, 20, 1);
	(void)state;
	bench_init(&t, &m);
	assert_int_equal(enter(&t, LAN_PORT, &out), WAN_PORT);
	assert_int_equal(enter(&t, WAN_PORT, &in), LAN_PORT);
	router_forget(t.r, false, t.now);
	assert_int_equal(enter(&t, WAN_PORT, &in), -1);
	board_free(t.b);
}

/* One for a single peer: his address, and his port where it is said. */
static void test_pinhole_of_one(void **state)
{
	struct nat_model m = nat_model_default;
	struct bench t;
	struct router_maps maps = { .n = 1,
		.v = { { .proto = IP_UDP,
			.outer = 5000,
			.inner = at(alice6),
			.peer = { .ip = at(peer6).ip } } } };
	struct packet his = udp(peer6, alice6, 20, 1), other = udp("[2001:db8:f::8]:7", alice6, 20, 1),
		      port = udp("[2001:db8:f::9]:8", alice6, 20, 1);
	(void)state;
	bench_init(&t, &m);
	router_set_maps(t.r, &maps);
	assert_int_equal(enter(&t, WAN_PORT, &his), LAN_PORT);
	assert_int_equal(enter(&t, WAN_PORT, &port), LAN_PORT);
	assert_int_equal(enter(&t, WAN_PORT, &other), -1);
	maps.v[0].peer.port = 7;
	router_set_maps(t.r, &maps);
	assert_int_equal(enter(&t, WAN_PORT, &his), LAN_PORT);
	assert_int_equal(enter(&t, WAN_PORT, &port), -1);
	board_free(t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_forgets_six),
		cmocka_unit_test(test_pinhole),
		cmocka_unit_test(test_pinhole_of_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
