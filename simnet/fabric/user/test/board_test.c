#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include "simnet/fabric/user/test/packets.h"
#include "simnet/fabric/user/board.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Wires and a router, frame by frame. */

enum { MS = 1000000, SENT_MAX = 64 };
static const struct mac inside_mac = { { 2, 0, 0, 0, 0, 1 } }, outside_mac = { { 2, 0, 0, 0, 0, 2 } },
			wan_mac = { { 2, 0, 0, 0, 0, 3 } }, lan_mac = { { 2, 0, 0, 0, 0, 4 } };
static const char inside[] = "192.168.1.10:5000", outside[] = "203.0.113.10:3478";

struct bench {
	struct board *b;
	int port; /* the first */
	const struct scn_firewall *firewall;
	struct {
		int port;
		struct frame f;
	} sent[SENT_MAX];
	size_t n;
};

static void keep_sent(void *owner, int port, const uint8_t *frame, size_t len)
{
	struct bench *t = owner;
	assert_true(t->n < SENT_MAX && len <= ETH_FRAME_MAX);
	t->sent[t->n].port = port;
	t->sent[t->n].f.len = (uint16_t)len;
	memcpy(t->sent[t->n++].f.b, frame, len);
}

static void bench_init(struct bench *t)
{
	static const struct board_ops ops = { .send = keep_sent };
	memset(t, 0, sizeof(*t));
	t->b = board_new(7, &ops, t);
	assert_non_null(t->b);
}

static void add_wire(struct bench *t, const struct link_model *m)
{
	struct endpoint teller = at("192.168.1.1");
	t->port = board_add_wire(
		t->b, &(struct board_wire) { .name = "alice", .model = m, .teller = teller.ip });
	assert_true(t->port >= 0);
}

static void add_router(struct bench *t, const struct nat_model *m, const struct link_model *link)
{
	struct endpoint wan = at("203.0.113.100"), lan = at("192.168.1.1"), peer = at(outside);
	struct nat_config nat = { .model = m, .wan = wan.ip };
	struct router_way ways[2] = { { .side = ROUTER_WAN }, { .side = ROUTER_LAN } };
	struct router_config c = {
		.name = "home", .ways = ways, .n_ways = 2, .nat = m ? &nat : NULL, .firewall = t->firewall
	};
	assert_true(prefix_parse("0.0.0.0/0", &ways[0].dst) && prefix_parse("192.168.1.0/24", &ways[1].dst));
	c.feet[ROUTER_WAN] = (struct router_foot) { .mac = wan_mac, .v4 = wan.ip };
	c.feet[ROUTER_LAN] = (struct router_foot) { .mac = lan_mac, .v4 = lan.ip };
	c.feet[ROUTER_WAN].net4 = ways[0].dst;
	c.feet[ROUTER_LAN].net4 = ways[1].dst;
	t->port = board_add_router(
		t->b, &c, link ? &(struct board_wire) { .name = "home", .model = link } : NULL);
	assert_true(t->port >= 0);
	assert_true(router_add_neighbour(board_router(t->b, t->port), ROUTER_WAN, &peer.ip, &outside_mac));
}

static struct frame frame_of(const struct packet *p, const struct mac *from, const struct mac *to)
{
	struct frame f = { .len = (uint16_t)(ETH_HEADER + p->len) };
	eth_set_ethernet(&f, from, to, ETH_TYPE_V4);
	memcpy(f.b + ETH_HEADER, p->b, p->len);
	return f;
}

static void enter(struct bench *t, int port, const struct packet *p, uint64_t now)
{
	struct frame f = frame_of(
		p, port == t->port ? &outside_mac : &inside_mac, port == t->port ? &wan_mac : &lan_mac);
	board_received(t->b, port, f.b, f.len, now);
}

static struct packet packet_of(const struct bench *t, size_t i)
{
	struct packet p = { .len = t->sent[i].f.len - (size_t)ETH_HEADER };
	assert_true(i < t->n);
	memcpy(p.b, t->sent[i].f.b + ETH_HEADER, p.len);
	look(&p);
	return p;
}

