#include "mesh/base/fuzz/must.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/offload.h"
#include <string.h>

enum { SUPER_MAX = 65536 + (int)sizeof(struct virtio_net_hdr), PIECES_MAX = 4096 };

static bool same_flow(const struct ip_view *a, const struct ip_view *b)
{
	return addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) && a->proto == b->proto &&
	       a->sport == b->sport && a->dport == b->dport && a->later_fragment == b->later_fragment;
}

/* Whatever the kernel hands out: pieces fit their buffers, are whole packets again, and of one flow where they say so. */
static void cut(const uint8_t *data, size_t len, bool with_header)
{
	static uint8_t super[SUPER_MAX];
	static struct pkt out;
	struct offload_cut c;
	len = len < sizeof(super) ? len : sizeof(super);
	memcpy(super, data, len);
	if (!offload_cut_begin(&c, super, len, with_header))
		return;
	struct ip_view before = { 0 };
	for (int n = 0; n < PIECES_MAX && offload_cut_next(&c, &out); n++) {
		struct ip_view v;
		must(!out.follows || n);
		must(out.at + out.len <= PKT_SIZE - PKT_TAILROOM);
		if (c.whole)
			continue;
		must(ip_parse(pkt_data(&out), out.len, &v) && v.total_len == out.len);
		uint16_t sum = ip_l4_checksum(
			&v.src, &v.dst, v.proto, pkt_data(&out) + v.l4_at, out.len - (size_t)v.l4_at);
		must(sum == 0 || sum == 0xffff);
		must(!out.follows || same_flow(&before, &v));
		before = v;
	}
}

/* Packets of strangers, each behind two bytes of length, with their checksums made right so that they can
 * be joined. */
static size_t read_packets(struct rd r, struct pkt *pkts)
{
	size_t n = 0;
	while (r.left && n < PKT_BATCH) {
		size_t len = rd_u16(&r) % (PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM);
		len = len < r.left ? len : r.left;
		const uint8_t *p = rd_take(&r, len);
		if (!p || !len)
			break;
		struct pkt *k = &pkts[n++];
		struct ip_view v;
		pkt_reset(k);
		memcpy(pkt_data(k), p, len);
		k->len = (uint16_t)len;
		if (ip_parse(p, len, &v) && (v.proto == IP_TCP || v.proto == IP_UDP) && !v.later_fragment &&
			v.total_len == len) {
			uint8_t *l4 = pkt_data(k) + v.l4_at, *sum = l4 + (v.proto == IP_TCP ? 16 : 6);
			be_put(sum, 2, 0);
			be_put(sum, 2, ip_l4_checksum(&v.src, &v.dst, v.proto, l4, len - v.l4_at));
		}
	}
	return n;
}

/* What is joined and cut again carries the same bytes of the flow. */
static void join_then_cut(const uint8_t *data, size_t len)
{
	static struct pkt pkts[PKT_BATCH], keep[PKT_BATCH], out;
	static uint8_t super[SUPER_MAX + PKT_SIZE];
	struct pkt *ptr[PKT_BATCH];
	size_t n = read_packets(rd_of(data, len), pkts);
	memcpy(keep, pkts, n * sizeof(*pkts));
	for (size_t i = 0; i < n; i++)
		ptr[i] = &pkts[i];
	for (size_t i = 0; i < n;) {
		struct offload_join j = { .udp = true };
		struct iovec iov[OFFLOAD_IOV_MAX];
		size_t n_iov, at = 0, took = offload_join_next(&j, ptr + i, n - i, iov, &n_iov);
		must(took >= 1 && took <= n - i && n_iov <= OFFLOAD_IOV_MAX);
		for (size_t k = 0; k < n_iov; at += iov[k++].iov_len)
			memcpy(super + at, iov[k].iov_base, iov[k].iov_len);
		struct offload_cut c;
		must(took == 1 || offload_cut_begin(&c, super, at, true));
		for (size_t k = 0; took > 1 && k < took; k++) {
			const struct pkt *was = &keep[i + k];
			struct ip_view a, b;
			must(offload_cut_next(&c, &out) && out.len == was->len);
			must(ip_parse(pkt_data(&out), out.len, &a) &&
				ip_parse(was->b + was->at, was->len, &b));
			must(a.payload_at == b.payload_at);
			must(memcmp(pkt_data(&out) + a.payload_at, was->b + was->at + b.payload_at,
				     out.len - (size_t)a.payload_at) == 0);
			must(memcmp(pkt_data(&out) + a.l4_at, was->b + was->at + b.l4_at,
				     a.proto == IP_TCP ? 13 : 8) == 0);
		}
		must(took == 1 || !offload_cut_next(&c, &out));
		i += took;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	switch (data[0] % 3) {
	case 0: cut(data + 1, len - 1, true); break;
	case 1: cut(data + 1, len - 1, false); break;
	default: join_then_cut(data + 1, len - 1); break;
	}
	return 0;
}
