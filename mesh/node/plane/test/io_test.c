/* The two ends of the data plane over sockets: tun over a socket pair, udp over loopback. */
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <cmocka.h>

enum { MSS = 1000, N = 20, HEAD = 40, WAIT_MS = 60000 };

struct seen {
	struct loop *loop;
	size_t packets, bytes, calls, each[4]; /* each: packets of the first calls */
	int lost, failed;
	uint32_t next_seq;
};

static void tun_received(void *arg, struct pkt *pkts, size_t n)
{
	struct seen *s = arg;
	if (s->calls < ARRAY_LEN(s->each))
		s->each[s->calls] = n;
	s->calls++;
	for (size_t i = 0; i < n; i++) {
		struct ip_view v;
		assert_true(ip_parse(pkt_data(&pkts[i]), pkts[i].len, &v));
		const uint8_t *l4 = pkt_data(&pkts[i]) + v.l4_at;
		assert_int_equal(
			ip_l4_checksum(&v.src, &v.dst, v.proto, l4, pkts[i].len - (size_t)v.l4_at), 0);
		assert_int_equal(be_get(l4 + 4, 4), s->next_seq);
		s->next_seq += (uint32_t)(v.total_len - v.payload_at);
		s->packets++;
	}
}

static void tun_lost(void *arg, int code)
{
	assert_true(code < 0);
	((struct seen *)arg)->lost++;
}

static size_t make_tcp(uint8_t *p, uint32_t seq, size_t payload)
{
	struct addr src = addr_v4(0x64400001), dst = addr_v4(0x64400002);
	uint8_t *l4 = p + 20;
	memset(l4, 0, 20 + payload);
	be_put(l4 + 4, 4, seq);
	l4[12] = 5 << 4;
	l4[13] = TCP_ACK;
	be_put(l4 + 16, 2, ip_l4_checksum(&src, &dst, IP_TCP, l4, 20 + payload));
	return ip_write_header(p, &src, &dst, IP_TCP, 20 + payload);
}

/* What a TUN does, by a socket: *fd is the kernel's end. */
static struct tun *open_pair(struct seen *s, int *fd)
{
	int pair[2], size = 1 << 20;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	struct tun_events ev = { .received = tun_received, .lost = tun_lost, .arg = s };
	struct tun *t = tun_adopt(s->loop, pair[1], true, &ev);
	assert_non_null(t);
	*fd = pair[0];
	return t;
}

/* Of a super-packet of TCP whose pieces carry so much each. */
static struct virtio_net_hdr super_header(uint16_t mss)
{
	return (struct virtio_net_hdr) { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEAD,
		.gso_size = mss,
		.csum_start = 20,
		.csum_offset = 16 };
}

static void test_tun(void **state)
{
	struct seen s = { .loop = loop_new(), .next_seq = 100 };
	static uint8_t b[65536];
	static struct pkt pkts[N];
	struct pkt *ptr[N];
	int fd;
	(void)state;
	struct tun *t = open_pair(&s, &fd);

	/* In: one super-packet becomes packets; a header that lies is counted. */
	struct virtio_net_hdr h = super_header(MSS);
	memcpy(b, &h, sizeof(h));
	size_t len = sizeof(h) + make_tcp(b + sizeof(h), 100, N * MSS);
	assert_int_equal(send(fd, b, len, 0), len);
	while (s.packets < N)
		loop_run_once(s.loop);
	h.csum_offset = 9000;
	memcpy(b, &h, sizeof(h));
	assert_int_equal(send(fd, b, len, 0), len);
	while (!tun_drops(t)->tun_bad_header)
		loop_run_once(s.loop);
	assert_int_equal(s.packets, N);

	/* Small packets that wait together are handed over together. */
	struct virtio_net_hdr plain = { 0 };
	for (size_t i = 0; i < N; i++) {
		memcpy(b, &plain, sizeof(plain));
		len = sizeof(plain) + make_tcp(b + sizeof(plain), s.next_seq + (uint32_t)i * 10, 10);
		assert_int_equal(send(fd, b, len, 0), len);
	}
	s.calls = 0;
	while (s.packets < 2 * N)
		loop_run_once(s.loop);
	assert_int_equal(s.calls, 1);

	/* Out: packets of one flow leave joined. */
	for (size_t i = 0; i < N; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = (uint16_t)make_tcp(pkt_data(&pkts[i]), (uint32_t)(i * MSS), MSS);
		ptr[i] = &pkts[i];
	}
	tun_write_batch(t, ptr, N);
	ssize_t got = recv(fd, b, sizeof(b), 0);
	assert_int_equal(got, sizeof(h) + HEAD + N * MSS);
	memcpy(&h, b, sizeof(h));
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, MSS);

	close(fd);
	while (!s.lost)
		loop_run_once(s.loop);
	tun_close(t);
	loop_free(s.loop);
	assert_int_equal(s.lost, 1);
}