static void expect_drop(struct bench *t, const char *where, const char *why, uint32_t count)
{
	struct board_drop d[4];
	assert_int_equal(board_drops(t->b, d, ARRAY_LEN(d)), 1);
	assert_string_equal(d[0].where, where);
	assert_string_equal(d[0].why, why);
	assert_int_equal(d[0].count, count);
}

/* Equal ones are one, with the stamps of the first and the last. */
static void test_drop_stamps(void **state)
{
	(void)state;
	struct bench t;
	struct board_drop d[2];
	struct link_model m = { .up = { .dead = true } };
	struct packet p = udp(inside, outside, 100, 1);
	bench_init(&t);
	add_wire(&t, &m);
	struct frame f = frame_of(&p, &inside_mac, &lan_mac);
	for (uint64_t i = 1; i <= 3; i++)
		board_received(t.b, t.port, f.b, f.len, i * MS);
	assert_int_equal(board_drops(t.b, d, ARRAY_LEN(d)), 1);
	assert_int_equal(d[0].count, 3);
	assert_int_equal(d[0].at_ns, MS);
	assert_int_equal(d[0].last_ns, 3 * MS);
	board_free(t.b);
}

/* ---- wires ---- */

static void test_wire(void **state)
{
	(void)state;
	struct bench t;
	struct link_model m = { .up = { .delay_us = 20000 } };
	struct packet p = udp(inside, outside, 100, 1);
	bench_init(&t);
	add_wire(&t, &m);
	struct frame f = frame_of(&p, &inside_mac, &lan_mac);
	board_received(t.b, t.port, f.b, f.len, MS);
	assert_int_equal(t.n, 0);
	assert_int_equal(board_deadline_ns(t.b), 21ULL * MS);
	board_tick(t.b, 21ULL * MS - 1);
	assert_int_equal(t.n, 0);
	board_tick(t.b, 21ULL * MS);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.sent[0].port, t.port + 1);
	assert_memory_equal(t.sent[0].f.b, f.b, f.len);
	board_received(t.b, t.port + 1, f.b, f.len, 30ULL * MS); /* the way down is plain */
	assert_int_equal(t.n, 2);
	assert_int_equal(t.sent[1].port, t.port);
	assert_int_equal(board_deadline_ns(t.b), UINT64_MAX);
	m.up.delay_us = 0;
	m.up.dead = true;
	assert_true(board_set_link(t.b, t.port, &m));
	struct link_model lossy = { .up = { .loss = LINK_PPM } };
	struct packet group = udp(inside, "224.0.0.22:1", 8, 1);
	struct frame g = frame_of(&group, &inside_mac, &lan_mac);
	assert_true(board_set_link(t.b, t.port, &lossy));
	board_received(t.b, t.port, g.b, g.len, 40ULL * MS); /* not a flow that anybody counts */
	assert_int_equal(t.n--, 3);
	assert_true(board_set_link(t.b, t.port, &m));
	for (int i = 0; i < 3; i++)
		board_received(t.b, t.port, f.b, f.len, 40ULL * MS);
	assert_int_equal(t.n, 2);
	expect_drop(&t, "alice", "the link carries nothing this way", 3);
	board_bypass(t.b, true);
	board_received(t.b, t.port, f.b, f.len, 40ULL * MS);
	assert_int_equal(t.n, 3);
	board_free(t.b);
}

