#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "simnet/pcap/pcapng.h"
#include "simnet/report/why.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALICE, SERVER, HOSTS };

static struct endpoint at(int host, uint16_t port)
{
	return (struct endpoint) { .ip = addr_v4(0xcb00710a + (uint32_t)host), .port = port };
}

static struct why_packet packet(int link, uint8_t proto, int from, uint16_t sport, int to, uint16_t dport)
{
	return (struct why_packet) {
		.link = link, .proto = proto, .src = at(from, sport), .dst = at(to, dport)
	};
}

static struct why_packet syn(int link)
{
	struct why_packet p = packet(link, IP_TCP, ALICE, 4000, SERVER, 80);
	p.tcp_flags = TCP_SYN;
	return p;
}

static void assert_says(const struct why_packet *packets, size_t n, struct why_host server, const char *want)
{
	struct why_host hosts[] = { { .name = "alice", .ip = at(ALICE, 0).ip, .asks = true }, server };
	struct why_facts f = { .hosts = hosts, .n_hosts = HOSTS, .packets = packets, .n_packets = n };
	struct why_lines *out = calloc(1, sizeof(*out));
	char text[2000] = "";
	assert_non_null(out);
	why_conclude(&f, out);
	for (size_t i = 0; i < out->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", out->list[i].text);
	free(out);
	if (strcmp(text, want) != 0)
		fail_msg("\n got %s\nwant %s", text, want);
}

/* A router that gives no ports is not why a step failed. */
static void test_by_the_way(void **state)
{
	static const struct {
		uint16_t port;
		bool router, in_mesh;
		enum why_rank want;
	} rows[] = { { 5351, true, false, WHY_ASIDE }, { 1900, true, false, WHY_ASIDE },
		{ 53, true, false, WHY_REFUSED }, { 5351, false, false, WHY_REFUSED },
		{ 41641, false, true, WHY_ASIDE } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct why_host hosts[] = {
			{ .name = "alice", .ip = at(ALICE, 0).ip, .asks = true, .in_mesh = rows[i].in_mesh },
			{ .name = "r", .ip = at(SERVER, 0).ip, .is_router = rows[i].router }
		};
		struct why_packet both[] = { packet(ALICE, IP_UDP, ALICE, 4000, SERVER, rows[i].port),
			packet(ALICE, IP_ICMP, SERVER, 0, ALICE, 0) };
		struct why_packet *no = &both[1];
		struct why_facts f = { .hosts = hosts, .n_hosts = HOSTS, .packets = both, .n_packets = 2 };
		struct why_lines *out = calloc(1, sizeof(*out));
		assert_non_null(out);
		no->refuses = true;
		no->icmp_code = 3;
		no->cited_proto = IP_UDP;
		no->cited_dst = at(SERVER, rows[i].port);
		why_conclude(&f, out);
		assert_int_equal(out->n, 1);
		assert_int_equal(out->list[0].rank, rows[i].want);
		free(out);
	}
}

static void test_conclusions(void **state)
{
	struct why_host server = { .name = "s", .ip = at(SERVER, 0).ip };
	struct why_packet reset = packet(ALICE, IP_TCP, SERVER, 80, ALICE, 4000), closed, query, gone;
	(void)state;

	reset.refuses = true;
	struct why_packet refused[] = { syn(ALICE), syn(SERVER), reset };
	assert_says(refused, 3, server, "s says no to alice: nothing listens on tcp port 80 there\n");

	closed = packet(ALICE, IP_ICMP, SERVER, 0, ALICE, 0);
	closed.refuses = true;
	closed.icmp_code = 3;
	closed.cited_proto = IP_UDP;
	closed.cited_dst = at(SERVER, 53);
	query = packet(ALICE, IP_UDP, ALICE, 4000, SERVER, 53);
	struct why_packet unbound[] = { query, closed };
	assert_says(unbound, 2, server, "s says no to alice: nothing listens on udp port 53 there\n");
	/* It had only not begun to listen: it answers in the end. */
	struct why_packet late = packet(ALICE, IP_UDP, SERVER, 53, ALICE, 4000);
	late.at_ns = 1;
	struct why_packet begun[] = { query, closed, late };
	assert_says(begun, 3, server, "");
	/* Or rules of its own refuse. */
	server.has_firewall = true;
	assert_says(unbound, 2, server,
		"s says no to alice: nothing listens on udp port 53 there, or its own firewall rules say "
		"so\n");
	server.has_firewall = false;
	closed.too_large = true;
	struct why_packet large[] = { query, closed };
	assert_says(large, 2, server, "s says that a packet of alice is too large\n");
	closed.too_large = false;
	closed.icmp_code = 1;
	closed.cited_dst = at(7, 53);
	struct why_packet unreachable[] = { packet(ALICE, IP_UDP, ALICE, 4000, 7, 53), closed };
	assert_says(unreachable, 2, server, "s says that 203.0.113.17 cannot be reached\n");
	/* The packet is none of the step's: its error came late. */
	assert_says(&closed, 1, server, "");
	closed.icmp_code = 13;
	unreachable[1] = closed;
	assert_says(unreachable, 2, server, "s says that 203.0.113.17 is forbidden for alice\n");

	struct why_packet silent[] = { syn(ALICE), syn(SERVER) };
	assert_says(silent, 2, server,
		"1 came to tcp port 80 of s from alice, and nothing was said: the program there does not "
		"answer\n");
	server.has_firewall = true;
	assert_says(silent, 2, server,
		"1 came to tcp port 80 of s from alice, and nothing was said: the host has firewall rules of "
		"its own\n");
	server.state = "it is stopped by a signal";
	assert_says(silent, 2, server,
		"1 came to tcp port 80 of s from alice, and nothing was said: it is stopped by a signal\n");
	assert_says(silent, 1, server, "what alice sent to tcp port 80 of s did not arrive there\n");

	struct why_packet back = packet(SERVER, IP_TCP, SERVER, 80, ALICE, 4000);
	struct why_packet lost[] = { syn(ALICE), syn(SERVER), back };
	assert_says(lost, 3, server, "s answered alice, and the answer did not come back\n");

	gone = packet(ALICE, IP_ICMP, ALICE, 9, 7, 9);
	gone.icmp_type = 8;
	assert_says(&gone, 1, server,
		"what alice sent to 203.0.113.17 got no answer, and no node has that address\n");

	/* Answered, or nobody's question. */
	struct why_packet answer = packet(ALICE, IP_UDP, SERVER, 53, ALICE, 4000);
	struct why_packet fine[] = { query, answer };
	assert_says(fine, 2, server, "");
	struct why_packet others[] = { packet(SERVER, IP_UDP, 7, 53, SERVER, 4000) };
	assert_says(others, 1, server, "");
}

/* An answer that its asker's machine turns away, since nobody waits for it any more; not one that was had. */
static void test_late(void **state)
{
	(void)state;
	const struct why_host server = { .name = "s", .ip = at(SERVER, 0).ip };
	struct why_packet tcp[] = { syn(ALICE), packet(ALICE, IP_TCP, SERVER, 80, ALICE, 4000),
		packet(ALICE, IP_TCP, ALICE, 4000, SERVER, 80) };
	tcp[1].tcp_flags = TCP_SYN | TCP_ACK;
	tcp[2].tcp_flags = TCP_RST;
	tcp[1].at_ns = tcp[2].at_ns = 1500000000;
	assert_says(tcp, 3, server,
		"the answer of s came 1.5 s after alice had asked, which did not wait so long\n");
	struct why_packet had[] = { tcp[0], tcp[1], tcp[2], tcp[2] };
	had[2].tcp_flags = TCP_ACK;
	had[3].at_ns++;
	assert_says(had, 4, server, "");
	tcp[2].at_ns = 1000; /* at once: nobody gave up */
	assert_says(tcp, 3, server, "");
	struct why_packet udp[] = { packet(ALICE, IP_UDP, ALICE, 4000, SERVER, 53),
		packet(ALICE, IP_UDP, SERVER, 53, ALICE, 4000), packet(ALICE, IP_ICMP, ALICE, 0, SERVER, 0) };
	udp[1].at_ns = udp[2].at_ns = 500000000;
	udp[2].refuses = true;
	udp[2].icmp_code = 3;
	udp[2].cited_proto = IP_UDP;
	udp[2].cited_src = at(SERVER, 53);
	udp[2].cited_dst = at(ALICE, 4000);
	assert_says(udp, 3, server,
		"the answer of s came 0.5 s after alice had asked, which did not wait so long\n");
}

/* A tunnel's datagrams are not questions. */
static void test_tunnels(void **state)
{
	struct why_host hosts[] = {
		{ .name = "alice", .ip = at(ALICE, 0).ip, .asks = true, .in_mesh = true }
	};
	struct why_packet p = packet(ALICE, IP_UDP, ALICE, 41641, SERVER, 41641);
	struct why_facts f = { .hosts = hosts, .n_hosts = 1, .packets = &p, .n_packets = 1 };
	struct why_lines *out = calloc(1, sizeof(*out));
	(void)state;
	assert_non_null(out);
	assert_int_equal(why_conclude(&f, out), 0);
	free(out);
}

static void put_frame(struct buf *out, uint32_t link, uint64_t at_s, const uint8_t *ip, size_t len)
{
	uint8_t frame[256] = { 0 };
	struct pcapng_packet p = {
		.link = link, .at_ns = at_s * 1000000000, .data = frame, .len = 14 + len, .wire_len = 14 + len
	};
	memcpy(frame + 14, ip, len);
	assert_true(pcapng_write_packet(out, &p));
}

/* Who is asked for in a network where nobody has that address, and who answers after all. */
static void test_neighbours(void **state)
{
	struct why_host server = { .name = "s", .ip = at(SERVER, 0).ip };
	struct why_packet asks = { .link = ALICE,
		.at_ns = 5,
		.proto = 255,
		.src.ip = at(ALICE, 0).ip,
		.asks_who = true },
			  tells = { .link = ALICE,
				  .at_ns = 6,
				  .proto = 255,
				  .src.ip = at(SERVER, 0).ip,
				  .tells_who = true };
	(void)state;

	asks.cited_dst.ip = at(77, 0).ip;
	assert_says(&asks, 1, server,
		"alice asks its network who has 203.0.113.87, and nobody answers: no node has that "
		"address\n");
	asks.cited_dst.ip = tells.cited_dst.ip = server.ip;
	assert_says(&asks, 1, server,
		"alice asks its network who has 203.0.113.11, and nobody answers; it is the address of s\n");
	struct why_packet told[] = { asks, tells };
	assert_says(told, 2, server, "");
	/* What a host asks for its own address is to see that nobody else has it. */
	asks.cited_dst.ip = at(ALICE, 0).ip;
	assert_says(&asks, 1, server, "");
}

static void test_dns_loop(void **state)
{
	struct why_host server = { .name = "s", .ip = at(SERVER, 0).ip };
	struct why_packet all[20];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		bool there = i % 2;
		all[i] = packet(ALICE, IP_UDP, there ? ALICE : SERVER, 4000, there ? SERVER : ALICE, 53);
		all[i].at_ns = i;
	}
	const char *want = "alice and s ask each other for names, 10 and 10 times\n"
			   "what alice sent to udp port 53 of s did not arrive there\n";
	assert_says(all, ARRAY_LEN(all), server, want);
	assert_says(all, 10, server, "what alice sent to udp port 53 of s did not arrive there\n");
}

