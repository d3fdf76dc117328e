#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "simnet/report/why.h"
#include <stdio.h>
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
	struct buf out = { .cap = 4096 };
	unsigned said = why_conclude(&f, &out);
	const char *text = said ? buf_cstr(&out) : "";
	if (strcmp(text, want) != 0)
		fail_msg("\n got %s\nwant %s", text, want);
	buf_free(&out);
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
	closed.icmp_code = 1;
	closed.cited_dst = at(7, 53);
	struct why_packet unreachable[] = { closed };
	assert_says(unreachable, 1, server, "s says that 203.0.113.17 cannot be reached\n");
	closed.icmp_code = 13;
	unreachable[0] = closed;
	assert_says(unreachable, 1, server, "s says that 203.0.113.17 is forbidden for alice\n");

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

/* A tunnel's datagrams are not questions. */
static void test_tunnels(void **state)
{
	struct why_host hosts[] = {
		{ .name = "alice", .ip = at(ALICE, 0).ip, .asks = true, .in_mesh = true }
	};
	struct why_packet p = packet(ALICE, IP_UDP, ALICE, 41641, SERVER, 41641);
	struct why_facts f = { .hosts = hosts, .n_hosts = 1, .packets = &p, .n_packets = 1 };
	struct buf out = { .cap = 4096 };
	(void)state;
	assert_int_equal(why_conclude(&f, &out), 0);
}

static size_t put_record(uint8_t *p, uint32_t at_s, const uint8_t *ip, size_t len)
{
	memset(p, 0, 16 + 14);
	le_put(p, 4, at_s);
	le_put(p + 8, 4, 14 + len);
	memcpy(p + 16 + 14, ip, len);
	return 16 + 14 + len;
}

static void test_captures(void **state)
{
	uint8_t file[1024] = { 0 }, ip[128] = { 0 }, error[128] = { 0 };
	struct endpoint a = at(ALICE, 4000), s = at(SERVER, 53);
	struct why_packet out[8];
	(void)state;

	size_t len = ip_write_udp(ip, &a, &s, 4), n = 24;
	n += put_record(file + n, 5, ip, len);
	n += put_record(file + n, 7, ip, len);
	memcpy(error + 28, ip, len);
	error[20] = 3;
	error[21] = 3;
	size_t whole = ip_write_header(error, &s.ip, &a.ip, IP_ICMP, 8 + len);
	n += put_record(file + n, 8, error, whole);
	assert_int_equal(why_read_capture(file, n, 3, 6000000000, out, 8), 2);
	assert_int_equal(out[0].link, 3);
	assert_true(endpoint_equal(&out[0].src, &a) && endpoint_equal(&out[0].dst, &s));
	assert_true(out[1].refuses && out[1].cited_proto == IP_UDP && endpoint_equal(&out[1].cited_dst, &s));
	/* Any cut, and any bent byte, is survived. */
	for (size_t i = 0; i <= n; i++)
		(void)why_read_capture(file, i, 0, 0, out, 8);
	for (size_t i = 24; i < n; i++) {
		file[i] ^= 0xff;
		(void)why_read_capture(file, n, 0, 0, out, 8);
		file[i] ^= 0xff;
	}
	assert_int_equal(why_read_capture(file, n, 0, 0, out, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conclusions),
		cmocka_unit_test(test_tunnels),
		cmocka_unit_test(test_captures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
