#include "simnet/report/frame.h"

#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "simnet/scenario/dnsmsg.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { ETHERNET = 14, DNS_PORT = 53, DNS_HEADER = 12, DHCP_SERVER = 67, DHCP_CLIENT = 68 };

/* A packet that was cut when it was kept says in its header how long it was: for the reader of headers it becomes as long as it
 * is. */
static void shorten(uint8_t *ip, size_t len)
{
	if (len >= 20 && ip[0] >> 4 == 4 && be_get(ip + 2, 2) > len)
		be_put(ip + 2, 2, len);
	else if (len >= 40 && ip[0] >> 4 == 6 && be_get(ip + 4, 2) + 40 > len)
		be_put(ip + 4, 2, len - 40);
}

/* FNV-1a. Ports and checksums are left out: a router may change them. */
static uint32_t hash_more(uint32_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static uint32_t hash_body(const struct frame_view *v)
{
	uint8_t head[3] = { v->proto, (uint8_t)(v->payload_wire >> 8), (uint8_t)v->payload_wire };
	uint32_t h = hash_more(2166136261u, head, sizeof(head));
	if (v->proto == IP_TCP && v->l4_len >= 14)
		h = hash_more(h, v->l4 + 4, 10);
	if ((v->proto == IP_ICMP || v->proto == IP_ICMP6) && v->l4_len >= 8) {
		h = hash_more(h, v->l4, 2);
		return hash_more(h, v->l4 + 6, 2); /* the identifier may be translated */
	}
	return hash_more(h, v->payload, v->payload_len);
}

bool frame_read(const uint8_t *frame, size_t len, size_t wire_len, struct frame_view *out)
{
	struct ip_view ip;
	if (len < ETHERNET)
		return false;
	size_t have = len - ETHERNET < FRAME_KEPT ? len - ETHERNET : FRAME_KEPT;
	memcpy(out->kept, frame + ETHERNET, have);
	shorten(out->kept, have);
	if (!ip_parse(out->kept, have, &ip))
		return false;
	size_t lost = wire_len > have + ETHERNET ? wire_len - have - ETHERNET : 0;
	out->src = (struct endpoint) { .ip = ip.src, .port = ip.sport };
	out->dst = (struct endpoint) { .ip = ip.dst, .port = ip.dport };
	out->proto = ip.proto;
	out->tcp_flags = ip.tcp_flags;
	out->icmp_type = ip.icmp_type;
	out->icmp_code = ip.icmp_code;
	out->later_fragment = ip.later_fragment;
	out->l4 = out->kept + ip.l4_at;
	out->l4_len = ip.total_len > ip.l4_at ? (size_t)ip.total_len - ip.l4_at : 0;
	out->payload = out->kept + ip.payload_at;
	out->payload_len = ip.total_len > ip.payload_at ? (size_t)ip.total_len - ip.payload_at : 0;
	out->payload_wire = out->payload_len + lost;
	out->body = hash_body(out);
	return true;
}

const char *frame_protocol(uint8_t proto)
{
	return proto == IP_TCP			       ? "tcp"
	       : proto == IP_UDP		       ? "udp"
	       : proto == IP_ICMP || proto == IP_ICMP6 ? "icmp"
						       : "ip";
}

/* ---- what it is for ---- */

static const char *type_word(uint16_t type, char *buf, size_t cap)
{
	static const char *const words[] = { "A", "AAAA", "PTR", "CNAME", "TXT", "NS", "SOA", "MX", "SRV" };
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (dnsmsg_type(words[i]) == type)
			return words[i];
	snprintf(buf, cap, "type %u", type);
	return buf;
}

/* The question alone, which is never compressed (RFC 1035 4.1.2). */
static bool question(const struct frame_view *v, char *name, size_t cap, uint16_t *type)
{
	struct rd r = rd_of(v->payload, v->payload_len);
	size_t n = 0;
	rd_take(&r, DNS_HEADER);
	for (;;) {
		size_t len = rd_u8(&r);
		const uint8_t *label = len < 64 ? rd_take(&r, len) : NULL;
		if (!len || !label || n + len + 2 > cap)
			break;
		for (size_t i = 0; i < len; i++)
			name[n++] = isgraph(label[i]) ? (char)tolower(label[i]) : '?';
		name[n++] = '.';
	}
	name[n ? n - 1 : 0] = '\0';
	*type = rd_u16(&r);
	return !r.bad;
}

static void say_dns(const struct frame_view *v, char *buf)
{
	char name[100], other[16];
	uint16_t type;
	struct buf values = { .cap = 4096 };
	struct dnsmsg_reply reply;
	if (v->payload_len < DNS_HEADER || !question(v, name, sizeof(name), &type)) {
		snprintf(buf, FRAME_INFO, "DNS");
		return;
	}
	const char *word = type_word(type, other, sizeof(other));
	uint8_t rcode = v->payload[3] & 15;
	if (!(v->payload[2] & 0x80))
		snprintf(buf, FRAME_INFO, "DNS? %s %s", word, name);
	else if (v->payload_wire == v->payload_len &&
		 dnsmsg_read_reply(v->payload, v->payload_len, type, &reply, &values))
		snprintf(buf, FRAME_INFO, "DNS= %s %s %s%.*s", word, name,
			reply.truncated ? "truncated " : "",
			values.len ? (int)strcspn(buf_cstr(&values), "\n") : 60,
			values.len		     ? buf_cstr(&values)
			: *dnsmsg_rcode_word(&reply) ? dnsmsg_rcode_word(&reply)
						     : "empty");
	else
		snprintf(buf, FRAME_INFO, "DNS= %s %s rcode %u", word, name, rcode);
	buf_free(&values);
}

static void say_udp(const struct frame_view *v, char *buf)
{
	static const char *const wireguard[] = {
		[1] = "handshake", [2] = "handshake answer", [3] = "cookie", [4] = "data"
	};
	static const uint8_t disco[] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac },
			     stun[] = { 0x21, 0x12, 0xa4, 0x42 };
	const uint8_t *p = v->payload;
	size_t n = v->payload_len;
	if (v->src.port == DNS_PORT || v->dst.port == DNS_PORT)
		say_dns(v, buf);
	else if (n >= sizeof(disco) && !memcmp(p, disco, sizeof(disco)))
		snprintf(buf, FRAME_INFO, "disco");
	else if (n >= 8 && !memcmp(p + 4, stun, sizeof(stun)))
		snprintf(buf, FRAME_INFO, "STUN %s", p[0] & 1 ? "answer" : "question");
	else if (n >= 32 && p[0] >= 1 && p[0] <= 4 && !p[1] && !p[2] && !p[3])
		snprintf(buf, FRAME_INFO, "WireGuard %s", wireguard[p[0]]);
	else if (v->dst.port == DHCP_SERVER || v->dst.port == DHCP_CLIENT)
		snprintf(buf, FRAME_INFO, "DHCP");
}