/* Two of the kernel's largest super-packets wait: what is handed over at once is sent by one write, to a relay or by UDP. */
static void test_tun_batches(void **state)
{
	enum { LARGE_MSS = 1280 - HEAD, LARGE = 52, BY_ONE_WRITE = 48 };
	struct seen s = { .loop = loop_new(), .next_seq = 7 };
	static uint8_t b[65536];
	int fd;
	(void)state;
	struct tun *t = open_pair(&s, &fd);
	struct virtio_net_hdr h = super_header(LARGE_MSS);
	for (uint32_t i = 0; i < 2; i++) {
		memcpy(b, &h, sizeof(h));
		size_t len = sizeof(h) +
			     make_tcp(b + sizeof(h), 7 + i * LARGE * LARGE_MSS, (size_t)LARGE * LARGE_MSS);
		assert_int_equal(send(fd, b, len, 0), len);
	}
	while (s.packets < (size_t)2 * LARGE)
		loop_run_once(s.loop);
	assert_int_equal(s.calls, 3);
	assert_int_equal(s.each[0], BY_ONE_WRITE);
	assert_int_equal(s.each[1], BY_ONE_WRITE);
	assert_int_equal(s.each[2], 2 * LARGE - 2 * BY_ONE_WRITE);
	tun_close(t);
	close(fd);
	loop_free(s.loop);
}

static void udp_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct seen *s = arg;
	for (size_t i = 0; i < n; i++) {
		assert_true(addr_is_loopback(&from[i].ip));
		s->bytes += pkts[i].len;
		s->packets++;
	}
}

static void udp_failed(void *arg, const struct endpoint *to, int code)
{
	(void)to;
	assert_true(code < 0);
	((struct seen *)arg)->failed++;
}

/* The socket is udp.c's own affair: found by its port. */
static int find_socket(uint16_t port)
{
	struct endpoint at;
	for (int fd = 3; fd < 256; fd++) {
		if (sock_local(fd, &at) == 0 && at.port == port)
			return fd;
	}
	return -1;
}

static void test_udp_may_be_cut(void **state)
{
	struct seen s = { .loop = loop_new() };
	struct udp_events ev = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
	struct errbuf eb;
	(void)state;
	struct udp *u = udp_open(s.loop, 0, &ev, &eb);
	assert_non_null(u);
	int fd = find_socket(udp_port(u)), four = -1;
	socklen_t n = sizeof(four);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &four, &n), 0);
	assert_int_equal(four, IP_PMTUDISC_DONT);
	udp_close(u);
	loop_free(s.loop);
}

static void test_udp(void **state)
{
	static const struct {
		size_t len[6];
		size_t n;
	} rows[] = {
		{ { 1200, 1200, 1200, 1200, 1200, 1200 }, 6 },
		{ { 1200, 1200, 700, 1200, 1200, 1 }, 6 },
		{ { 100, 200, 300, 300, 200, 100 }, 6 },
		{ { 1 }, 1 },
	};
	struct seen s = { .loop = loop_new() };
	struct errbuf eb;
	static struct pkt pkts[6];
	struct pkt *ptr[6];
	(void)state;
	struct udp_events ev = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
	struct udp *a = udp_open(s.loop, 0, &ev, &eb), *b = udp_open(s.loop, 0, &ev, &eb);
	assert_true(a && b);
	struct endpoint to = { .ip = addr_v4(0x7f000001), .port = udp_port(b) };
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		size_t bytes = s.bytes, packets = s.packets;
		for (size_t i = 0; i < rows[r].n; i++) {
			pkt_reset(&pkts[i]);
			pkts[i].len = (uint16_t)rows[r].len[i];
			bytes += pkts[i].len;
			ptr[i] = &pkts[i];
		}
		udp_send_batch(a, &to, ptr, rows[r].n);
		while (s.packets < packets + rows[r].n)
			loop_run_once(s.loop);
		if (s.bytes != bytes)
			fail_msg("row %zu: %zu bytes", r, s.bytes);
	}
	/* A taken port is not the end. */
	struct udp *c = udp_open(s.loop, udp_port(b), &ev, &eb);
	assert_non_null(c);
	assert_int_not_equal(udp_port(c), udp_port(b));
	/* Port 0 cannot be sent to: said once, and counted. */
	to.port = 0;
	udp_send(a, &to, (const uint8_t *)"x", 1);
	assert_int_equal(s.failed, 1);
	assert_int_equal(udp_drops(a)->udp_unsent, 1);
	udp_close(a);
	udp_close(b);
	udp_close(c);
	loop_free(s.loop);
}

