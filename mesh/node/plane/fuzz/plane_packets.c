#include "mesh/node/plane/fuzz/plane_packets.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD4 = 20, HEAD6 = 40, L4_MAX = PLANE_L4_MAX };

struct addr places[PLACES];

void name_places(void)
{
	static const char *const text[PLACES] = { "100.64.0.1", "fd7a:115c:a1e0::1", "100.64.0.3",
		"fd7a:115c:a1e0::3", "100.64.0.2", "fd7a:115c:a1e0::2", "fd7a:115c:a1e0:b1a:0:7:a01:110",
		"fd7a:115c:a1e0:b1a:0:8:a01:110", "fd7a:115c:a1e0:b1a:0:7:7f00:1",
		"fd7a:115c:a1e0:b1a:1:7:a01:110", "10.1.1.16", "192.0.2.1", "100.100.100.100",
		"fd7a:115c:a1e0::53", "224.0.0.251", "0.0.0.0" };
	for (size_t i = 0; i < PLACES; i++)
		if (!addr_parse(text[i], &places[i]))
			abort();
}

size_t put_text(struct rd *script, uint8_t *out, size_t most)
{
	size_t n = rd_u8(script);
	n = n << 3 > most ? most : n << 3;
	memset(out, 0, n);
	rd_copy(script, out, n < script->left ? n : script->left);
	return n;
}

/* Right sums, so that who looks at them goes on. */
static void put_sums(struct pkt *p)
{
	struct ip_view v;
	uint8_t *b = pkt_data(p);
	if (b[0] >> 4 == 4 && p->len >= HEAD4) {
		b[10] = b[11] = 0;
		be_put(b + 10, 2, ip_checksum(b, HEAD4, 0));
	}
	if (!ip_parse(b, p->len, &v) || v.later_fragment || v.total_len != p->len)
		return;
	size_t at = v.proto == IP_TCP ? 16 : v.proto == IP_UDP ? 6 : 2;
	if (v.proto != IP_TCP && v.proto != IP_UDP && v.proto != IP_ICMP && v.proto != IP_ICMP6)
		return;
	uint8_t *l4 = b + v.l4_at;
	size_t len = p->len - (size_t)v.l4_at;
	if (len < at + 2)
		return;
	be_put(l4 + at, 2, 0);
	be_put(l4 + at, 2,
		v.proto == IP_ICMP ? ip_checksum(l4, len, 0)
				   : ip_l4_checksum(&v.src, &v.dst, v.proto, l4, len));
}

void put_packet(struct rd *script, struct pkt *p)
{
	static const uint8_t protos[] = { IP_ICMP, IP_TCP, IP_UDP, IP_ICMP6, IP_TSMP, IP_SCTP, 0, 44 };
	uint8_t ends = rd_u8(script), how = rd_u8(script);
	const struct addr *src = &places[ends >> 4], *dst = &places[ends & 15];
	bool v4 = addr_is_v4(src);
	pkt_reset(p);
	size_t n = put_text(script, pkt_data(p) + (v4 ? HEAD4 : HEAD6), L4_MAX);
	if (how & 0x40) { /* long */
		memset(pkt_data(p) + (v4 ? HEAD4 : HEAD6) + n, 0, L4_MAX - n);
		n = L4_MAX;
	}
	if (v4 != addr_is_v4(dst))
		dst = v4 ? &places[US4] : &places[US6];
	p->len = (uint16_t)ip_write_header(pkt_data(p), src, dst, protos[how & 7], n);
	if (v4)
		pkt_data(p)[6] = how & 0x80 ? 0x40 : how & 0x20 ? 0x20 : 0;
	if (v4 && how & 0x10)
		pkt_data(p)[7] = 1;
	pkt_data(p)[1] = v4 ? how >> 3 & 1 : 0;
	put_sums(p);
}

void put_answer(struct rd *script, struct pkt *p, const struct pkt *was)
{
	struct pkt q = *was;
	struct ip_view v;
	uint8_t how = rd_u8(script);
	pkt_reset(p);
	if (!ip_parse(pkt_data(&q), q.len, &v))
		return;
	if (how & 1) {
		uint8_t head[8] = { how >> 1 & 15, how >> 5 };
		size_t at = v.version == 4 ? HEAD4 : HEAD6, n = q.len < 512 ? q.len : 512;
		memcpy(pkt_data(p) + at, head, sizeof(head));
		memcpy(pkt_data(p) + at + sizeof(head), pkt_data(&q), n);
		p->len = (uint16_t)ip_write_header(
			pkt_data(p), &v.dst, &v.src, v.version == 4 ? IP_ICMP : IP_ICMP6, sizeof(head) + n);
	} else {
		size_t at = v.version == 4 ? HEAD4 : HEAD6, n = q.len - v.l4_at;
		uint8_t *l4 = pkt_data(p) + at;
		memcpy(l4, pkt_data(&q) + v.l4_at, n);
		if (n >= 4 && (v.proto == IP_TCP || v.proto == IP_UDP)) {
			be_put(l4, 2, v.dport);
			be_put(l4 + 2, 2, v.sport);
		} else if (n) {
			l4[0] = v.proto == IP_ICMP ? 0 : 129;
		}
		if (n && v.proto == IP_TSMP) {
			l4[0] = 'o';
		}
		if (how & 2 && n < L4_MAX) {
			memset(l4 + n, 0, L4_MAX - n);
			n = L4_MAX;
		}
		p->len = (uint16_t)ip_write_header(pkt_data(p), &v.dst, &v.src, v.proto, n);
		if (v.version == 4)
			pkt_data(p)[6] = how & 4 ? 0x40 : 0;
	}
	put_sums(p);
}

void put_bytes(struct rd *script, struct pkt *p)
{
	pkt_reset(p);
	p->len = (uint16_t)put_text(script, pkt_data(p), L4_MAX);
}
