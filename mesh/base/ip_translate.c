/* Transport checksums are carried over, corrected by what changed, so that what was damaged on its way stays so. Of a
 * quoted packet they are left alone: who gets an error looks at its addresses and ports. */
#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"
#include <string.h>

enum {
	HEAD4 = 20,
	HEAD6 = 40,
	ICMP_HEAD = 8,
	QUOTED_PORTS = 8, /* of the transport header, as RFC 792 has it */
	TCP_SUM_AT = 16,
	UDP_SUM_AT = 6,
	ICMP_SUM_AT = 2,
	DONT_FRAGMENT = 0x4000,
	MORE_FRAGMENTS = 0x2000,
	FRAGMENT_BITS = 0x3fff,
	FRAGMENT_HEAD = 8,
	FRAGMENT_HEADER = 44, /* RFC 8200 4.5 */
	NONE = 255
};

/* --- ICMP, RFC 7915 4.2 and 5.2 --- */

enum { UNREACHABLE4 = 3, EXCEEDED4 = 11, UNREACHABLE6 = 1, TOO_BIG6 = 2, EXCEEDED6 = 3, PROBLEM6 = 4 };

struct icmp_kind {
	uint8_t type, code;
};

static struct icmp_kind error_to_6(uint8_t type, uint8_t code)
{
	static const uint8_t by_code[] = { 0, 0, NONE, 4, NONE, 0, 0, 0, 0, 1, 1, 0, 0, 1, NONE, 1 };
	if (type == EXCEEDED4)
		return (struct icmp_kind) { EXCEEDED6, code };
	if (type != UNREACHABLE4 || code >= sizeof(by_code))
		return (struct icmp_kind) { NONE, 0 };
	if (code == 2) /* no such protocol: the field of the next header is the trouble */
		return (struct icmp_kind) { PROBLEM6, 1 };
	if (code == 4)
		return (struct icmp_kind) { TOO_BIG6, 0 };
	return (struct icmp_kind) { by_code[code] == NONE ? NONE : UNREACHABLE6, by_code[code] };
}

static struct icmp_kind error_to_4(uint8_t type, uint8_t code)
{
	static const uint8_t by_code[] = { 1, 10, 1, 1, 3, 10, 10 };
	switch (type) {
	case UNREACHABLE6:
		if (code < sizeof(by_code))
			return (struct icmp_kind) { UNREACHABLE4, by_code[code] };
		break;
	case TOO_BIG6: return (struct icmp_kind) { UNREACHABLE4, 4 };
	case EXCEEDED6: return (struct icmp_kind) { EXCEEDED4, code };
	case PROBLEM6:
		if (code == 1)
			return (struct icmp_kind) { UNREACHABLE4, 2 };
		break;
	default: break;
	}
	return (struct icmp_kind) { NONE, 0 };
}

static bool is_error(const struct ip_view *v)
{
	if (v->later_fragment)
		return false;
	if (v->proto == IP_ICMP)
		return v->version == 4 && error_to_6(v->icmp_type, v->icmp_code).type != NONE;
	return v->proto == IP_ICMP6 && v->version == 6 && error_to_4(v->icmp_type, v->icmp_code).type != NONE;
}

/* The word behind the checksum: an MTU is told in the other family's terms, a pointer names the protocol field. */
static uint32_t rest_of(struct icmp_kind k, const uint8_t *icmp)
{
	uint32_t rest = (uint32_t)be_get(icmp + 4, 4);
	if (k.type == TOO_BIG6 && k.code == 0) {
		uint32_t mtu = (rest & 0xffff) + HEAD6 - HEAD4;
		return mtu < IP6_MTU_MIN ? IP6_MTU_MIN : mtu;
	}
	if (k.type == UNREACHABLE4 && k.code == 4) {
		uint32_t mtu = rest < IP6_MTU_MIN ? IP6_MTU_MIN : rest;
		return mtu - (HEAD6 - HEAD4) > UINT16_MAX ? UINT16_MAX : mtu - (HEAD6 - HEAD4);
	}
	return k.type == PROBLEM6 ? 6 : 0;
}