/* What is on its way over a cable that is pulled is lost, both ways, and nothing else. */
static void test_pull(void **state)
{
	(void)state;
	struct bench t;
	struct link_model slow = { .up = { .delay_us = 20000 }, .down = { .delay_us = 20000 } };
	struct packet p = udp(inside, outside, 100, 1), back = udp(outside, inside, 100, 2);
	bench_init(&t);
	add_wire(&t, &slow);
	int other = board_add_wire(t.b, &(struct board_wire) { .name = "bob", .model = &slow });
	struct frame out = frame_of(&p, &inside_mac, &lan_mac), in = frame_of(&back, &lan_mac, &inside_mac);
	for (int i = 0; i < 5; i++) {
		board_received(t.b, t.port, out.b, out.len, (uint64_t)i * MS);
		board_received(t.b, t.port + 1, in.b, in.len, (uint64_t)i * MS);
		board_received(t.b, other, out.b, out.len, (uint64_t)i * MS);
	}
	board_pull(t.b, t.port);
	board_tick(t.b, 40 * MS);
	assert_int_equal(t.n, 5);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.sent[i].port, other + 1);
	board_received(t.b, t.port, out.b, out.len, 50 * MS);
	board_tick(t.b, 80 * MS);
	assert_int_equal(t.n, 6);
	board_free(t.b);
}

/* What comes out of a link with routers on it has passed them, its twin too, and is sound. */
static void test_hops(void **state)
{
	(void)state;
	struct bench t;
	struct link_model m = { .up = { .hops = 3, .duplicate = LINK_PPM } };
	struct packet p = udp(inside, outside, 100, 1);
	bench_init(&t);
	add_wire(&t, &m);
	struct frame f = frame_of(&p, &inside_mac, &lan_mac);
	board_received(t.b, t.port, f.b, f.len, MS);
	board_tick(t.b, 2 * MS);
	assert_int_equal(t.n, 2);
	for (size_t i = 0; i < t.n; i++) {
		struct packet out = packet_of(&t, i);
		assert_true(is_sound(&out));
		assert_int_equal(out.b[8], p.b[8] - 3);
	}
	be_put(f.b + ETH_HEADER + 8, 1, 3);
	be_put(f.b + ETH_HEADER + 10, 2, 0);
	be_put(f.b + ETH_HEADER + 10, 2, ip_checksum(f.b + ETH_HEADER, 20, 0));
	board_received(t.b, t.port, f.b, f.len, 3 * MS);
	board_tick(t.b, 4 * MS);
	assert_int_equal(t.n, 2);
	expect_drop(&t, "alice", "it passes no more routers", 1);
	board_free(t.b);
}

static void test_mtu(void **state)
{
	(void)state;
	for (int silent = 0; silent < 2; silent++) {
		struct bench t;
		struct link_model m = { .up = { .mtu = 1000, .mtu_silent = silent } };
		struct packet p = udp(inside, outside, 1400, 1), told;
		struct ip_view inner;
		uint16_t at_inner;
		bench_init(&t);
		add_wire(&t, &m);
		struct frame f = frame_of(&p, &inside_mac, &lan_mac); /* with DF */
		board_received(t.b, t.port, f.b, f.len, MS);
		assert_int_equal(t.n, silent ? 0 : 1);
		if (!silent) {
			told = packet_of(&t, 0);
			assert_int_equal(t.sent[0].port, t.port);
			assert_true(is_sound(&told));
			expect_ends(&told, "192.168.1.1:0", "192.168.1.10:0");
			assert_int_equal(told.v.icmp_type << 8 | told.v.icmp_code, 0x304);
			assert_int_equal(be_get(told.b + 26, 2), 1000);
			assert_true(eth_read_error(told.b, &told.v, told.len, &inner, &at_inner));
			assert_int_equal(inner.sport, 5000);
		}
		expect_drop(&t, "alice", "larger than the link's MTU", 1);
		/* Without DF it is cut, and the pieces are the whole again. */
		uint8_t whole[1500] = { 0 };
		size_t n = t.n, end = 0;
		be_put(f.b + ETH_HEADER + 6, 2, 0);
		be_put(f.b + ETH_HEADER + 10, 2, 0);
		be_put(f.b + ETH_HEADER + 10, 2, ip_checksum(f.b + ETH_HEADER, 20, 0));
		board_received(t.b, t.port, f.b, f.len, MS);
		assert_int_equal(t.n - n, 2);
		for (size_t i = n; i < t.n; i++) {
			struct packet piece = packet_of(&t, i);
			assert_true(piece.len <= 1000 && ip_checksum(piece.b, 20, 0) == 0);
			size_t off = (be_get(piece.b + 6, 2) & 0x1fff) * 8;
			memcpy(whole + off, piece.b + 20, piece.len - 20);
			end = off + piece.len - 20;
			assert_int_equal(be_get(piece.b + 6, 2) & 0x2000, i + 1 < t.n ? 0x2000 : 0);
		}
		assert_int_equal(end, 1408);
		assert_memory_equal(whole, p.b + 20, 1408);
		board_free(t.b);
	}
}

