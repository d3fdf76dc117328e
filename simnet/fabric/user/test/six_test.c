#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/wire.h"
#include "simnet/fabric/user/router.h"
#include "simnet/fabric/user/test/packets.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A router with NAT64 and NPTv6, packet by packet: what leaves by its sides, and why what does not. RFC 6146, 7915, 6296. */

enum { SENT_MAX = 8 };
static const uint64_t second = 1000000000;
static const struct mac inside_mac = { { 2, 0, 0, 0, 0, 1 } }, outside_mac = { { 2, 0, 0, 0, 0, 2 } },
			wan_mac = { { 2, 0, 0, 0, 0, 3 } }, lan_mac = { { 2, 0, 0, 0, 0, 4 } };
/* Two hosts whose addresses end alike, one of which has IPv4 also, and a server. */
#define ALICE "[2001:db8::c0a8:10a]:5000"
#define BOB "[2001:db8::1:0:c0a8:10a]:5000"
#define ALICE4 "192.168.1.10:5000"
#define SERVER "203.0.113.10:3478"
#define SERVER6 "[64:ff9b::cb00:710a]:3478"
#define OTHER6 "[64:ff9b::cb00:7109]:3478"
/* Who has IPv6 outside, and the two of the inside as he knows them. */
#define PEER "[2001:db8:f::9]:7"
#define ALICE_OUT "[2001:db9:0:fffe:0:0:c0a8:10a]:5000"
#define BOB_OUT "[2001:db9:0:fffe:1:0:c0a8:10a]:5000"

struct bench {
	struct router *r;
	const char *why; /* of the last drop */
	struct {
		enum router_side side;
		struct packet p;
	} sent[SENT_MAX];
	size_t n;
	uint64_t now;
};

static void keep_sent(void *owner, enum router_side side, const struct frame *f)
{
	struct bench *t = owner;
	struct packet p = { .len = f->len - (size_t)ETH_HEADER };
	assert_true(t->n < SENT_MAX);
	memcpy(p.b, f->b + ETH_HEADER, p.len);
	look(&p);
	assert_int_equal(be_get(f->b + 12, 2), p.v.version == 4 ? ETH_TYPE_V4 : ETH_TYPE_V6);
	t->sent[t->n].side = side;
	t->sent[t->n++].p = p;
}

static void keep_drop(void *owner, const char *why, const struct ip_view *v)
{
	(void)v;
	((struct bench *)owner)->why = why;
}

static void know(struct bench *t, enum router_side side, const char *who, const struct mac *mac)
{
	struct endpoint e = at(who);
	assert_true(router_add_neighbour(t->r, side, &e.ip, mac));
}

static void bench_init(struct bench *t, const struct nat_model *m)
{
	static const struct router_ops ops = { .send = keep_sent, .dropped = keep_drop };
	struct endpoint wan = at("203.0.113.100"), lan = at("192.168.1.1"), wan6 = at("[2001:db8:f::1]:1"),
			lan6 = at("[2001:db8::1]:1"), prefix = at("[64:ff9b::]:1"),
			inside = at("[2001:db8::]:1"), outside = at("[2001:db9::]:1");
	struct nat_config nat = { .name = "home", .model = m, .wan = wan.ip, .seed = 7 };
	struct router_way ways[4] = { { .side = ROUTER_WAN }, { .side = ROUTER_WAN }, { .side = ROUTER_LAN },
		{ .side = ROUTER_LAN } };
	assert_true(prefix_parse("0.0.0.0/0", &ways[0].dst) && prefix_parse("::/0", &ways[1].dst) &&
		    prefix_parse("192.168.1.0/24", &ways[2].dst) &&
		    prefix_parse("2001:db8::/64", &ways[3].dst));
	struct router_config c = { .name = "home",
		.ways = ways,
		.n_ways = 4,
		.nat = &nat,
		.v6_firewall = true,
		.nptv6 = { .inside = inside.ip, .outside = outside.ip },
		.nat64 = { .prefix = prefix.ip, .bits = 96 } };
	c.feet[ROUTER_WAN] = (struct router_foot) {
		.mac = wan_mac, .v4 = wan.ip, .v6 = wan6.ip, .net4 = ways[0].dst, .net6 = ways[1].dst
	};
	c.feet[ROUTER_LAN] = (struct router_foot) {
		.mac = lan_mac, .v4 = lan.ip, .v6 = lan6.ip, .net4 = ways[2].dst, .net6 = ways[3].dst
	};
	*t = (struct bench) { .r = router_new(&c, &ops, t), .now = second };
	assert_non_null(t->r);
	know(t, ROUTER_WAN, SERVER, &outside_mac);
	know(t, ROUTER_WAN, "203.0.113.9", &outside_mac);
	know(t, ROUTER_WAN, PEER, &outside_mac);
	know(t, ROUTER_LAN, ALICE, &inside_mac);
	know(t, ROUTER_LAN, BOB, &inside_mac);
	know(t, ROUTER_LAN, ALICE4, &inside_mac);
}

