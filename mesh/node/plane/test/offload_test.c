#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/offload.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct endpoint ep(const char *text)
{
	struct endpoint e;
	assert_true(endpoint_parse(text, &e));
	return e;
}

/* A TCP packet with right checksums at PKT_HEADROOM. */
static void make_tcp(struct pkt *p, bool v6, uint32_t seq, size_t payload, uint8_t flags)
{
	struct endpoint src = ep(v6 ? "[fd7a::1]:1" : "10.0.0.1:1"),
			dst = ep(v6 ? "[fd7a::2]:2" : "10.0.0.2:2");
	size_t at = v6 ? 40 : 20;
	pkt_reset(p);
	uint8_t *b = pkt_data(p), *l4 = b + at;
	memset(l4, 0, 20);
	be_put(l4, 2, src.port);
	be_put(l4 + 2, 2, dst.port);
	be_put(l4 + 4, 4, seq);
	be_put(l4 + 8, 4, 77);
	l4[12] = 5 << 4;
	l4[13] = flags;
	be_put(l4 + 14, 2, 1000);
	for (size_t i = 0; i < payload; i++)
		l4[20 + i] = (uint8_t)(seq + i);
	be_put(l4 + 16, 2, ip_l4_checksum(&src.ip, &dst.ip, IP_TCP, l4, 20 + payload));
	p->len = (uint16_t)ip_write_header(b, &src.ip, &dst.ip, IP_TCP, 20 + payload);
}

static void make_udp(struct pkt *p, bool v6, uint8_t fill, size_t payload)
{
	struct endpoint src = ep(v6 ? "[fd7a::1]:1" : "10.0.0.1:1"),
			dst = ep(v6 ? "[fd7a::2]:2" : "10.0.0.2:2");
	pkt_reset(p);
	memset(pkt_data(p) + (v6 ? 48 : 28), fill, payload);
	p->len = (uint16_t)ip_write_udp(pkt_data(p), &src, &dst, payload);
}

static size_t flatten(const struct iovec *iov, size_t n, uint8_t *out)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

enum { N = 20, MSS = 1220 };

/* The identification counts up from the first one's. */
static void reset_id(struct pkt *p, size_t i)
{
	uint8_t *b = pkt_data(p);
	if (b[0] >> 4 != 4)
		return;
	assert_int_equal(be_get(b + 4, 2), i);
	be_put(b + 4, 2, 0);
	be_put(b + 10, 2, 0);
	be_put(b + 10, 2, ip_checksum(b, 20, 0));
}

/* What is joined and cut again is what it was, bit for bit. */
static void join_then_cut(struct pkt *in)
{
	static struct pkt keep[N], out;
	static uint8_t super[70000];
	struct pkt *ptr[N];
	struct offload_join j = { .udp = true };
	struct iovec iov[OFFLOAD_IOV_MAX];
	struct offload_cut c;
	size_t n_iov;
	memcpy(keep, in, sizeof(keep));
	for (size_t i = 0; i < N; i++)
		ptr[i] = &in[i];
	assert_int_equal(offload_join_next(&j, ptr, N, iov, &n_iov), N);
	assert_int_equal(n_iov, N + 1);
	assert_true(offload_cut_begin(&c, super, flatten(iov, n_iov, super), true));
	for (size_t i = 0; i < N; i++) {
		assert_true(offload_cut_next(&c, &out));
		assert_int_equal(out.follows, i > 0);
		reset_id(&out, i);
		assert_int_equal(out.len, keep[i].len);
		assert_memory_equal(pkt_data(&out), pkt_data(&keep[i]), out.len);
	}
	assert_false(offload_cut_next(&c, &out));
	assert_false(c.bad);
}

static void test_join_then_cut(void **state)
{
	(void)state;
	static struct pkt in[N];
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < N; i++) {
			bool last = i == N - 1;
			make_tcp(&in[i], v6, (uint32_t)(1000 + i * MSS), last ? 100 : MSS,
				last ? TCP_ACK | TCP_PSH : TCP_ACK);
		}
		join_then_cut(in);
		for (size_t i = 0; i < N; i++)
			make_udp(&in[i], v6, (uint8_t)i, i == N - 1 ? 100 : MSS);
		join_then_cut(in);
	}
}