struct marks {
	uint8_t ecn[8];
	size_t n;
};

static void marked(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct marks *m = arg;
	(void)from;
	for (size_t i = 0; i < n && m->n < ARRAY_LEN(m->ecn); i++)
		m->ecn[m->n++] = pkts[i].ecn;
}

/* Marks of datagrams that leave together and of one alone, by both families. */
static void test_udp_marks(void **state)
{
	static const uint8_t marks[] = { 2, 2, 2, 3, 3, 0, 1 };
	static const struct addr to_ip[] = { { { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, { { [15] = 1 } } };
	static struct pkt pkts[ARRAY_LEN(marks)];
	struct pkt *ptr[ARRAY_LEN(marks)];
	(void)state;
	for (size_t family = 0; family < ARRAY_LEN(to_ip); family++) {
		struct loop *l = loop_new();
		struct seen s = { .loop = l };
		struct marks m = { .n = 0 };
		struct errbuf eb;
		struct udp_events send = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
		struct udp_events take = { .received = marked, .send_failed = udp_failed, .arg = &m };
		struct udp *a = udp_open(l, 0, &send, &eb), *b = udp_open(l, 0, &take, &eb);
		struct endpoint to = { .ip = to_ip[family], .port = udp_port(b) };
		for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
			pkt_reset(&pkts[i]);
			pkts[i].len = 1000;
			pkts[i].ecn = marks[i];
			ptr[i] = &pkts[i];
		}
		udp_send_batch(a, &to, ptr, ARRAY_LEN(marks));
		while (m.n < ARRAY_LEN(marks) && !s.failed)
			loop_run_once(l);
		if (!s.failed)
			assert_memory_equal(m.ecn, marks, sizeof(marks));
		else
			assert_int_equal(family, 1); /* a machine without IPv6 */
		udp_close(a);
		udp_close(b);
		loop_free(l);
	}
}

static void translated(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct seen *s = arg;
	struct addr one = addr_v4(1);
	(void)pkts;
	for (size_t i = 0; i < n; i++)
		assert_true(addr_equal(&from[i].ip, &one));
	s->packets += n;
}

static void test_udp_near(void **state)
{
	struct seen s = { .loop = loop_new() };
	struct udp_events ev = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
	struct errbuf eb;
	(void)state;
	struct udp *a = udp_open(s.loop, 0, &ev, &eb);
	struct endpoint any = { .ip = addr_v4(0x7f000001) }, to;
	int fd = sock_udp(&any, &eb), one = 1;
	assert_true(a && fd >= 0 && sock_local(fd, &to) == 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)), 0);
	to.ip = any.ip;
	udp_send_near(a, &to, 2, (const uint8_t *)"near", 4);
	udp_send(a, &to, (const uint8_t *)"far", 3);
	static const struct {
		ssize_t len;
		int least, most;
	} rows[] = { { 4, 3, 3 }, { 3, 32, 255 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char b[16];
		union {
			struct cmsghdr align;
			char b[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = { b, sizeof(b) };
		struct msghdr m = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control) };
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		assert_int_equal(recvmsg(fd, &m, 0), rows[i].len);
		const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		int life = 0;
		if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_TTL) {
			fail_msg("row %zu", i);
			return;
		}
		memcpy(&life, CMSG_DATA(c), sizeof(life));
		assert_in_range(life, rows[i].least, rows[i].most);
	}
	assert_int_equal(s.failed, 0);
	close(fd);
	udp_close(a);
	loop_free(s.loop);
}