static void enter(struct bench *t, enum router_side side, const struct packet *p)
{
	struct frame f = { .len = (uint16_t)(ETH_HEADER + p->len) };
	bool wan = side == ROUTER_WAN;
	eth_set_ethernet(&f, wan ? &outside_mac : &inside_mac, wan ? &wan_mac : &lan_mac,
		p->v.version == 4 ? ETH_TYPE_V4 : ETH_TYPE_V6);
	memcpy(f.b + ETH_HEADER, p->b, p->len);
	t->n = 0;
	t->why = NULL;
	router_received(t->r, side, &f, t->now += second / 1000);
}

/* The one packet that came of it, by that side. */
static struct packet pass(struct bench *t, enum router_side in, const struct packet *p, enum router_side out)
{
	enter(t, in, p);
	if (t->n != 1 || t->sent[0].side != out)
		fail_msg("%zu packets left; %s", t->n, t->why ? t->why : "no drop");
	assert_true(is_sound(&t->sent[0].p));
	return t->sent[0].p;
}

static void expect_drop(struct bench *t, enum router_side in, const struct packet *p, const char *why)
{
	enter(t, in, p);
	if (t->n || !t->why || strcmp(t->why, why) != 0)
		fail_msg("%zu packets left; %s", t->n, t->why ? t->why : "no drop");
}

static const char *text_of(const struct addr *ip, uint16_t port, char *buf)
{
	return endpoint_format(&(struct endpoint) { .ip = *ip, .port = port }, buf);
}

/* A packet of `from` to the server, and the outer end that it gets. */
static struct packet open_hole(struct bench *t, const char *from, char outer[static ENDPOINT_TEXT])
{
	struct packet p = from[0] == '[' ? udp(from, SERVER6, 8, 1) : udp(from, SERVER, 8, 1);
	struct packet out = pass(t, ROUTER_LAN, &p, ROUTER_WAN);
	text_of(&out.v.src, out.v.sport, outer);
	assert_memory_equal(outer, "203.0.113.100:", 14);
	assert_int_equal(out.b[8], 63);
	expect_ends(&out, outer, SERVER);
	return out;
}

static void test_udp(void **state)
{
	struct bench t;
	char outer[ENDPOINT_TEXT], other[ENDPOINT_TEXT], again[ENDPOINT_TEXT];
	(void)state;
	bench_init(&t, &nat_model_default);
	open_hole(&t, ALICE, outer);
	struct packet answer = udp(SERVER, outer, 20, 2), stranger = udp("203.0.113.9:3478", outer, 8, 3),
		      back = pass(&t, ROUTER_WAN, &answer, ROUTER_LAN);
	expect_ends(&back, SERVER6, ALICE);
	assert_int_equal(back.b[7], 63);
	expect_drop(&t, ROUTER_WAN, &stranger,
		"wan: mapped, but not for this sender (address and port-dependent filtering)");
	/* Each host has a mapping of its own, for all whom it sends to. */
	open_hole(&t, BOB, other);
	assert_string_not_equal(outer, other);
	open_hole(&t, ALICE4, other);
	assert_string_not_equal(outer, other);
	struct packet second_to = udp(ALICE, OTHER6, 8, 1),
		      seen = pass(&t, ROUTER_LAN, &second_to, ROUTER_WAN);
	assert_string_equal(text_of(&seen.v.src, seen.v.sport, again), outer);
	back = pass(&t, ROUTER_WAN, &stranger, ROUTER_LAN);
	expect_ends(&back, OTHER6, ALICE);
	router_free(t.r);
}