static void test_damage(void **state)
{
	(void)state;
	struct bench t;
	struct link_model m = { .up = { .corrupt = LINK_PPM, .duplicate = LINK_PPM } };
	struct packet p = udp(inside, outside, 100, 1);
	struct board_drop d[2];
	unsigned bits = 0;
	bench_init(&t);
	add_wire(&t, &m);
	struct frame f = frame_of(&p, &inside_mac, &lan_mac);
	board_received(t.b, t.port, f.b, f.len, MS);
	board_tick(t.b, 2ULL * MS);
	assert_int_equal(t.n, 2);
	for (size_t i = 0; i < f.len; i++)
		bits += (unsigned)__builtin_popcount(t.sent[0].f.b[i] ^ f.b[i]);
	assert_int_equal(bits, 1);
	assert_memory_equal(t.sent[0].f.b, f.b, ETH_HEADER + 20);
	assert_memory_equal(t.sent[1].f.b, f.b, f.len); /* the twin is whole */
	assert_int_equal(board_drops(t.b, d, ARRAY_LEN(d)), 0);
	m.up.duplicate = 0;
	assert_true(board_set_link(t.b, t.port, &m));
	board_received(t.b, t.port, f.b, f.len, 3ULL * MS);
	expect_drop(&t, "alice", "the link damages it, and its checksum is wrong", 1);
	be_put(f.b + ETH_HEADER + 26, 2, 0); /* no checksum */
	board_received(t.b, t.port, f.b, f.len, 4ULL * MS);
	assert_int_equal(board_drops(t.b, d, ARRAY_LEN(d)), 0);
	board_free(t.b);
}

/* ---- the router ---- */

static void test_router(void **state)
{
	(void)state;
	struct bench t;
	struct packet p = udp(inside, outside, 100, 1), q;
	char text[ENDPOINT_TEXT];
	bench_init(&t);
	add_router(&t, &nat_model_default, NULL);
	enter(&t, t.port + 1, &p, MS);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.sent[0].port, t.port);
	assert_memory_equal(t.sent[0].f.b, outside_mac.b, 6);
	assert_memory_equal(t.sent[0].f.b + 6, wan_mac.b, 6);
	q = packet_of(&t, 0);
	assert_true(is_sound(&q));
	assert_int_equal(q.b[8], 63);
	struct endpoint hole = { .ip = q.v.src, .port = q.v.sport };
	p = udp(outside, endpoint_format(&hole, text), 100, 1);
	enter(&t, t.port, &p, MS); /* the inside is known from its packet */
	q = packet_of(&t, 1);
	assert_int_equal(t.sent[1].port, t.port + 1);
	expect_ends(&q, outside, inside);
	assert_memory_equal(t.sent[1].f.b, inside_mac.b, 6);
	/* What is not let in says why; so does what reaches for an inside address. */
	p = udp("203.0.113.20:1", endpoint_format(&hole, text), 100, 1);
	enter(&t, t.port, &p, MS);
	expect_drop(
		&t, "home", "wan: mapped, but not for this sender (address and port-dependent filtering)", 1);
	p = udp("203.0.113.20:1", "203.0.113.100:7", 100, 1);
	enter(&t, t.port, &p, MS);
	expect_drop(&t, "home", "wan: unsolicited, no mapping", 1);
	p = udp("203.0.113.20:1", inside, 100, 1);
	enter(&t, t.port, &p, MS);
	expect_drop(&t, "home", "wan: an inside address, reached for from outside", 1);
	router_block_udp(board_router(t.b, t.port), "UDP is cut");
	p = udp(inside, outside, 100, 1);
	enter(&t, t.port + 1, &p, MS);
	expect_drop(&t, "home", "UDP is cut", 1);
	assert_int_equal(t.n, 2);
	board_free(t.b);
}