bool ip_quoted(const uint8_t *p, const struct ip_view *v, struct ip_view *out)
{
	struct ip_view q = { .version = v->version };
	if (!is_error(v) || v->total_len < v->l4_at + ICMP_HEAD + 1)
		return false;
	const uint8_t *in = p + v->l4_at + ICMP_HEAD;
	size_t left = (size_t)(v->total_len - v->l4_at - ICMP_HEAD), head = HEAD6;
	if (in[0] >> 4 != v->version)
		return false;
	if (v->version == 4)
		head = (in[0] & 15) * 4u;
	if (head < HEAD4 || left < head + QUOTED_PORTS)
		return false;
	bool fragment = v->version == 4 && (be_get(in + 6, 2) & FRAGMENT_BITS);
	q.proto = v->version == 4 ? in[9] : in[6];
	q.src = v->version == 4 ? addr_v4_bytes(in + 12) : addr_v6_bytes(in + 8);
	q.dst = v->version == 4 ? addr_v4_bytes(in + 16) : addr_v6_bytes(in + 24);
	q.l4_at = (uint16_t)(v->l4_at + ICMP_HEAD + head);
	q.total_len = v->total_len;
	const uint8_t *l4 = in + head;
	if (fragment)
		return false;
	if (q.proto == IP_TCP || q.proto == IP_UDP || q.proto == IP_SCTP) {
		q.sport = (uint16_t)be_get(l4, 2);
		q.dport = (uint16_t)be_get(l4 + 2, 2);
	} else if (q.proto == IP_ICMP || q.proto == IP_ICMP6) {
		q.icmp_type = l4[0];
		q.icmp_code = l4[1];
		q.sport = q.dport = (uint16_t)be_get(l4 + 4, 2);
	} else {
		return false;
	}
	*out = q;
	return true;
}

/* --- headers --- */

/* The protocol's number in the other family; NONE: it has none. */
static uint8_t other_proto(const struct ip_view *v)
{
	switch (v->proto) {
	case IP_TCP:
	case IP_UDP:
	case IP_SCTP: return v->proto;
	case IP_ICMP: return v->version == 4 ? IP_ICMP6 : NONE;
	case IP_ICMP6: return v->version == 6 ? IP_ICMP : NONE;
	default: return NONE;
	}
}

struct piece {
	bool is, more;
	uint16_t at; /* in units of 8 bytes */
	uint32_t id;
};
struct head {
	uint8_t traffic, hops, proto;
	size_t payload;
	struct piece piece;
};

static void piece_write(uint8_t *p, uint8_t proto, const struct piece *f)
{
	p[0] = proto;
	p[1] = 0;
	be_put(p + 2, 2, (uint64_t)f->at << 3 | f->more);
	be_put(p + 4, 4, f->id);
}

static struct piece piece_read(const uint8_t *p)
{
	uint16_t at = (uint16_t)be_get(p + 2, 2);
	return (struct piece) { true, at & 1, at >> 3, (uint32_t)be_get(p + 4, 4) };
}

/* RFC 7915 5.1: what IPv6 carries anywhere may be cut by IPv4; of anything longer a way that is too narrow says so, and it is
 * told on. */
static void v4_piece_write(uint8_t *p, const struct ip_ends *e, const struct head *h, size_t total)
{
	uint16_t id = h->piece.is			       ? (uint16_t)h->piece.id
		      : total <= IP6_MTU_MIN - (HEAD6 - HEAD4) ? e->id
							       : 0;
	uint16_t bits = h->piece.is ? (uint16_t)(h->piece.at | (h->piece.more ? MORE_FRAGMENTS : 0))
			: id	    ? 0
				    : DONT_FRAGMENT;
	be_put(p + 4, 2, id);
	be_put(p + 6, 2, bits);
}

static size_t head_write(uint8_t *p, const struct ip_ends *e, const struct head *h)
{
	bool v4 = addr_is_v4(&e->src), inside = h->piece.is && !v4;
	size_t total = ip_write_header(p, &e->src, &e->dst, inside ? FRAGMENT_HEADER : h->proto,
		h->payload + (inside ? FRAGMENT_HEAD : 0));
	if (v4) {
		p[1] = h->traffic;
		p[8] = h->hops;
		v4_piece_write(p, e, h, total);
		be_put(p + 10, 2, 0);
		be_put(p + 10, 2, ip_checksum(p, HEAD4, 0));
		return total;
	}
	be_put(p, 4, UINT32_C(6) << 28 | (uint32_t)h->traffic << 20);
	p[7] = h->hops;
	if (inside)
		piece_write(p + HEAD6, h->proto, &h->piece);
	return total;
}

static struct head head_of(const uint8_t *p, const struct ip_view *v, uint8_t proto, size_t payload)
{
	if (v->version == 4)
		return (struct head) { .traffic = p[1], .hops = p[8], .proto = proto, .payload = payload };
	return (struct head) {
		.traffic = (uint8_t)(be_get(p, 2) >> 4), .hops = p[7], .proto = proto, .payload = payload
	};
}

static size_t head_len(const struct ip_ends *e)
{
	return addr_is_v4(&e->src) ? HEAD4 : HEAD6;
}

/* --- transport --- */