static void test_tcp_and_echo(void **state)
{
	struct bench t;
	struct nat_model m = nat_model_default;
	(void)state;
	m.tcp_unknown = NAT_UNKNOWN_RESET;
	bench_init(&t, &m);
	struct packet syn = tcp(ALICE, SERVER6, TCP_SYN), out = pass(&t, ROUTER_LAN, &syn, ROUTER_WAN);
	char outer[ENDPOINT_TEXT];
	struct packet answer = tcp(SERVER, text_of(&out.v.src, out.v.sport, outer), TCP_SYN | TCP_ACK),
		      back = pass(&t, ROUTER_WAN, &answer, ROUTER_LAN);
	expect_ends(&back, SERVER6, ALICE);
	/* Of no connection: told to its sender in his own family. */
	struct packet stray = tcp(BOB, SERVER6, TCP_ACK), reset = pass(&t, ROUTER_LAN, &stray, ROUTER_LAN);
	expect_ends(&reset, SERVER6, BOB);
	assert_true(reset.v.tcp_flags & TCP_RST);
	assert_string_equal(t.why, "a TCP segment of a connection that the router does not know");
	struct packet ping = echo(ALICE, SERVER6, 77, true);
	out = pass(&t, ROUTER_LAN, &ping, ROUTER_WAN);
	assert_int_equal(out.v.icmp_type, 8);
	struct packet pong = echo("203.0.113.10", "203.0.113.100", out.v.sport, false);
	back = pass(&t, ROUTER_WAN, &pong, ROUTER_LAN);
	assert_int_equal(back.v.icmp_type, 129);
	assert_int_equal(back.v.sport, 77);
	router_free(t.r);
}

/* Errors about packets of either direction, each in the words of who gets it. */
static void test_errors(void **state)
{
	struct bench t;
	char outer[ENDPOINT_TEXT];
	struct ip_view inner;
	(void)state;
	bench_init(&t, &nat_model_default);
	struct packet out = open_hole(&t, ALICE, outer), e = error_about(&out, "203.0.113.9", 3, 3),
		      back = pass(&t, ROUTER_WAN, &e, ROUTER_LAN);
	expect_ends(&back, "[64:ff9b::cb00:7109]:0", "[2001:db8::c0a8:10a]:0");
	assert_true(back.v.icmp_type == 1 && back.v.icmp_code == 4);
	struct packet about = { .len = 8 + 40 };
	memcpy(about.b, back.b + 48, about.len);
	assert_int_equal(be_get(about.b + 40, 2), 5000);
	struct addr src = addr_v6_bytes(about.b + 8), dst = addr_v6_bytes(about.b + 24);
	struct endpoint want_src = at(ALICE), want_dst = at(SERVER6);
	assert_true(addr_equal(&src, &want_src.ip) && addr_equal(&dst, &want_dst.ip));
	/* And of what came in. */
	struct packet answer = udp(SERVER, outer, 8, 2), in = pass(&t, ROUTER_WAN, &answer, ROUTER_LAN),
		      refused = error_about(&in, ALICE, 1, 4);
	out = pass(&t, ROUTER_LAN, &refused, ROUTER_WAN);
	assert_true(out.v.icmp_type == 3 && out.v.icmp_code == 3);
	uint16_t at_inner;
	assert_true(eth_read_error(out.b, &out.v, out.len, &inner, &at_inner));
	assert_string_equal(text_of(&inner.dst, inner.dport, outer), outer);
	struct endpoint server = at(SERVER), wan = at("203.0.113.100");
	assert_true(addr_equal(&inner.src, &server.ip) && addr_equal(&inner.dst, &wan.ip) &&
		    addr_equal(&out.v.src, &wan.ip));
	router_free(t.r);
}