static void test_router_itself(void **state)
{
	(void)state;
	struct bench t;
	struct packet p = echo("192.168.1.10", "192.168.1.1", 7, true), q;
	bench_init(&t);
	add_router(&t, &nat_model_default, NULL);
	enter(&t, t.port + 1, &p, MS);
	q = packet_of(&t, 0);
	assert_true(is_sound(&q));
	assert_int_equal(q.v.icmp_type, 0);
	expect_ends(&q, "192.168.1.1:7", "192.168.1.10:7");
	p = tcp(inside, "192.168.1.1:80", TCP_SYN); /* nobody listens there */
	enter(&t, t.port + 1, &p, MS);
	q = packet_of(&t, 1);
	assert_true(is_sound(&q));
	assert_int_equal(q.v.tcp_flags, TCP_RST | TCP_ACK);
	assert_int_equal(be_get(q.b + 28, 4), 1001);
	p = udp(inside, outside, 100, 1); /* its last hop */
	p.b[8] = 1;
	be_put(p.b + 10, 2, 0);
	be_put(p.b + 10, 2, ip_checksum(p.b, 20, 0));
	enter(&t, t.port + 1, &p, MS);
	q = packet_of(&t, 2);
	assert_int_equal(q.v.icmp_type, 11);
	expect_ends(&q, "192.168.1.1:0", "192.168.1.10:0");
	/* Who has the address of a neighbour that nobody told of is asked, and the packet waits for it. */
	p = udp(inside, "203.0.113.77:1", 100, 1);
	enter(&t, t.port + 1, &p, MS);
	assert_int_equal(t.n, 4);
	struct eth_view v;
	struct eth_neighbour asked;
	struct endpoint who = at("203.0.113.77");
	assert_true(eth_read(t.sent[3].f.b, t.sent[3].f.len, &v));
	assert_true(eth_read_neighbour(t.sent[3].f.b, t.sent[3].f.len, &v, &asked));
	assert_true(asked.request && addr_equal(&asked.who, &who.ip) && mac_equal(&v.dst, &mac_all));
	struct frame answer = { .len = ETH_HEADER + 28 };
	eth_write_answer(&answer, &asked, &outside_mac);
	board_received(t.b, t.port, answer.b, answer.len, MS);
	q = packet_of(&t, 4);
	assert_int_equal(q.v.dport, 1);
	assert_memory_equal(t.sent[4].f.b, outside_mac.b, 6);
	board_free(t.b);
}

/* A firewall sees what the inside sees, and the sender is told of what he has sent. */
static void test_firewall(void **state)
{
	(void)state;
	struct bench t;
	struct firewall_rule in[] = { { .verdict = FIREWALL_REJECT,
		.proto = FIREWALL_UDP,
		.ports = "5000",
		.text = "reject udp 5000" } };
	const struct scn_firewall rules = { .in = in, .n_in = 1 };
	struct packet p = udp(inside, outside, 100, 1), q;
	char text[ENDPOINT_TEXT];
	struct ip_view inner;
	uint16_t inner_at;
	bench_init(&t);
	t.firewall = &rules;
	add_router(&t, &nat_model_default, NULL);
	enter(&t, t.port + 1, &p, MS);
	q = packet_of(&t, 0);
	struct endpoint hole = { .ip = q.v.src, .port = q.v.sport };
	p = udp(outside, endpoint_format(&hole, text), 100, 1);
	board_bypass(t.b, true);
	enter(&t, t.port, &p, MS);
	assert_int_equal(t.n, 2);
	board_bypass(t.b, false);
	enter(&t, t.port, &p, MS);
	expect_drop(&t, "home", "firewall, in: reject udp 5000", 1);
	assert_int_equal(t.n, 3);
	q = packet_of(&t, 2);
	assert_true(is_sound(&q));
	expect_ends(&q, "203.0.113.100:0", "203.0.113.10:0");
	assert_true(eth_read_error(q.b, &q.v, q.len, &inner, &inner_at));
	assert_int_equal(inner.dport, hole.port);
	board_free(t.b);
}