/* A checksum after `was` of what it covers became `is`; RFC 1624. */
static uint16_t sum_corrected(uint16_t sum, uint32_t was, uint32_t is)
{
	uint64_t s = (uint64_t)(uint16_t)~sum + is;
	uint32_t w = was;
	while (w >> 16)
		w = (w & 0xffff) + (w >> 16);
	s += (uint16_t)~w;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

struct change { /* of l4 bytes that go from one header to another */
	const struct ip_ends *from, *to;
	uint8_t proto, next_proto;
	size_t len;
};

static bool sum_at(uint8_t proto, size_t *at)
{
	*at = proto == IP_TCP ? TCP_SUM_AT : proto == IP_UDP ? UDP_SUM_AT : ICMP_SUM_AT;
	return proto != IP_SCTP; /* its own covers no addresses */
}

static void transport_correct(uint8_t *l4, const struct change *c)
{
	size_t at;
	if (!sum_at(c->proto, &at))
		return;
	if (c->proto == IP_UDP && !be_get(l4 + at, 2)) { /* IPv4 may do without */
		be_put(l4 + at, 2, ip_l4_checksum(&c->to->src, &c->to->dst, IP_UDP, l4, c->len));
		return;
	}
	uint32_t was = ip_pseudo_sum(&c->from->src, &c->from->dst, c->proto, c->len);
	uint32_t is = ip_pseudo_sum(&c->to->src, &c->to->dst, c->next_proto, c->len);
	uint16_t sum = sum_corrected((uint16_t)be_get(l4 + at, 2), was, is);
	be_put(l4 + at, 2, c->proto == IP_UDP && !sum ? 0xffff : sum);
}

/* An echo's type; the checksum of IPv4's covers no addresses. false: no echo. */
static bool echo_correct(uint8_t *icmp, const struct ip_view *v, const struct change *c)
{
	static const uint8_t pairs[][2] = { { 8, 128 }, { 0, 129 } };
	bool to6 = v->version == 4;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (icmp[0] != pairs[i][!to6])
			continue;
		const struct ip_ends *six = to6 ? c->to : c->from;
		uint32_t pseudo = ip_pseudo_sum(&six->src, &six->dst, IP_ICMP6, c->len);
		uint32_t was = (uint32_t)icmp[0] << 8 | icmp[1];
		icmp[0] = pairs[i][to6];
		uint32_t is = (uint32_t)icmp[0] << 8 | icmp[1];
		uint16_t sum = (uint16_t)be_get(icmp + ICMP_SUM_AT, 2);
		sum = to6 ? sum_corrected(sum, was, is + pseudo) : sum_corrected(sum, was + pseudo, is);
		be_put(icmp + ICMP_SUM_AT, 2, sum);
		return true;
	}
	return false;
}

/* --- the whole --- */

/* The error's message with the quoted packet's header in the other family's form. */
static size_t error_translate(uint8_t *p, size_t cap, const struct ip_view *v, const struct ip_ends *to,
	const struct ip_ends *quoted)
{
	struct ip_view q;
	bool to6 = v->version == 4;
	uint8_t proto;
	if (!ip_quoted(p, v, &q) || (proto = other_proto(&q)) == NONE)
		return 0;
	const uint8_t *icmp = p + v->l4_at, *in = icmp + ICMP_HEAD;
	struct icmp_kind k =
		to6 ? error_to_6(v->icmp_type, v->icmp_code) : error_to_4(v->icmp_type, v->icmp_code);
	uint32_t rest = rest_of(k, icmp);
	size_t body = (size_t)(v->total_len - q.l4_at);
	size_t at = head_len(to) + ICMP_HEAD + head_len(quoted);
	if (at + body > IP6_MTU_MIN)
		body = IP6_MTU_MIN - at; /* RFC 4443 2.4 */
	if (at + body > cap)
		return 0;
	/* How long it was, not how much of it is here. */
	size_t said = be_get(in + (to6 ? 2 : 4), 2);
	size_t head = to6 ? (in[0] & 15) * 4u : 0;
	struct head inner = head_of(in, &q, proto, said > head ? said - head : 0);
	struct head outer = head_of(p, v, to6 ? IP_ICMP6 : IP_ICMP, ICMP_HEAD + head_len(quoted) + body);
	uint8_t *l4 = p + at;
	memmove(l4, p + q.l4_at, body);
	if (proto == IP_ICMP6 || proto == IP_ICMP)
		l4[0] = l4[0] == 8 ? 128 : l4[0] == 128 ? 8 : l4[0] == 0 ? 129 : 0;
	head_write(p + head_len(to) + ICMP_HEAD, &(struct ip_ends) { quoted->src, quoted->dst, 0 }, &inner);
	uint8_t *out = p + head_len(to);
	out[0] = k.type;
	out[1] = k.code;
	be_put(out + ICMP_SUM_AT, 2, 0);
	be_put(out + 4, 4, rest);
	be_put(out + ICMP_SUM_AT, 2,
		to6 ? ip_l4_checksum(&to->src, &to->dst, IP_ICMP6, out, outer.payload)
		    : ip_checksum(out, outer.payload, 0));
	return head_write(p, to, &outer);
}