/* What does not fit, has come too far, or has no form in the other family. */
static void test_limits(void **state)
{
	struct bench t;
	char outer[ENDPOINT_TEXT];
	(void)state;
	bench_init(&t, &nat_model_default);
	open_hole(&t, ALICE, outer);
	struct packet big = udp(SERVER, outer, 1500 - 28, 2), told = pass(&t, ROUTER_WAN, &big, ROUTER_WAN);
	assert_true(told.v.icmp_type == 3 && told.v.icmp_code == 4);
	assert_int_equal(be_get(told.b + 26, 2), 1480);
	struct packet fits = udp(SERVER, outer, 1480 - 28, 2), in = pass(&t, ROUTER_WAN, &fits, ROUTER_LAN);
	assert_int_equal(in.len, 1500);
	struct packet last = udp(ALICE, SERVER6, 8, 2);
	last.b[7] = 1;
	look(&last);
	told = pass(&t, ROUTER_LAN, &last, ROUTER_LAN);
	assert_true(told.v.icmp_type == 3 && told.v.version == 6);
	last = udp(SERVER, outer, 8, 2);
	last.b[8] = 1;
	be_put(last.b + 10, 2, 0);
	be_put(last.b + 10, 2, ip_checksum(last.b, 20, 0));
	told = pass(&t, ROUTER_WAN, &last, ROUTER_WAN);
	assert_true(told.v.icmp_type == 11 && told.v.version == 4);
	struct packet piece = udp(SERVER, outer, 16, 2);
	be_put(piece.b + 6, 2, 0x2000);
	be_put(piece.b + 10, 2, 0);
	be_put(piece.b + 10, 2, ip_checksum(piece.b, 20, 0));
	look(&piece);
	expect_drop(&t, ROUTER_WAN, &piece, "nat64: IPv6 has no form for it");
	/* Inside addresses are reached by what they are. */
	struct packet inward = udp(BOB, "[64:ff9b::c0a8:10a]:5000", 8, 1);
	told = pass(&t, ROUTER_LAN, &inward, ROUTER_LAN);
	assert_true(told.v.icmp_type == 1 && told.v.icmp_code == 0);
	router_free(t.r);
}

static void test_hairpin(void **state)
{
	struct bench t;
	struct nat_model m = nat_model_default;
	char outer[ENDPOINT_TEXT], six[ENDPOINT_TEXT], mine[ENDPOINT_TEXT], other[ENDPOINT_TEXT];
	(void)state;
	m.hairpin = NAT_HAIRPIN_EXTERNAL;
	bench_init(&t, &m);
	open_hole(&t, ALICE, outer);
	open_hole(&t, BOB, mine);
	snprintf(six, sizeof(six), "[64:ff9b::cb00:7164]:%s", strchr(outer, ':') + 1);
	snprintf(other, sizeof(other), "[64:ff9b::cb00:7164]:%s", strchr(mine, ':') + 1);
	struct packet p = udp(BOB, six, 8, 1), in = pass(&t, ROUTER_LAN, &p, ROUTER_LAN);
	expect_ends(&in, other, ALICE);
	/* To and from who has IPv4. */
	open_hole(&t, ALICE4, outer);
	snprintf(six, sizeof(six), "[64:ff9b::cb00:7164]:%s", strchr(outer, ':') + 1);
	p = udp(BOB, six, 8, 1);
	in = pass(&t, ROUTER_LAN, &p, ROUTER_LAN);
	expect_ends(&in, mine, ALICE4);
	p = udp(ALICE4, mine, 8, 1);
	in = pass(&t, ROUTER_LAN, &p, ROUTER_LAN);
	snprintf(six, sizeof(six), "[64:ff9b::cb00:7164]:%s", strchr(outer, ':') + 1);
	expect_ends(&in, six, BOB);
	router_free(t.r);
	bench_init(&t, &nat_model_default);
	open_hole(&t, ALICE, outer);
	snprintf(six, sizeof(six), "[64:ff9b::cb00:7164]:%s", strchr(outer, ':') + 1);
	p = udp(BOB, six, 8, 1);
	expect_drop(&t, ROUTER_LAN, &p, "lan: the router does not hairpin");
	p = echo(BOB, "[64:ff9b::cb00:7164]:0", 1, true);
	expect_drop(&t, ROUTER_LAN, &p, "nat64: the router itself has no IPv4 for IPv6");
	router_free(t.r);
}

