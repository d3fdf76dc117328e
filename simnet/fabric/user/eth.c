#include "simnet/fabric/user/eth.h"

#include "mesh/base/wire.h"
#include <string.h>

enum { V4_HEADER = 20, V6_HEADER = 40, ICMP_HEADER = 8, TCP_HEADER = 20, TTL = 64, ERROR_V6_MAX = 1280 };
enum { DONT_FRAGMENT = 0x4000, MORE_FRAGMENTS = 0x2000, FRAGMENT_OFFSET = 0x1fff };

const struct mac mac_all = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

bool mac_equal(const struct mac *a, const struct mac *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* ---- reading ---- */

bool eth_read(const uint8_t *p, size_t len, struct eth_view *out)
{
	struct eth_view v = { 0 };
	struct rd r = rd_of(p, len);
	rd_copy(&r, v.dst.b, sizeof(v.dst.b));
	rd_copy(&r, v.src.b, sizeof(v.src.b));
	v.type = rd_u16(&r);
	if (r.bad || len > ETH_FRAME_MAX)
		return false;
	v.is_ip = (v.type == ETH_TYPE_V4 || v.type == ETH_TYPE_V6) && ip_parse(r.p, r.left, &v.ip) &&
		  v.ip.version == (v.type == ETH_TYPE_V4 ? 4 : 6);
	if (v.is_ip) {
		v.ip_len = v.ip.total_len;
		v.l4_len = (uint16_t)(v.ip_len - v.ip.l4_at);
	}
	*out = v;
	return true;
}

void eth_set_ethernet(struct frame *f, const struct mac *src, const struct mac *dst, uint16_t type)
{
	memcpy(f->b, dst->b, 6);
	memcpy(f->b + 6, src->b, 6);
	be_put(f->b + 12, 2, type);
}

/* ---- neighbours ---- */

static const uint8_t ethernet_v4[] = { 0, 1, 8, 0, 6,
	4 }; /* hardware and protocol, and how long their addresses are */

static bool read_arp(struct rd r, struct eth_neighbour *out)
{
	struct eth_neighbour n = { 0 };
	uint8_t mac[6], sender[4], target[4];
	const uint8_t *kind = rd_take(&r, sizeof(ethernet_v4));
	uint16_t op = rd_u16(&r);
	rd_copy(&r, mac, sizeof(mac));
	rd_copy(&r, sender, sizeof(sender));
	rd_take(&r, 6);
	rd_copy(&r, target, sizeof(target));
	if (r.bad || memcmp(kind, ethernet_v4, sizeof(ethernet_v4)) != 0 || op < 1 || op > 2)
		return false;
	n.request = op == 1;
	n.sender = addr_v4_bytes(sender);
	n.who = n.request ? addr_v4_bytes(target) : n.sender;
	memcpy(n.mac.b, mac, sizeof(mac));
	*out = n;
	return true;
}

enum { ND_SOLICIT = 135, ND_ADVERTISE = 136, ND_SOURCE = 1, ND_TARGET = 2 };

static bool read_nd(const uint8_t *ip, const struct eth_view *v, struct eth_neighbour *out)
{
	struct eth_neighbour n = { .request = v->ip.icmp_type == ND_SOLICIT, .mac = v->src };
	struct rd r = rd_of(ip + v->ip.l4_at, v->l4_len);
	rd_take(&r, ICMP_HEADER);
	rd_copy(&r, n.who.b, sizeof(n.who.b));
	if (r.bad)
		return false;
	n.sender = v->ip.src;
	while (r.left) {
		uint8_t type = rd_u8(&r), len = rd_u8(&r);
		struct rd body = rd_sub(&r, len ? len * 8u - 2 : 0);
		if (r.bad || !len)
			return false;
		if (type == (n.request ? ND_SOURCE : ND_TARGET))
			rd_copy(&body, n.mac.b, sizeof(n.mac.b));
	}
	*out = n;
	return true;
}

bool eth_read_neighbour(const uint8_t *p, size_t len, const struct eth_view *v, struct eth_neighbour *out)
{
	if (v->type == ETH_TYPE_ARP)
		return read_arp(rd_of(p + ETH_HEADER, len - ETH_HEADER), out);
	if (!v->is_ip || v->ip.proto != IP_ICMP6 || v->ip.later_fragment ||
		(v->ip.icmp_type != ND_SOLICIT && v->ip.icmp_type != ND_ADVERTISE))
		return false;
	return read_nd(p + ETH_HEADER, v, out);
}

static void write_arp(struct frame *f, uint16_t op, const struct addr *own, const struct mac *own_mac,
	const struct addr *who, const struct mac *mac)
{
	struct wr w = wr_of(f->b + ETH_HEADER, sizeof(f->b) - ETH_HEADER);
	wr_bytes(&w, ethernet_v4, sizeof(ethernet_v4));
	wr_u16(&w, op);
	wr_bytes(&w, own_mac->b, 6);
	wr_bytes(&w, own->b + 12, 4);
	wr_bytes(&w, mac->b, 6);
	wr_bytes(&w, who->b + 12, 4);
	f->len = (uint16_t)(ETH_HEADER + w.len);
}

static void finish_icmp6(
	struct frame *f, const struct addr *src, const struct addr *dst, size_t l4_len, uint8_t hops)
{
	uint8_t *ip = f->b + ETH_HEADER, *l4 = ip + V6_HEADER;
	ip_write_header(ip, src, dst, IP_ICMP6, l4_len);
	ip[7] = hops;
	be_put(l4 + 2, 2, 0);
	be_put(l4 + 2, 2, ip_l4_checksum(src, dst, IP_ICMP6, l4, l4_len));
	f->len = (uint16_t)(ETH_HEADER + V6_HEADER + l4_len);
}

static void write_nd(struct frame *f, uint8_t type, uint32_t flags, const struct addr *src,
	const struct addr *dst, const struct addr *who, const struct mac *own)
{
	struct wr w = wr_of(f->b + ETH_HEADER + V6_HEADER, 64);
	wr_u8(&w, type);
	wr_zero(&w, 3);
	wr_u32(&w, flags);
	wr_bytes(&w, who->b, 16);
	wr_u8(&w, type == ND_SOLICIT ? ND_SOURCE : ND_TARGET);
	wr_u8(&w, 1);
	wr_bytes(&w, own->b, 6);
	finish_icmp6(f, src, dst, w.len, 255);
}

void eth_write_answer(struct frame *f, const struct eth_neighbour *r, const struct mac *own)
{
	enum { ROUTER_SOLICITED_OVERRIDE = (int)0xe0000000, ROUTER_OVERRIDE = (int)0xa0000000 };
	struct addr all = { { 0xff, 2, [15] = 1 } };
	if (addr_is_v4(&r->who)) {
		eth_set_ethernet(f, own, &r->mac, ETH_TYPE_ARP);
		write_arp(f, 2, &r->who, own, &r->sender, &r->mac);
		return;
	}
	bool probed = addr_is_unspecified(&r->sender);
	eth_set_ethernet(
		f, own, probed ? &(struct mac) { { 0x33, 0x33, 0, 0, 0, 1 } } : &r->mac, ETH_TYPE_V6);
	write_nd(f, ND_ADVERTISE, probed ? (uint32_t)ROUTER_OVERRIDE : (uint32_t)ROUTER_SOLICITED_OVERRIDE,
		&r->who, probed ? &all : &r->sender, &r->who, own);
}

void eth_write_request(
	struct frame *f, const struct addr *who, const struct addr *own, const struct mac *own_mac)
{
	static const struct mac nobody = { { 0 } };
	if (addr_is_v4(who)) {
		eth_set_ethernet(f, own_mac, &mac_all, ETH_TYPE_ARP);
		write_arp(f, 1, own, own_mac, who, &nobody);
		return;
	}
	struct addr group = { { 0xff, 2, [11] = 1, [12] = 0xff } };
	memcpy(group.b + 13, who->b + 13, 3);
	struct mac to = { { 0x33, 0x33, 0xff, who->b[13], who->b[14], who->b[15] } };
	eth_set_ethernet(f, own_mac, &to, ETH_TYPE_V6);
	write_nd(f, ND_SOLICIT, 0, own, &group, who, own_mac);
}

/* ---- rewriting ---- */

/* RFC 1624: a checksum after some bytes have changed. */
static uint16_t adjust(uint16_t sum, const uint8_t *was, const uint8_t *is, size_t n)
{
	uint32_t s = (uint16_t)~sum;
	for (size_t i = 0; i < n; i += 2) {
		s += (uint16_t)~be_get(was + i, 2);
		s += (uint16_t)be_get(is + i, 2);
	}
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Where a transport keeps its checksum, behind its start; -1 = nowhere, or not in this piece. */
static int checksum_at(const struct ip_view *v)
{
	if (v->later_fragment)
		return -1;
	return v->proto == IP_UDP ? 6 : v->proto == IP_TCP ? 16 : -1;
}

static void fix(uint8_t *at, const uint8_t *was, const uint8_t *is, size_t n)
{
	be_put(at, 2, adjust((uint16_t)be_get(at, 2), was, is, n));
}

/* l4_len: what is there of the transport; it may be the first bytes only. */
static void rewrite_end(
	uint8_t *ip, const struct ip_view *v, size_t l4_len, enum eth_end end, const struct endpoint *to)
{
	uint8_t *at = ip + (end == ETH_SRC ? 12 : 16), *l4 = ip + v->l4_at, was[4], port_was[2], port_is[2];
	int sum = checksum_at(v);
	bool has_sum = sum >= 0 && (size_t)sum + 2 <= l4_len && (v->proto == IP_TCP || be_get(l4 + sum, 2));
	memcpy(was, at, 4);
	memcpy(at, to->ip.b + 12, 4);
	fix(ip + 10, was, at, 4);
	if (has_sum)
		fix(l4 + sum, was, at, 4);
	if ((!to->port && v->proto != IP_ICMP) || v->later_fragment)
		return;
	be_put(port_is, 2, to->port);
	uint8_t *port = v->proto == IP_ICMP ? l4 + 4 : l4 + (end == ETH_SRC ? 0 : 2);
	bool has_port = v->proto == IP_ICMP ? v->icmp_type == 8 || v->icmp_type == 0
					    : v->proto == IP_UDP || v->proto == IP_TCP;
	if (!has_port || (size_t)(port + 2 - l4) > l4_len)
		return;
	memcpy(port_was, port, 2);
	memcpy(port, port_is, 2);
	if (has_sum)
		fix(l4 + sum, port_was, port_is, 2);
	else if (v->proto == IP_ICMP)
		fix(l4 + 2, port_was, port_is, 2);
	if (has_sum && v->proto == IP_UDP && !be_get(l4 + sum, 2))
		be_put(l4 + sum, 2, 0xffff);
}

void eth_rewrite(uint8_t *ip, const struct ip_view *v, enum eth_end end, const struct endpoint *to)
{
	rewrite_end(ip, v, (size_t)v->total_len - v->l4_at, end, to);
}

bool eth_hop(uint8_t *ip, const struct ip_view *v)
{
	uint8_t *ttl = ip + (v->version == 4 ? 8 : 7), was[2], is[2];
	if (*ttl <= 1)
		return false;
	if (v->version == 4)
		memcpy(was, ip + 8, 2);
	--*ttl;
	if (v->version == 4) {
		memcpy(is, ip + 8, 2);
		fix(ip + 10, was, is, 2);
	}
	return true;
}

/* ---- the packet inside an error ---- */

static bool is_error(const struct ip_view *v)
{
	if (v->later_fragment)
		return false;
	return v->proto == IP_ICMP    ? v->icmp_type == 3 || v->icmp_type == 11 || v->icmp_type == 12
	       : v->proto == IP_ICMP6 ? v->icmp_type >= 1 && v->icmp_type <= 4
				      : false;
}

/* As ip_parse, of a packet that may have been cut after eight bytes of its transport. */
static bool read_inner(struct rd r, struct ip_view *out)
{
	struct ip_view v = { .version = 4 };
	const uint8_t *h = rd_take(&r, V4_HEADER);
	if (!h || h[0] >> 4 != 4 || (h[0] & 15) < 5)
		return false;
	v.l4_at = (uint16_t)((h[0] & 15) * 4);
	rd_take(&r, v.l4_at - V4_HEADER);
	v.proto = h[9];
	v.src = addr_v4_bytes(h + 12);
	v.dst = addr_v4_bytes(h + 16);
	v.total_len = (uint16_t)be_get(h + 2, 2);
	v.later_fragment = be_get(h + 6, 2) & FRAGMENT_OFFSET;
	const uint8_t *l4 = rd_take(&r, 8);
	if (!l4 || v.later_fragment)
		return false;
	if (v.proto == IP_ICMP) {
		v.icmp_type = l4[0];
		v.icmp_code = l4[1];
		v.sport = v.dport = (uint16_t)be_get(l4 + 4, 2);
	} else {
		v.sport = (uint16_t)be_get(l4, 2);
		v.dport = (uint16_t)be_get(l4 + 2, 2);
	}
	v.payload_at = (uint16_t)(v.l4_at + 8);
	*out = v;
	return true;
}

bool eth_read_error(
	const uint8_t *ip, const struct ip_view *v, size_t len, struct ip_view *inner, uint16_t *inner_at)
{
	if (!is_error(v) || v->version != 4 || len < (size_t)v->l4_at + ICMP_HEADER)
		return false;
	*inner_at = (uint16_t)(v->l4_at + ICMP_HEADER);
	return read_inner(rd_of(ip + *inner_at, len - *inner_at), inner);
}

void eth_rewrite_inner(
	uint8_t *ip, const struct ip_view *v, uint16_t inner_at, enum eth_end end, const struct endpoint *to)
{
	struct ip_view inner;
	size_t l4_len = (size_t)v->total_len - v->l4_at;
	uint8_t *icmp = ip + v->l4_at;
	if (!read_inner(rd_of(ip + inner_at, (size_t)v->total_len - inner_at), &inner))
		return;
	rewrite_end(ip + inner_at, &inner, (size_t)v->total_len - inner_at - inner.l4_at, end, to);
	be_put(icmp + 2, 2, 0);
	be_put(icmp + 2, 2, ip_checksum(icmp, l4_len, 0));
}

/* ---- answers ---- */

struct icmp_code {
	uint8_t type4, code4, type6, code6;
};
static const struct icmp_code error_codes[] = {
	[ETH_UNREACHABLE_PORT] = { 3, 3, 1, 4 },
	[ETH_UNREACHABLE_NET] = { 3, 0, 1, 0 },
	[ETH_PROHIBITED] = { 3, 13, 1, 1 },
	[ETH_TIME_EXCEEDED] = { 11, 0, 3, 0 },
	[ETH_TOO_BIG] = { 3, 4, 2, 0 },
};

static void finish_v4(
	struct frame *f, const struct addr *src, const struct addr *dst, uint8_t proto, size_t l4_len)
{
	ip_write_header(f->b + ETH_HEADER, src, dst, proto, l4_len);
	f->len = (uint16_t)(ETH_HEADER + V4_HEADER + l4_len);
}

bool eth_write_error(struct frame *out, enum eth_error e, uint16_t mtu, const struct addr *from,
	const uint8_t *ip, const struct ip_view *v, size_t len)
{
	bool v4 = v->version == 4;
	size_t head = v4 ? V4_HEADER : V6_HEADER,
	       most = (v4 ? ETH_IP_MAX / 2 : ERROR_V6_MAX) - head - ICMP_HEADER;
	uint8_t *l4 = out->b + ETH_HEADER + head;
	size_t n = len < most ? len : most;
	if (is_error(v) || v->later_fragment || addr_is_multicast(&v->dst) || addr_is_unspecified(&v->src) ||
		addr_is_multicast(&v->src))
		return false;
	memset(l4, 0, ICMP_HEADER);
	l4[0] = v4 ? error_codes[e].type4 : error_codes[e].type6;
	l4[1] = v4 ? error_codes[e].code4 : error_codes[e].code6;
	if (e == ETH_TOO_BIG)
		be_put(l4 + (v4 ? 6 : 4), v4 ? 2 : 4, mtu);
	memcpy(l4 + ICMP_HEADER, ip, n);
	if (!v4) {
		finish_icmp6(out, from, &v->src, ICMP_HEADER + n, TTL);
		return true;
	}
	be_put(l4 + 2, 2, ip_checksum(l4, ICMP_HEADER + n, 0));
	finish_v4(out, from, &v->src, IP_ICMP, ICMP_HEADER + n);
	return true;
}

bool eth_write_echo(struct frame *out, const uint8_t *ip, const struct ip_view *v, size_t len)
{
	bool v4 = v->version == 4;
	size_t head = v4 ? V4_HEADER : V6_HEADER, l4_len = len - v->l4_at;
	uint8_t *l4 = out->b + ETH_HEADER + head;
	if (v->later_fragment || v->proto != (v4 ? IP_ICMP : IP_ICMP6) || v->icmp_type != (v4 ? 8 : 128))
		return false;
	memcpy(l4, ip + v->l4_at, l4_len);
	l4[0] = v4 ? 0 : 129;
	if (!v4) {
		finish_icmp6(out, &v->dst, &v->src, l4_len, TTL);
		return true;
	}
	be_put(l4 + 2, 2, 0);
	be_put(l4 + 2, 2, ip_checksum(l4, l4_len, 0));
	finish_v4(out, &v->dst, &v->src, IP_ICMP, l4_len);
	return true;
}

/* RFC 9293 3.5.2. */
bool eth_write_reset(struct frame *out, const uint8_t *ip, const struct ip_view *v, size_t len)
{
	const uint8_t *in = ip + v->l4_at;
	size_t head = v->version == 4 ? V4_HEADER : V6_HEADER;
	uint8_t *l4 = out->b + ETH_HEADER + head;
	if (v->proto != IP_TCP || v->later_fragment || v->tcp_flags & TCP_RST)
		return false;
	uint32_t seq = (uint32_t)be_get(in + 4, 4), ack = (uint32_t)be_get(in + 8, 4);
	uint32_t taken =
		(uint32_t)(len - v->payload_at) + !!(v->tcp_flags & TCP_SYN) + !!(v->tcp_flags & TCP_FIN);
	bool acked = v->tcp_flags & TCP_ACK;
	memset(l4, 0, TCP_HEADER);
	be_put(l4, 2, v->dport);
	be_put(l4 + 2, 2, v->sport);
	be_put(l4 + 4, 4, acked ? ack : 0);
	be_put(l4 + 8, 4, acked ? 0 : seq + taken);
	l4[12] = TCP_HEADER / 4 << 4;
	l4[13] = (uint8_t)(TCP_RST | (acked ? 0 : TCP_ACK));
	be_put(l4 + 16, 2, ip_l4_checksum(&v->dst, &v->src, IP_TCP, l4, TCP_HEADER));
	ip_write_header(out->b + ETH_HEADER, &v->dst, &v->src, IP_TCP, TCP_HEADER);
	out->len = (uint16_t)(ETH_HEADER + head + TCP_HEADER);
	return true;
}

/* ---- pieces ---- */

bool eth_may_be_cut(const uint8_t *ip, const struct ip_view *v)
{
	return v->version == 4 && !(be_get(ip + 6, 2) & DONT_FRAGMENT);
}

/* Options stay in every piece: nothing here sends any that may not be copied. */
bool eth_write_piece(struct frame *out, const struct frame *in, uint16_t mtu, unsigned i)
{
	const uint8_t *ip = in->b + ETH_HEADER;
	size_t head = (size_t)(ip[0] & 15) * 4, all = be_get(ip + 2, 2) - head,
	       room = (mtu - head) & ~(size_t)7, at = i * room;
	if (at >= all)
		return false;
	size_t n = all - at < room ? all - at : room;
	uint16_t flags = (uint16_t)be_get(ip + 6, 2);
	uint8_t *to = out->b + ETH_HEADER;
	memcpy(out->b, in->b, ETH_HEADER + head);
	memcpy(to + head, ip + head + at, n);
	be_put(to + 2, 2, head + n);
	be_put(to + 6, 2,
		(flags & ~(uint16_t)FRAGMENT_OFFSET) | ((flags & FRAGMENT_OFFSET) + at / 8) |
			(at + n < all ? MORE_FRAGMENTS : 0u));
	be_put(to + 10, 2, 0);
	be_put(to + 10, 2, ip_checksum(to, head, 0));
	out->len = (uint16_t)(ETH_HEADER + head + n);
	return true;
}