/* Behind the self-test, a reset and a step that pulls a way the first packet of a flow is a first one again. */
static void test_forgets(void **state)
{
	(void)state;
	struct bench t;
	struct firewall_rule out[] = {
		{ .verdict = FIREWALL_DROP, .established = true, .text = "drop established" }
	};
	const struct scn_firewall rules = { .out = out, .n_out = 1 };
	struct packet p = udp(inside, outside, 100, 1), back;
	char text[ENDPOINT_TEXT];
	bench_init(&t);
	t.firewall = &rules;
	add_router(&t, &nat_model_default, NULL);
	for (int i = 0; i < 3; i++) {
		size_t first = t.n;
		enter(&t, t.port + 1, &p, MS);
		assert_int_equal(t.n, first + 1);
		struct packet q = packet_of(&t, first);
		struct endpoint hole = { .ip = q.v.src, .port = q.v.sport };
		back = udp(outside, endpoint_format(&hole, text), 100, 1);
		enter(&t, t.port, &back, MS);
		assert_int_equal(t.n, first + 2);
		enter(&t, t.port + 1, &p, MS);
		assert_int_equal(t.n, first + 2);
		if (i == 0)
			board_forget(t.b, MS);
		else
			board_set_idle(t.b, t.port, true, MS);
	}
	board_free(t.b);
}

/* The pieces of one packet, in either order. */
static void test_fragments(void **state)
{
	(void)state;
	for (int k = 0; k < NAT_FRAGMENTS_KINDS; k++)
		for (int turned = 0; turned < 2; turned++) {
			struct bench t;
			struct nat_model m = nat_model_default;
			struct packet p = udp(inside, outside, 1400, 1);
			m.fragments = (enum nat_fragments)k;
			bench_init(&t);
			add_router(&t, &m, NULL);
			be_put(p.b + 4, 4, 0x12340000); /* an identity, and no DF */
			be_put(p.b + 10, 2, 0);
			be_put(p.b + 10, 2, ip_checksum(p.b, 20, 0));
			struct frame whole = frame_of(&p, &inside_mac, &lan_mac), piece[2];
			assert_true(eth_write_piece(&piece[0], &whole, 1000, 0));
			assert_true(eth_write_piece(&piece[1], &whole, 1000, 1));
			assert_false(eth_write_piece(&whole, &whole, 1000, 2));
			for (int i = 0; i < 2; i++)
				board_received(
					t.b, t.port + 1, piece[i ^ turned].b, piece[i ^ turned].len, MS);
			size_t want = k == NAT_FRAGMENTS_NONE		   ? 0
				      : k == NAT_FRAGMENTS_ORDER && turned ? 1
									   : 2;
			assert_int_equal(t.n, want);
			for (size_t i = 0; i < t.n; i++) {
				struct packet q = packet_of(&t, i);
				struct endpoint wan = at("203.0.113.100");
				assert_true(addr_equal(&q.v.src, &wan.ip) && ip_checksum(q.b, 20, 0) == 0);
				assert_int_equal(q.b[8], 63);
			}
			board_free(t.b);
		}
}