static void expect_six(const struct packet *p, const char *from, const char *to)
{
	struct endpoint src = at(from), dst = at(to);
	char got[2][ENDPOINT_TEXT];
	if (!addr_equal(&p->v.src, &src.ip) || !addr_equal(&p->v.dst, &dst.ip))
		fail_msg("%s -> %s", text_of(&p->v.src, p->v.sport, got[0]),
			text_of(&p->v.dst, p->v.dport, got[1]));
}

/* The ends of the packet that an ICMPv6 error is about. */
static void expect_about(const struct packet *error, const char *from, const char *to)
{
	struct packet about = { .len = error->len - 48 };
	memcpy(about.b, error->b + 48, about.len);
	about.v.src = addr_v6_bytes(about.b + 8);
	about.v.dst = addr_v6_bytes(about.b + 24);
	expect_six(&about, from, to);
}

static void test_prefix(void **state)
{
	struct bench t;
	(void)state;
	bench_init(&t, &nat_model_default);
	struct packet p = udp(ALICE, PEER, 8, 1), stranger = udp(PEER, BOB_OUT, 8, 1),
		      out = pass(&t, ROUTER_LAN, &p, ROUTER_WAN);
	expect_six(&out, ALICE_OUT, PEER);
	struct packet answer = udp(PEER, ALICE_OUT, 8, 2), in = pass(&t, ROUTER_WAN, &answer, ROUTER_LAN);
	expect_six(&in, PEER, ALICE);
	expect_drop(&t, ROUTER_WAN, &stranger, "wan: unsolicited, the IPv6 firewall lets only answers in");
	stranger = udp(PEER, ALICE, 8, 1);
	expect_drop(&t, ROUTER_WAN, &stranger, "wan: an inside address, reached for from outside");
	/* Errors of either direction are about the packet that their receiver has sent. */
	struct packet e = error_about(&out, PEER, 1, 4), told = pass(&t, ROUTER_WAN, &e, ROUTER_LAN);
	expect_six(&told, PEER, ALICE);
	expect_about(&told, ALICE, PEER);
	e = error_about(&in, ALICE, 1, 4);
	told = pass(&t, ROUTER_LAN, &e, ROUTER_WAN);
	expect_six(&told, ALICE_OUT, PEER);
	expect_about(&told, PEER, ALICE_OUT);
	answer.b[7] = 1;
	told = pass(&t, ROUTER_WAN, &answer, ROUTER_WAN);
	expect_about(&told, PEER, ALICE_OUT);
	/* Who is asked may not ask by the same number. */
	p = echo(ALICE, PEER, 7, true);
	pass(&t, ROUTER_LAN, &p, ROUTER_WAN);
	stranger = echo(PEER, ALICE_OUT, 7, true);
	expect_drop(&t, ROUTER_WAN, &stranger, "wan: unsolicited, the IPv6 firewall lets only answers in");
	answer = echo(PEER, ALICE_OUT, 7, false);
	in = pass(&t, ROUTER_WAN, &answer, ROUTER_LAN);
	expect_six(&in, PEER, ALICE);
	/* And back inside by the outer one. */
	p = udp(BOB, ALICE_OUT, 8, 1);
	in = pass(&t, ROUTER_LAN, &p, ROUTER_LAN);
	expect_six(&in, BOB_OUT, ALICE);
	router_free(t.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_tcp_and_echo),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_prefix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