/* Each of these must end the run after the first datagram. */
static void test_udp_join_refuses(void **state)
{
	(void)state;
	enum what { NOT_ASKED, OTHER_PORT, BAD_SUM, NO_SUM, EMPTY, LARGER, CLASS, SHORT_LENGTH, KINDS };
	for (int what = 0; what < KINDS; what++) {
		static struct pkt a, b;
		make_udp(&a, false, 1, 100);
		make_udp(&b, false, 2, what == EMPTY ? 0 : what == LARGER ? 101 : 100);
		uint8_t *ip = pkt_data(&b), *l4 = ip + 20;
		if (what == OTHER_PORT) {
			be_put(l4, 2, be_get(l4, 2) + 1);
			be_put(l4 + 6, 2, be_get(l4 + 6, 2) - 1);
		}
		if (what == BAD_SUM)
			l4[20] ^= 1;
		if (what == NO_SUM)
			be_put(l4 + 6, 2, 0);
		if (what == CLASS)
			ip[1] = 3; /* congestion was met */
		if (what == SHORT_LENGTH)
			be_put(l4 + 4, 2, 90);
		struct pkt *ptr[2] = { &a, &b };
		struct offload_join j = { .udp = what != NOT_ASKED };
		struct iovec iov[OFFLOAD_IOV_MAX];
		size_t n_iov;
		if (offload_join_next(&j, ptr, 2, iov, &n_iov) != 1)
			fail_msg("case %d was joined", what);
		assert_int_equal(j.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
}

/* Each of these must end the run after the first packet. */
static void test_join_refuses(void **state)
{
	(void)state;
	enum what { GAP, OTHER_PORT, BAD_SUM, SYN, EMPTY, WINDOW, PSH_FIRST, LARGER, KINDS };
	for (int what = 0; what < KINDS; what++) {
		static struct pkt a, b;
		make_tcp(&a, false, 1000, 100, what == PSH_FIRST ? TCP_ACK | TCP_PSH : TCP_ACK);
		make_tcp(&b, false, what == GAP ? 1101 : 1100,
			what == EMPTY	 ? 0
			: what == LARGER ? 101
					 : 100,
			what == SYN ? TCP_ACK | TCP_SYN : TCP_ACK);
		uint8_t *l4 = pkt_data(&b) + 20;
		if (what == OTHER_PORT || what == WINDOW) {
			/* Both sides of a 16-bit move keep the sum right. */
			size_t at = what == WINDOW ? 14 : 2;
			uint64_t old = be_get(l4 + at, 2), sum = be_get(l4 + 16, 2);
			be_put(l4 + at, 2, old + 1);
			be_put(l4 + 16, 2, sum ? sum - 1 : 0xfffe);
		}
		if (what == BAD_SUM)
			l4[25] ^= 1;
		struct pkt *ptr[2] = { &a, &b };
		struct offload_join j = { .udp = true };
		struct iovec iov[OFFLOAD_IOV_MAX];
		size_t n_iov;
		if (offload_join_next(&j, ptr, 2, iov, &n_iov) != 1)
			fail_msg("case %d was joined", what);
		assert_int_equal(j.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
}

static void test_cut_refuses(void **state)
{
	(void)state;
	static struct pkt p;
	static uint8_t b[2048];
	make_tcp(&p, false, 1, 500, TCP_ACK);
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 100,
		.hdr_len = 40,
		.csum_start = 20,
		.csum_offset = 16 };
	struct offload_cut c;
	for (int what = 0; what < 5; what++) {
		struct virtio_net_hdr bad = h;
		if (what == 0)
			bad.gso_size = 0;
		if (what == 1)
			bad.csum_start = 600;
		if (what == 2)
			bad.csum_start = 24;
		if (what == 3)
			bad.gso_type = 5; /* UDP type over a TCP packet */
		memcpy(b, &bad, sizeof(bad));
		memcpy(b + sizeof(bad), pkt_data(&p), p.len);
		size_t len = what == 4 ? sizeof(bad) - 1 : sizeof(bad) + p.len;
		if (offload_cut_begin(&c, b, len, true))
			fail_msg("case %d was taken", what);
	}
	memcpy(b, &h, sizeof(h));
	memcpy(b + sizeof(h), pkt_data(&p), p.len);
	assert_true(offload_cut_begin(&c, b, sizeof(h) + p.len, true));
}

static void test_single_needs_checksum(void **state)
{
	(void)state;
	static struct pkt p, out;
	static uint8_t b[2048];
	make_tcp(&p, false, 1, 50, TCP_ACK);
	/* The kernel leaves the pseudo-header's sum in the field. */
	struct ip_view v;
	assert_true(ip_parse(pkt_data(&p), p.len, &v));
	uint8_t pseudo[8];
	memcpy(pseudo, pkt_data(&p) + 12, 8);
	uint8_t want[2048];
	memcpy(want, pkt_data(&p), p.len);
	be_put(pkt_data(&p) + 36, 2, (uint16_t)~ip_checksum(pseudo, 8, IP_TCP + 70));
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16
	};
	memcpy(b, &h, sizeof(h));
	memcpy(b + sizeof(h), pkt_data(&p), p.len);
	struct offload_cut c;
	assert_true(offload_cut_begin(&c, b, sizeof(h) + p.len, true));
	assert_true(offload_cut_next(&c, &out));
	assert_memory_equal(pkt_data(&out), want, p.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_join_then_cut),
		cmocka_unit_test(test_join_refuses), cmocka_unit_test(test_udp_join_refuses),
		cmocka_unit_test(test_cut_refuses), cmocka_unit_test(test_single_needs_checksum) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