/* false: the packet has headers that do not go over. */
static bool piece_of(const uint8_t *p, const struct ip_view *v, struct piece *out)
{
	*out = (struct piece) { .is = false };
	if (v->version == 6 && v->l4_at == HEAD6 + FRAGMENT_HEAD && p[6] == FRAGMENT_HEADER)
		*out = piece_read(p + HEAD6);
	else if (v->version == 6)
		return v->l4_at == HEAD6;
	uint16_t bits = (uint16_t)(v->version == 4 ? be_get(p + 6, 2) : 0);
	if (bits & FRAGMENT_BITS)
		*out = (struct piece) { true, bits & MORE_FRAGMENTS, bits & 0x1fff,
			(uint32_t)be_get(p + 4, 2) };
	return true;
}

/* A checksum that covers the length of the whole, or what the other pieces have, cannot be made from one. */
static bool piece_goes_over(const struct piece *f, const struct ip_view *v, const uint8_t *l4)
{
	bool icmp = v->proto == IP_ICMP || v->proto == IP_ICMP6;
	bool first_udp = v->proto == IP_UDP && !v->later_fragment;
	return !f->is || !(icmp || (first_udp && !be_get(l4 + UDP_SUM_AT, 2)));
}

size_t ip_translate(uint8_t *p, size_t cap, const struct ip_view *v, const struct ip_ends *to,
	const struct ip_ends *quoted)
{
	uint8_t proto = other_proto(v);
	struct ip_ends from = { .src = v->src, .dst = v->dst };
	struct piece piece;
	size_t len = (size_t)(v->total_len - v->l4_at), head = head_len(to);
	if (proto == NONE || !piece_of(p, v, &piece) || !piece_goes_over(&piece, v, p + v->l4_at) ||
		(v->version == 4) == addr_is_v4(&to->src))
		return 0;
	if (is_error(v))
		return quoted ? error_translate(p, cap, v, to, quoted) : 0;
	head += piece.is && head == HEAD6 ? FRAGMENT_HEAD : 0;
	struct change c = { &from, to, v->proto, proto, len };
	bool icmp = v->proto == IP_ICMP || v->proto == IP_ICMP6;
	if (head + len > cap || (icmp && !echo_correct(p + v->l4_at, v, &c)))
		return 0;
	if (!icmp && !v->later_fragment)
		transport_correct(p + v->l4_at, &c);
	struct head h = head_of(p, v, proto, len);
	h.piece = piece;
	memmove(p + head, p + v->l4_at, len);
	return head_write(p, to, &h);
}

size_t ip6_cut(uint8_t *p, size_t len, uint32_t id, uint8_t rest[static IP6_MTU_MIN])
{
	enum { FIRST = (IP6_MTU_MIN - HEAD6 - FRAGMENT_HEAD) / 8 * 8, PIECE_AT_MAX = 0x1fff };
	bool is = p[6] == FRAGMENT_HEADER;
	size_t head = is ? HEAD6 + FRAGMENT_HEAD : HEAD6, left = len - head - FIRST;
	struct piece f = is ? piece_read(p + HEAD6) : (struct piece) { true, false, 0, id };
	uint8_t proto = is ? p[HEAD6] : p[6];
	if (len <= head + FIRST || left > FIRST || f.at + FIRST / 8 > PIECE_AT_MAX)
		return 0;
	memcpy(rest, p, HEAD6);
	memcpy(rest + HEAD6 + FRAGMENT_HEAD, p + head + FIRST, left);
	memmove(p + HEAD6 + FRAGMENT_HEAD, p + head, FIRST);
	piece_write(p + HEAD6, proto, &(struct piece) { true, true, f.at, f.id });
	piece_write(
		rest + HEAD6, proto, &(struct piece) { true, f.more, (uint16_t)(f.at + FIRST / 8), f.id });
	p[6] = rest[6] = FRAGMENT_HEADER;
	be_put(p + 4, 2, FRAGMENT_HEAD + FIRST);
	be_put(rest + 4, 2, FRAGMENT_HEAD + left);
	return HEAD6 + FRAGMENT_HEAD + left;
}
