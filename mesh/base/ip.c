#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include <endian.h>
#include <string.h>

enum { IP4_HEADER = 20, IP6_HEADER = 40 };
enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTH = 51, EXT_DEST = 60, EXT_MAX = 8 };

/* Two words of a vector register; the compiler makes what the processor has of it. */
typedef uint64_t words __attribute__((vector_size(16)));

static words load_words(const uint8_t *p)
{
	words w;
	memcpy(&w, p, sizeof(w));
	return w;
}

/* Of whole blocks, at most SUM_BLOCKS: halves of words, so that nothing can overflow. To take the lower halves out of each word
 * costs more than to add whole words as they are and, at the end, to take off what the upper halves were in them: what is left is
 * small enough to be exact. Two sums of each, since every one waits for the one before. */
enum { BLOCK = 32, SUM_BLOCKS = 1 << 16 };

static uint64_t sum_blocks(const uint8_t *p, size_t n)
{
	words all_a = { 0, 0 }, all_b = { 0, 0 }, high_a = { 0, 0 }, high_b = { 0, 0 };
	for (; n; n--, p += BLOCK) {
		words x = load_words(p), y = load_words(p + sizeof(words));
		all_a += x;
		all_b += y;
		high_a += x >> 32;
		high_b += y >> 32;
	}
	words high = high_a + high_b, low = all_a + all_b - (high << 32);
	low += high;
	return low[0] + low[1];
}

/* In steps of fixed sizes: copying what is left, however much, and reading it back as a word costs as much as
 * half a packet. */
static uint64_t sum_rest(const uint8_t *p, size_t len)
{
	uint64_t a = 0, eight;
	uint32_t four;
	uint16_t two = 0;
	for (; len >= sizeof(eight); p += sizeof(eight), len -= sizeof(eight)) {
		memcpy(&eight, p, sizeof(eight));
		a += (eight & UINT32_MAX) + (eight >> 32);
	}
	if (len >= sizeof(four)) {
		memcpy(&four, p, sizeof(four));
		a += four;
		p += sizeof(four);
		len -= sizeof(four);
	}
	if (len >= sizeof(two)) {
		memcpy(&two, p, sizeof(two));
		a += two;
		p += sizeof(two);
		len -= sizeof(two);
	}
	if (len) {
		two = 0;
		memcpy(&two, p, 1);
		a += two;
	}
	return a;
}

/* In the machine's own order: a one's complement sum does not mind, once swapped (RFC 1071 2). */
uint32_t ip_sum(const void *src, size_t len, uint32_t sum)
{
	const uint8_t *p = src;
	if (!len)
		return sum; /* of nothing, which may have no address */
	size_t blocks = len / BLOCK < SUM_BLOCKS ? len / BLOCK : SUM_BLOCKS;
	uint64_t a = sum_blocks(p, blocks);
	a += sum_rest(p + blocks * BLOCK, len - blocks * BLOCK);
	while (a >> 16)
		a = (a & 0xffff) + (a >> 16);
	uint64_t s = (uint64_t)sum + be16toh((uint16_t)a);
	return (uint32_t)((s & UINT32_MAX) + (s >> 32));
}

static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

uint16_t ip_checksum(const void *p, size_t len, uint32_t sum)
{
	return fold(ip_sum(p, len, sum));
}

uint32_t ip_pseudo_sum(const struct addr *src, const struct addr *dst, uint8_t proto, size_t len)
{
	bool v4 = addr_is_v4(src);
	uint32_t s = ip_sum(src->b + (v4 ? 12 : 0), v4 ? 4 : 16, 0);
	s = ip_sum(dst->b + (v4 ? 12 : 0), v4 ? 4 : 16, s);
	return s + proto + (uint32_t)len;
}

uint16_t ip_l4_checksum(
	const struct addr *src, const struct addr *dst, uint8_t proto, const void *l4, size_t len)
{
	uint16_t c = ip_checksum(l4, len, ip_pseudo_sum(src, dst, proto, len));
	return proto == IP_UDP && !c ? 0xffff : c;
}