static void say_tcp(const struct frame_view *v, char *buf)
{
	static const struct {
		uint8_t flag;
		const char *word;
	} rows[] = { { TCP_SYN, " SYN" }, { TCP_FIN, " FIN" }, { TCP_RST, " RST" }, { TCP_PSH, " PSH" },
		{ TCP_ACK, " ACK" } };
	size_t n = (size_t)snprintf(buf, FRAME_INFO, "TCP");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (v->tcp_flags & rows[i].flag)
			n += (size_t)snprintf(buf + n, FRAME_INFO - n, "%s", rows[i].word);
	if (v->payload_len > 5 && v->payload[0] == 22 && v->payload[1] == 3) /* RFC 8446 5.1, 4 */
		snprintf(buf + n, FRAME_INFO - n, ", TLS %s", v->payload[5] == 1 ? "hello" : "handshake");
}

static void say_icmp(const struct frame_view *v, char *buf)
{
	static const struct {
		uint8_t proto, type;
		int code; /* -1 = any */
		const char *word;
	} rows[] = {
		{ IP_ICMP, 8, -1, "echo" },
		{ IP_ICMP, 0, -1, "echo answer" },
		{ IP_ICMP, 3, 0, "network unreachable" },
		{ IP_ICMP, 3, 1, "host unreachable" },
		{ IP_ICMP, 3, 3, "port unreachable" },
		{ IP_ICMP, 3, 4, "too large" },
		{ IP_ICMP, 3, 13, "forbidden" },
		{ IP_ICMP, 3, -1, "unreachable" },
		{ IP_ICMP, 11, -1, "time exceeded" },
		{ IP_ICMP6, 128, -1, "echo" },
		{ IP_ICMP6, 129, -1, "echo answer" },
		{ IP_ICMP6, 1, 0, "no route" },
		{ IP_ICMP6, 1, 1, "forbidden" },
		{ IP_ICMP6, 1, 4, "port unreachable" },
		{ IP_ICMP6, 1, -1, "unreachable" },
		{ IP_ICMP6, 2, -1, "too large" },
		{ IP_ICMP6, 133, -1, "router solicitation" },
		{ IP_ICMP6, 134, -1, "router advertisement" },
		{ IP_ICMP6, 135, -1, "neighbour solicitation" },
		{ IP_ICMP6, 136, -1, "neighbour advertisement" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].proto == v->proto && rows[i].type == v->icmp_type &&
			(rows[i].code < 0 || rows[i].code == v->icmp_code)) {
			snprintf(buf, FRAME_INFO, "%s", rows[i].word);
			return;
		}
	snprintf(buf, FRAME_INFO, "type %u, code %u", v->icmp_type, v->icmp_code);
}

const char *frame_info(const struct frame_view *v, char *buf)
{
	buf[0] = '\0';
	if (v->later_fragment)
		snprintf(buf, FRAME_INFO, "fragment");
	else if (v->proto == IP_UDP)
		say_udp(v, buf);
	else if (v->proto == IP_TCP)
		say_tcp(v, buf);
	else if (v->proto == IP_ICMP || v->proto == IP_ICMP6)
		say_icmp(v, buf);
	return buf;
}
