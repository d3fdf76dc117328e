#include "mesh/node/plane/offload.h"
#include "mesh/base/wire.h"
#include <string.h>

enum {
	GSO_TCP4 = VIRTIO_NET_HDR_GSO_TCPV4,
	GSO_TCP6 = VIRTIO_NET_HDR_GSO_TCPV6,
	GSO_UDP_L4 = 5,
	GSO_ECN = 0x80
};
enum { SUPER_BYTES_MAX = 65535 };

/* Of the pseudo-header, but for the length: the addresses stand together. */
static uint32_t pseudo_sum(const uint8_t *p, uint8_t version, uint8_t proto)
{
	return version == 4 ? ip_sum(p + 12, 8, proto) : ip_sum(p + 8, 32, proto);
}

static void finish_checksum(uint8_t *p, size_t len, size_t start, size_t offset)
{
	/* The field holds the pseudo-header's sum already: summing over it completes the checksum. */
	uint16_t c = ip_checksum(p + start, len - start, 0);
	be_put(p + start + offset, 2, c ? c : 0xffff);
}

bool offload_cut_begin(struct offload_cut *c, uint8_t *p, size_t len, bool with_header)
{
	*c = (struct offload_cut) { .p = p, .len = len, .whole = true };
	if (!with_header)
		return true;
	struct virtio_net_hdr h;
	if (len < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	p += sizeof(h);
	len -= sizeof(h);
	c->p = p;
	c->len = len;
	uint8_t type = h.gso_type & (uint8_t)~GSO_ECN;
	bool need_csum = h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (need_csum && (h.csum_start > len || h.csum_offset + 2u > len - h.csum_start))
		return false;
	if (type == VIRTIO_NET_HDR_GSO_NONE) {
		if (need_csum)
			finish_checksum(p, len, h.csum_start, h.csum_offset);
		return true;
	}
	struct ip_view v;
	if (!need_csum || !h.gso_size || !ip_parse(p, len, &v) || v.l4_at != h.csum_start || v.later_fragment)
		return false;
	if (!((type == GSO_TCP4 || type == GSO_TCP6) && v.proto == IP_TCP) &&
		!(type == GSO_UDP_L4 && v.proto == IP_UDP))
		return false;
	if (h.csum_offset != (v.proto == IP_TCP ? 16 : 6))
		return false;
	*c = (struct offload_cut) { .p = p,
		.len = v.total_len,
		.at = v.payload_at,
		.hdr_len = v.payload_at,
		.seg_len = h.gso_size,
		.csum_start = h.csum_start,
		.csum_offset = h.csum_offset,
		.proto = v.proto,
		.version = v.version,
		.pseudo = pseudo_sum(p, v.version, v.proto) };
	return true;
}

static void fix_headers(const struct offload_cut *c, uint8_t *p, size_t len, bool last)
{
	if (c->version == 4) {
		size_t ihl = (p[0] & 15) * 4u;
		be_put(p + 2, 2, len);
		be_put(p + 4, 2, be_get(p + 4, 2) + c->piece);
		be_put(p + 10, 2, 0);
		be_put(p + 10, 2, ip_checksum(p, ihl, 0));
	} else {
		be_put(p + 4, 2, len - 40);
	}
	uint8_t *l4 = p + c->csum_start;
	size_t l4_len = len - c->csum_start;
	if (c->proto == IP_TCP) {
		be_put(l4 + 4, 4, be_get(l4 + 4, 4) + (uint64_t)c->piece * c->seg_len);
		if (!last)
			l4[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (c->piece)
			l4[13] &= 0x7f; /* CWR stands on the first piece only */
	} else {
		be_put(l4 + 4, 2, l4_len);
	}
	be_put(l4 + c->csum_offset, 2, 0);
	uint16_t sum = ip_checksum(l4, l4_len, c->pseudo + (uint32_t)l4_len);
	be_put(l4 + c->csum_offset, 2, c->proto == IP_UDP && !sum ? 0xffff : sum);
}

bool offload_cut_next(struct offload_cut *c, struct pkt *out)
{
	pkt_reset(out);
	if (c->whole) {
		if (!c->len)
			return false;
		if (c->len > PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM) {
			c->bad = true;
			return false;
		}
		memcpy(pkt_data(out), c->p, c->len);
		out->len = (uint16_t)c->len;
		c->len = 0;
		return true;
	}
	if (c->at >= c->len)
		return false;
	size_t n = c->len - c->at < c->seg_len ? c->len - c->at : c->seg_len, total = c->hdr_len + n;
	if (total > PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM) {
		c->bad = true;
		return false;
	}
	uint8_t *p = pkt_data(out);
	memcpy(p, c->p, c->hdr_len);
	memcpy(p + c->hdr_len, c->p + c->at, n);
	c->at += n;
	fix_headers(c, p, total, c->at >= c->len);
	out->len = (uint16_t)total;
	out->follows = c->piece > 0;
	c->piece++;
	return true;
}

/* What two packets must share to be joined, read from an untrusted inner packet. */
struct flow {
	struct ip_view v;
	const uint8_t *p;
	uint32_t seq, ack;
	uint16_t payload;
	bool ok;
};

static bool look_tcp(struct flow *f, const uint8_t *l4)
{
	f->seq = (uint32_t)be_get(l4 + 4, 4);
	f->ack = (uint32_t)be_get(l4 + 8, 4);
	return (f->v.tcp_flags & ~TCP_PSH) == TCP_ACK;
}

/* A checksum left out stays left out: such are not joined. */
static bool look_udp(const struct flow *f, const uint8_t *l4)
{
	return be_get(l4 + 4, 2) == (uint64_t)(f->v.total_len - f->v.l4_at) && be_get(l4 + 6, 2);
}

/* like: the one before it, or NULL. */
static struct flow offload_look(struct pkt *pkt, bool udp, const struct ip_view *like)
{
	struct flow f = { .p = pkt_data(pkt) };
	if (like)
		f.v = *like;
	if (!(like && ip_parse_next(f.p, pkt->len, &f.v)) && !ip_parse(f.p, pkt->len, &f.v))
		return f;
	if ((f.v.proto != IP_TCP && !(udp && f.v.proto == IP_UDP)) || f.v.later_fragment ||
		f.v.total_len != pkt->len)
		return f;
	const uint8_t *l4 = f.p + f.v.l4_at;
	bool plain_ip =
		f.v.version == 4 ? (f.p[0] & 15) == 5 && !(be_get(f.p + 6, 2) & 0x3fff) : f.v.l4_at == 40;
	bool plain_l4 = f.v.proto == IP_TCP ? look_tcp(&f, l4) : look_udp(&f, l4);
	f.payload = (uint16_t)(f.v.total_len - f.v.payload_at);
	size_t l4_len = pkt->len - (size_t)f.v.l4_at;
	f.ok = plain_ip && plain_l4 && f.payload &&
	       !ip_checksum(l4, l4_len, pseudo_sum(f.p, f.v.version, f.v.proto) + (uint32_t)l4_len);
	return f;
}

/* Same reserved bits, window, urgent pointer and options; next in sequence. */
static bool tcp_follows(const struct flow *first, const struct flow *prev, const struct flow *f)
{
	const uint8_t *a = first->p + first->v.l4_at, *b = f->p + first->v.l4_at;
	size_t header = (size_t)first->v.payload_at - first->v.l4_at;
	return f->ack == first->ack && f->seq == prev->seq + prev->payload && a[12] == b[12] &&
	       memcmp(a + 14, b + 14, 2) == 0 && memcmp(a + 18, b + 18, header - 18) == 0;
}

static bool follows(const struct flow *first, const struct flow *prev, const struct flow *f)
{
	if (!f->ok || f->v.version != first->v.version || f->v.proto != first->v.proto ||
		f->v.payload_at != first->v.payload_at || f->v.sport != first->v.sport ||
		f->v.dport != first->v.dport || !addr_equal(&f->v.src, &first->v.src) ||
		!addr_equal(&f->v.dst, &first->v.dst))
		return false;
	/* Same TTL and traffic class. */
	const uint8_t *a = first->p, *b = f->p;
	bool ip_same = first->v.version == 4 ? a[1] == b[1] && a[8] == b[8] && (a[6] & 0x40) == (b[6] & 0x40)
					     : memcmp(a, b, 4) == 0 && a[7] == b[7];
	return ip_same && (f->v.proto == IP_UDP || tcp_follows(first, prev, f));
}

static void seal_join(
	struct offload_join *j, const struct flow *first, uint8_t *p, size_t total, uint8_t flags)
{
	size_t l4 = first->v.l4_at;
	bool tcp = first->v.proto == IP_TCP, v4 = first->v.version == 4;
	if (v4) {
		be_put(p + 2, 2, total);
		be_put(p + 10, 2, 0);
		be_put(p + 10, 2, ip_checksum(p, 20, 0));
	} else {
		be_put(p + 4, 2, total - 40);
	}
	if (tcp)
		p[l4 + 13] |= flags & TCP_PSH;
	else
		be_put(p + l4 + 4, 2, total - l4);
	/* The kernel wants the pseudo-header's sum in the field. */
	uint8_t pseudo[40] = { 0 };
	size_t n = v4 ? 4 : 16, from = v4 ? 12 : 0, sum_at = tcp ? 16 : 6;
	memcpy(pseudo, first->v.src.b + from, n);
	memcpy(pseudo + n, first->v.dst.b + from, n);
	uint16_t sum = ip_checksum(pseudo, 2 * n, (uint32_t)(first->v.proto + total - l4));
	be_put(p + l4 + sum_at, 2, (uint16_t)~sum);
	j->hdr = (struct virtio_net_hdr) { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !tcp ? GSO_UDP_L4
			    : v4 ? GSO_TCP4
				 : GSO_TCP6,
		.hdr_len = first->v.payload_at,
		.gso_size = first->payload,
		.csum_start = (uint16_t)l4,
		.csum_offset = (uint16_t)sum_at };
}

size_t offload_join_next(
	struct offload_join *j, struct pkt *const *pkts, size_t n, struct iovec *iov, size_t *n_iov)
{
	j->hdr = (struct virtio_net_hdr) { 0 };
	iov[0] = (struct iovec) { &j->hdr, sizeof(j->hdr) };
	iov[1] = (struct iovec) { pkt_data(pkts[0]), pkts[0]->len };
	*n_iov = 2;
	if (n == 1)
		return 1;
	struct flow first = offload_look(pkts[0], j->udp, NULL), prev = first;
	if (!first.ok)
		return 1;
	size_t took = 1, total = pkts[0]->len;
	uint8_t flags = first.v.tcp_flags;
	while (took < n && took < PKT_BATCH && prev.payload == first.payload &&
		!(prev.v.tcp_flags & TCP_PSH)) {
		struct flow f = offload_look(pkts[took], j->udp, &prev.v);
		if (!follows(&first, &prev, &f) || f.payload > first.payload ||
			total + f.payload > SUPER_BYTES_MAX)
			break;
		iov[(*n_iov)++] = (struct iovec) { pkt_data(pkts[took]) + f.v.payload_at, f.payload };
		total += f.payload;
		flags |= f.v.tcp_flags;
		prev = f;
		took++;
	}
	if (took > 1)
		seal_join(j, &first, pkt_data(pkts[0]), total, flags);
	return took;
}