/* Walks extension headers; false when they run out of the packet. */
static bool skip_extensions(struct rd *r, struct ip_view *v)
{
	for (int i = 0; i < EXT_MAX; i++) {
		struct rd h = *r;
		switch (v->proto) {
		case EXT_HOP:
		case EXT_ROUTING:
		case EXT_DEST:
		case EXT_AUTH: {
			uint8_t next = rd_u8(&h), len = rd_u8(&h);
			rd_take(r, v->proto == EXT_AUTH ? (len + 2u) * 4 : (len + 1u) * 8);
			v->proto = next;
			break;
		}
		case EXT_FRAGMENT: {
			uint8_t next = rd_u8(&h);
			rd_u8(&h);
			uint16_t off = rd_u16(&h);
			rd_take(r, 8);
			v->proto = next;
			v->later_fragment = off >> 3;
			v->fragment_at = off & 0xfff8;
			if (v->later_fragment)
				return !r->bad;
			break;
		}
		default: return !r->bad;
		}
		if (r->bad)
			return false;
	}
	return false;
}

static bool read_transport(struct rd r, struct ip_view *v)
{
	struct rd h = r;
	switch (v->proto) {
	case IP_TCP: {
		v->sport = rd_u16(&h);
		v->dport = rd_u16(&h);
		rd_take(&h, 8);
		size_t hlen = (rd_u8(&h) >> 4) * 4u;
		v->tcp_flags = rd_u8(&h);
		if (hlen < 20)
			return false;
		rd_take(&r, hlen);
		v->payload_at = (uint16_t)(v->l4_at + hlen);
		return !r.bad && !h.bad;
	}
	case IP_UDP:
	case IP_SCTP:
		v->sport = rd_u16(&h);
		v->dport = rd_u16(&h);
		rd_take(&h, v->proto == IP_UDP ? 4 : 8);
		v->payload_at = (uint16_t)(v->l4_at + (v->proto == IP_UDP ? 8 : 12));
		return !h.bad;
	case IP_ICMP:
	case IP_ICMP6: {
		v->icmp_type = rd_u8(&h);
		v->icmp_code = rd_u8(&h);
		rd_take(&h, 2);
		uint16_t id = rd_u16(&h);
		rd_take(&h, 2);
		bool echo = v->proto == IP_ICMP ? v->icmp_type == 8 || v->icmp_type == 0
						: v->icmp_type == 128 || v->icmp_type == 129;
		if (echo)
			v->sport = v->dport = id;
		v->payload_at = (uint16_t)(v->l4_at + 8);
		return !h.bad;
	}
	default: v->payload_at = v->l4_at; return true;
	}
}

bool ip_parse(const uint8_t *p, size_t len, struct ip_view *out)
{
	struct ip_view v = { 0 };
	struct rd r = rd_of(p, len);
	const uint8_t *h = rd_take(&r, 20);
	if (!h)
		return false;
	v.version = h[0] >> 4;
	if (v.version == 4) {
		size_t hlen = (h[0] & 15) * 4u;
		v.total_len = (uint16_t)be_get(h + 2, 2);
		if (hlen < 20 || v.total_len < hlen || v.total_len > len)
			return false;
		uint16_t off = (uint16_t)be_get(h + 6, 2);
		v.later_fragment = off & 0x1fff;
		v.fragment_at = (uint16_t)(off << 3);
		v.proto = h[9];
		v.src = addr_v4_bytes(h + 12);
		v.dst = addr_v4_bytes(h + 16);
		r = rd_of(p, v.total_len);
		rd_take(&r, hlen);
	} else if (v.version == 6 && len >= 40) {
		size_t total = 40 + (size_t)be_get(h + 4, 2);
		if (total > len || total > 65535)
			return false;
		v.total_len = (uint16_t)total;
		v.proto = h[6];
		v.src = addr_v6_bytes(h + 8);
		v.dst = addr_v6_bytes(p + 24);
		/* Would be taken for the IPv4 address that it holds: a way around every rule about that one.
		 */
		if (addr_is_v4(&v.src) || addr_is_v4(&v.dst))
			return false;
		r = rd_of(p, total);
		rd_take(&r, 40);
		if (!skip_extensions(&r, &v))
			return false;
	} else {
		return false;
	}
	v.l4_at = v.payload_at = (uint16_t)(r.p - p);
	if (!v.later_fragment && !read_transport(r, &v))
		return false;
	*out = v;
	return true;
}

