/* View of an IP packet's headers, checksums, and building small packets. RFC 791, 8200, 768, 9293, 792, 4443.
 */
#ifndef RW_BASE_IP_H
#define RW_BASE_IP_H

#include "mesh/base/addr.h"

enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58, IP_TSMP = 99, IP_SCTP = 132 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

struct ip_view {
	struct addr src, dst;
	uint8_t version, proto;	      /* proto after v6 extension headers */
	uint8_t tcp_flags;	      /* TCP only */
	uint8_t icmp_type, icmp_code; /* ICMP and ICMPv6 only */
	bool later_fragment;	      /* no transport header: ports are 0 */
	uint16_t sport, dport;	      /* TCP, UDP, SCTP; ICMP echo: both = identifier */
	uint16_t l4_at, payload_at;   /* offsets from the start of the packet */
	uint16_t fragment_at;	      /* where a later fragment's bytes belong in the whole payload; else 0 */
	uint16_t total_len;	      /* as the header says; <= len */
};

/* false for anything that is not one whole, well-formed packet (first fragments need the transport header).
 */
bool ip_parse(const uint8_t *p, size_t len, struct ip_view *out);
/* The same in less time for one more packet of a flow. v is what ip_parse made of another packet. true: this one is TCP or
 * UDP of the same addresses and ports, no fragment, without options or extensions, and v is now what ip_parse would make of it.
 * false says nothing of the packet; v is as it was. */
bool ip_parse_next(const uint8_t *p, size_t len, struct ip_view *v);
uint16_t ip_checksum(const void *p, size_t len, uint32_t sum); /* folded, complemented, host order */
uint32_t ip_sum(const void *p, size_t len, uint32_t sum);      /* partial */
/* What the transport checksum covers beside the l4 bytes: partial. */
uint32_t ip_pseudo_sum(const struct addr *src, const struct addr *dst, uint8_t proto, size_t len);
/* Transport checksum over pseudo header and l4 bytes (checksum field zeroed by the caller). */
uint16_t ip_l4_checksum(
	const struct addr *src, const struct addr *dst, uint8_t proto, const void *l4, size_t len);
/* Writes an IP + UDP header for payload already at buf + 28 (v4) or + 48 (v6); returns total length. */
size_t ip_write_udp(uint8_t *buf, const struct endpoint *src, const struct endpoint *dst, size_t payload_len);
/* IP header only (no extension), payload already behind it at + 20 or + 40; returns total length. */
size_t ip_write_header(
	uint8_t *buf, const struct addr *src, const struct addr *dst, uint8_t proto, size_t payload_len);

#endif