/* alice asks who has the server's address (RFC 826). */
static void put_arp(struct buf *file, uint32_t link, uint64_t seconds)
{
	uint8_t frame[42] = { [12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };
	be_put(frame + 28, 4, 0xcb00710a);
	be_put(frame + 38, 4, 0xcb00710b);
	struct pcapng_packet p = {
		.link = link, .at_ns = seconds * 1000000000, .data = frame, .len = 42, .wire_len = 42
	};
	assert_true(pcapng_write_packet(file, &p));
}

static void test_captures(void **state)
{
	static const struct why_host hosts[] = { { .name = "server" }, { .name = "alice" },
		{ .name = "home", .is_router = true } };
	uint8_t ip[128] = { 0 }, error[128] = { 0 };
	struct endpoint a = at(ALICE, 4000), s = at(SERVER, 53);
	struct why_packet out[8];
	struct buf file = { 0 };
	(void)state;

	size_t len = ip_write_udp(ip, &a, &s, 4);
	memcpy(error + 28, ip, len);
	error[20] = 3;
	error[21] = 3;
	size_t whole = ip_write_header(error, &s.ip, &a.ip, IP_ICMP, 8 + len);
	assert_true(pcapng_write_head(&file, "t") && pcapng_write_link(&file, "alice", 256) &&
		    pcapng_write_link(&file, "home.wan", 256) && pcapng_write_link(&file, "nobody", 256));
	put_frame(&file, 0, 5, ip, len);
	put_frame(&file, 0, 7, ip, len);
	put_frame(&file, 2, 7, ip, len);
	put_frame(&file, 1, 7, ip, len);
	put_frame(&file, 0, 8, error, whole);
	put_arp(&file, 0, 8);
	uint8_t *p = buf_data(&file);
	assert_int_equal(why_read_capture(p, file.len, 6000000000, hosts, 3, 9, out, 8), 4);
	assert_true(out[0].link == 1 && !out[0].side && out[0].frame == 2);
	assert_true(
		out[1].link == 2 && out[1].side == 'w' && out[1].frame == 4 && out[1].body == out[0].body);
	assert_true(endpoint_equal(&out[0].src, &a) && endpoint_equal(&out[0].dst, &s));
	assert_true(out[2].refuses && out[2].cited_proto == IP_UDP && endpoint_equal(&out[2].cited_dst, &s));
	assert_true(out[3].asks_who && addr_equal(&out[3].src.ip, &a.ip) &&
		    addr_equal(&out[3].cited_dst.ip, &s.ip));
	assert_int_equal(why_read_capture(p, file.len, 0, hosts, 3, 1, out, 8), 2); /* one of each link */
	assert_int_equal(why_read_capture(p, file.len, 0, hosts, 3, 9, out, 1), 1);
	/* Any cut, and any bent byte, is survived. */
	for (size_t i = 0; i <= file.len; i++)
		(void)why_read_capture(p, i, 0, hosts, 3, 9, out, 8);
	for (size_t i = 0; i < file.len; i++) {
		p[i] ^= 0xff;
		(void)why_read_capture(p, file.len, 0, hosts, 3, 9, out, 8);
		p[i] ^= 0xff;
	}
	buf_free(&file);
}

/* Where a packet was seen, and where no more; routers that translate do not hide it. */
static void test_trail(void **state)
{
	struct why_host hosts[] = { { .name = "alice", .ip = at(ALICE, 0).ip, .asks = true },
		{ .name = "s", .ip = at(SERVER, 0).ip },
		{ .name = "home", .ip = at(5, 0).ip, .is_router = true } };
	struct why_packet p[3];
	struct why_facts f = { .hosts = hosts, .n_hosts = 3, .packets = p, .n_packets = 3 };
	struct why_lines *out = calloc(1, sizeof(*out));
	char frames[80];
	(void)state;
	assert_non_null(out);
	p[0] = p[1] = packet(ALICE, IP_UDP, ALICE, 4000, SERVER, 53);
	p[2] = packet(2, IP_UDP, 5, 61000, SERVER, 53);
	p[1].link = 2;
	p[1].side = 'l';
	p[2].side = 'w';
	for (uint32_t i = 0; i < 3; i++) {
		p[i].frame = 10 + i;
		p[i].at_ns = 1000000000 + i * 1000;
		p[i].body = 77;
	}
	why_conclude(&f, out);
	assert_int_equal(out->n, 1);
	assert_string_equal(out->list[0].text,
		"what alice sent to udp port 53 of s did not arrive there: frame 10 at alice, 11 "
		"at home.lan, 12 at home.wan");
	assert_int_equal(out->list[0].rank, WHY_SILENT);
	struct endpoint src = at(ALICE, 4000), dst = at(SERVER, 53), other = at(SERVER, 54);
	assert_string_equal(
		why_frames(&f, "home", &src, &dst, IP_UDP, frames, sizeof(frames)), " (frame 11)");
	assert_string_equal(why_frames(&f, "home", &src, &other, IP_UDP, frames, sizeof(frames)), "");
	/* A packet to a router itself. */
	out->n = 0;
	p[0].dst = p[1].dst = at(5, 53);
	f.n_packets = 2;
	p[1].side = 'w';
	why_conclude(&f, out);
	assert_non_null(strstr(
		out->list[0].text, "1 came to udp port 53 of home from alice, which passes none of them on"));
	free(out);
}

/* The surest is first; equal ones keep their order; when there is no room the least sure goes. */
static void test_order(void **state)
{
	struct why_lines *all = calloc(1, sizeof(*all));
	(void)state;
	assert_non_null(all);
	why_add(all, WHY_SILENT, "silent");
	why_add(all, WHY_DROP, "drop %d", 1);
	why_add(all, WHY_DROP, "drop %d", 2);
	why_add(all, WHY_DROP, "drop %d", 1);
	why_add(all, WHY_IDLE, "idle");
	static const char *const want[] = { "idle", "drop 1", "drop 2", "silent" };
	assert_int_equal(all->n, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(all->list[i].text, want[i]);
	for (int i = 0; i < 2 * WHY_LINES; i++)
		why_add(all, WHY_ASIDE, "aside %d", i);
	assert_int_equal(all->n, WHY_LINES);
	why_add(all, WHY_DIED, "died");
	assert_int_equal(all->n, WHY_LINES);
	assert_string_equal(all->list[0].text, "died");
	assert_string_equal(all->list[4].text, "silent");
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_the_way),
		cmocka_unit_test(test_conclusions),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_tunnels),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_dns_loop),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_trail),
		cmocka_unit_test(test_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