/* Of headers without options or extensions: the same addresses, protocol and ports as v. */
static bool is_of_flow(const uint8_t *p, const struct ip_view *v)
{
	if (v->version == 4) {
		const size_t first = sizeof(v->src.b) - 4;
		return p[0] == 0x45 && !(be_get(p + 6, 2) & 0x3fff) && p[9] == v->proto &&
		       memcmp(p + 12, v->src.b + first, 4) == 0 && memcmp(p + 16, v->dst.b + first, 4) == 0;
	}
	return p[0] >> 4 == 6 && p[6] == v->proto && memcmp(p + 8, v->src.b, sizeof(v->src.b)) == 0 &&
	       memcmp(p + 24, v->dst.b, sizeof(v->dst.b)) == 0;
}

bool ip_parse_next(const uint8_t *p, size_t len, struct ip_view *v)
{
	enum { UDP_HEADER = 8, TCP_HEADER = 20 };
	size_t header = v->version == 4 ? IP4_HEADER : IP6_HEADER,
	       least = header + (v->proto == IP_TCP ? TCP_HEADER : UDP_HEADER);
	if ((v->proto != IP_TCP && v->proto != IP_UDP) || v->l4_at != header || v->later_fragment ||
		len < least || !is_of_flow(p, v))
		return false;
	const uint8_t *l4 = p + header;
	size_t total = v->version == 4 ? be_get(p + 2, 2) : IP6_HEADER + be_get(p + 4, 2),
	       payload_at = v->proto == IP_TCP ? header + (l4[12] >> 4) * 4u : least;
	if (total > len || total > UINT16_MAX || payload_at < least || payload_at > total ||
		be_get(l4, 2) != v->sport || be_get(l4 + 2, 2) != v->dport)
		return false;
	v->tcp_flags = v->proto == IP_TCP ? l4[13] : 0;
	v->total_len = (uint16_t)total;
	v->payload_at = (uint16_t)payload_at;
	return true;
}

size_t ip_write_header(
	uint8_t *buf, const struct addr *src, const struct addr *dst, uint8_t proto, size_t payload_len)
{
	if (addr_is_v4(src)) {
		size_t total = 20 + payload_len;
		struct wr w = wr_of(buf, 20);
		wr_u16(&w, 0x4500);
		wr_u16(&w, (uint16_t)total);
		wr_u32(&w, 0x00004000); /* no id, DF */
		wr_u8(&w, 64);
		wr_u8(&w, proto);
		wr_u16(&w, 0);
		wr_bytes(&w, src->b + 12, 4);
		wr_bytes(&w, dst->b + 12, 4);
		be_put(buf + 10, 2, ip_checksum(buf, 20, 0));
		return total;
	}
	struct wr w = wr_of(buf, 40);
	wr_u32(&w, 0x60000000);
	wr_u16(&w, (uint16_t)payload_len);
	wr_u8(&w, proto);
	wr_u8(&w, 64);
	wr_bytes(&w, src->b, 16);
	wr_bytes(&w, dst->b, 16);
	return 40 + payload_len;
}

size_t ip_write_udp(uint8_t *buf, const struct endpoint *src, const struct endpoint *dst, size_t payload_len)
{
	size_t at = addr_is_v4(&src->ip) ? 20 : 40, len = 8 + payload_len;
	be_put(buf + at, 2, src->port);
	be_put(buf + at + 2, 2, dst->port);
	be_put(buf + at + 4, 2, len);
	be_put(buf + at + 6, 2, 0);
	be_put(buf + at + 6, 2, ip_l4_checksum(&src->ip, &dst->ip, IP_UDP, buf + at, len));
	return ip_write_header(buf, &src->ip, &dst->ip, IP_UDP, len);
}