/* With the prefix ::/96 the loopback ::1 is where 0.0.0.1 is translated to. */
static void test_udp_through_translator(void **state)
{
	struct seen s = { .loop = loop_new() };
	struct udp_events ev = { .received = translated, .send_failed = udp_failed, .arg = &s };
	struct nat64 n = { .bits = 96 };
	struct errbuf eb;
	static struct pkt p;
	struct pkt *ptr[] = { &p };
	(void)state;
	struct udp *a = udp_open(s.loop, 0, &ev, &eb), *b = udp_open(s.loop, 0, &ev, &eb);
	assert_true(a && b);
	struct endpoint to = { .ip = addr_v4(1), .port = udp_port(b) };
	udp_nat64_set(a, &n);
	udp_nat64_set(b, &n);
	pkt_reset(&p);
	p.len = 100;
	udp_send(a, &to, pkt_data(&p), p.len);
	udp_send_batch(a, &to, ptr, 1);
	while (s.packets + s.failed < 2)
		loop_run_once(s.loop);
	udp_close(a);
	udp_close(b);
	loop_free(s.loop);
	if (s.failed) { /* a machine without IPv6 */
		print_message("skipped: no IPv6 loopback here\n");
		skip();
	}
	assert_int_equal(s.packets, 2);
}

/* Packets that our own link cannot carry whole cannot leave as one: each is cut by itself. Last, in a network
 * namespace of its own; skipped where the machine gives none. */
static void test_udp_over_small_link(void **state)
{
	enum { COUNT = 6, LEN = 1340 };
	static struct pkt pkts[COUNT];
	struct pkt *ptr[COUNT];
	struct errbuf eb = { 0 };
	(void)state;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	struct nl *nl = nl_open(&eb);
	assert_non_null(nl);
	int lo = nl_link_index(nl, "lo");
	assert_true(nl_link_mtu(nl, lo, 1280, &eb) == 0 && nl_link_up(nl, lo, true, &eb) == 0);
	nl_close(nl);
	struct seen s = { .loop = loop_new() };
	struct udp_events ev = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
	struct udp *a = udp_open(s.loop, 0, &ev, &eb), *b = udp_open(s.loop, 0, &ev, &eb);
	assert_true(a && b);
	struct endpoint to = { .ip = addr_v4(0x7f000001), .port = udp_port(b) };
	for (size_t i = 0; i < COUNT; i++) {
		pkt_reset(&pkts[i]);
		memset(pkt_data(&pkts[i]), 0, LEN);
		pkts[i].len = LEN;
		ptr[i] = &pkts[i];
	}
	udp_send_batch(a, &to, ptr, COUNT);
	assert_int_equal(s.failed, 0);
	while (s.packets < COUNT)
		loop_run_once(s.loop);
	assert_int_equal(s.bytes, COUNT * LEN);
	udp_close(a);
	udp_close(b);
	loop_free(s.loop);
}

static bool kernel_is_since(int major, int minor)
{
	struct utsname u;
	int v[2] = { 0, 0 };
	assert_int_equal(uname(&u), 0);
	char *end = u.release;
	v[0] = (int)strtol(end, &end, 10);
	v[1] = *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
	return v[0] > major || (v[0] == major && v[1] >= minor);
}

/* What is told of offloads is what was got. In a namespace of its own as well. */
static void test_offloads(void **state)
{
	struct seen s = { .loop = loop_new() };
	struct tun_events te = { .received = tun_received, .lost = tun_lost, .arg = &s };
	struct udp_events ue = { .received = udp_received, .send_failed = udp_failed, .arg = &s };
	struct errbuf eb = { 0 };
	(void)state;
	bool apart = own_ns(CLONE_NEWNET);
	struct udp *u = udp_open(s.loop, 0, &ue, &eb);
	assert_non_null(u);
	assert_true(udp_offloads(u).gso && udp_offloads(u).gro);
	udp_close(u);
	struct tun *t = apart && tun_check(&eb) == 0 ? tun_open(s.loop, "io0", &te, &eb) : NULL;
	if (t) {
		assert_true(tun_offloads(t).tcp);
		assert_true(tun_offloads(t).udp || !kernel_is_since(6, 2));
	}
	bool skipped = !t;
	tun_close(t);
	loop_free(s.loop);
	if (skipped) {
		print_message("skipped: %s\n", apart ? eb.text : "this kernel gives no network namespace");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tun), cmocka_unit_test(test_tun_batches),
		cmocka_unit_test(test_udp), cmocka_unit_test(test_udp_marks),
		cmocka_unit_test(test_udp_through_translator), cmocka_unit_test(test_udp_may_be_cut),
		cmocka_unit_test(test_udp_near), cmocka_unit_test(test_udp_over_small_link),
		cmocka_unit_test(test_offloads) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