/* The link of a router's WAN is between it and the internet, both ways. */
static void test_router_link(void **state)
{
	(void)state;
	struct bench t;
	struct link_model m = { .up = { .delay_us = 5000 }, .down = { .delay_us = 7000 } };
	struct packet p = udp(inside, outside, 100, 1), q;
	char text[ENDPOINT_TEXT];
	bench_init(&t);
	add_router(&t, &nat_model_default, &m);
	enter(&t, t.port + 1, &p, MS);
	assert_int_equal(board_deadline_ns(t.b), 6ULL * MS);
	board_tick(t.b, 6ULL * MS);
	q = packet_of(&t, 0);
	struct endpoint hole = { .ip = q.v.src, .port = q.v.sport };
	p = udp(outside, endpoint_format(&hole, text), 100, 1);
	enter(&t, t.port, &p, 10ULL * MS);
	board_tick(t.b, 17ULL * MS - 1);
	assert_int_equal(t.n, 1);
	board_tick(t.b, 17ULL * MS);
	q = packet_of(&t, 1);
	expect_ends(&q, outside, inside);
	board_free(t.b);
}

/* ---- the log ---- */

static void write_log(struct bench *t, struct buf *out)
{
	assert_true(decision_write(board_log(t->b), out));
	/* What is not compared. */
	char *text = (char *)(uintptr_t)buf_cstr(out), *to = text;
	for (char *at = text; *at;) {
		if (!strncmp(at, ",\"at_ms\":", 9))
			at += strcspn(at, "}");
		*to++ = *at++;
	}
	out->len = (size_t)(to - text);
}

/* Two flows in two orders: the logs are equal, and have what happened. */
static void test_log(void **state)
{
	(void)state;
	struct buf log[2] = { { 0 }, { 0 } };
	for (int turned = 0; turned < 2; turned++) {
		struct bench t;
		struct link_model m = { .up = { .nth = { 2 } } };
		struct packet p[2] = { udp(inside, outside, 100, 1),
			udp("192.168.1.10:5001", outside, 100, 1) };
		bench_init(&t);
		add_router(&t, &nat_model_default, &m);
		board_forget(t.b, MS);
		for (int i = 0; i < 6; i++)
			enter(&t, t.port + 1, &p[(i ^ turned) & 1], (uint64_t)(i + 2) * MS);
		struct packet stray = udp("203.0.113.20:1", "203.0.113.100:7", 100, 1);
		enter(&t, t.port, &stray, 9ULL * MS);
		write_log(&t, &log[turned]);
		board_free(t.b);
	}
	assert_int_equal(log[0].len, log[1].len);
	assert_memory_equal(buf_data(&log[0]), buf_data(&log[1]), log[0].len);
	const char *text = buf_cstr(&log[0]);
	unsigned lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 5);
	assert_non_null(strstr(text,
		"{\"object\":\"home\",\"decision\":\"mapped\",\"proto\":17,\"src\":\"192.168.1.10:5000\","
		"\"dst\":\"*\",\"outside\":\"203.0.113.100:"));
	assert_non_null(strstr(text, "{\"object\":\"home.up\",\"decision\":\"lost\",\"proto\":17,"));
	assert_non_null(strstr(text, "\"packet\":2,\"why\":\"the link loses this packet of every flow\"}"));
	assert_non_null(strstr(text, "\"why\":\"wan: unsolicited, no mapping\"}"));
	buf_free(&log[0]);
	buf_free(&log[1]);
}

/* Whatever is thrown at it, what it keeps is bounded. */
static void test_bounds(void **state)
{
	(void)state;
	struct bench t;
	struct link_model m = { .up = { .delay_us = 1000000 } };
	struct packet p = udp(inside, outside, 1400, 1);
	bench_init(&t);
	add_wire(&t, &m);
	struct frame f = frame_of(&p, &inside_mac, &lan_mac);
	unsigned fit = BOARD_HELD_BYTES / f.len;
	for (unsigned i = 0; i < fit + 10; i++)
		board_received(t.b, t.port, f.b, f.len, MS);
	expect_drop(&t, "alice", "the links hold no more packets", 10);
	board_free(t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_stamps),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_pull),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_router),
		cmocka_unit_test(test_router_itself),
		cmocka_unit_test(test_firewall),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_router_link),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
