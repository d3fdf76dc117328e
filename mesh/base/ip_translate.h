/* IPv6 packets as IPv4 ones and back, header by header (RFC 7915). Pure; whose address becomes which is the caller's. */
#ifndef RW_BASE_IP_TRANSLATE_H
#define RW_BASE_IP_TRANSLATE_H

#include "mesh/base/ip.h"

enum {
	IP6_MTU_MIN = 1280,	 /* what each link of IPv6 carries */
	IP_TRANSLATE_GROWS = 20, /* an IPv4 packet that becomes one of IPv6, at most: its header; */
	IP_TRANSLATE_PIECE = 8	 /* so much more if it is a fragment */
};
struct ip_ends {
	struct addr src, dst;
	/* Of IPv4, by which a packet that no link of IPv6 is too narrow for may be cut on its way; 0: it may not. */
	uint16_t id;
};

/* The packet that an ICMP error is about, which is quoted in part: addresses, protocol and ports of it, of the error's own
 * family. false: v is no error, or too little of it is there. p is what v was parsed from. */
bool ip_quoted(const uint8_t *p, const struct ip_view *v, struct ip_view *out);

/* Writes the packet p, parsed as v, with these ends of the other family in its place; cap: bytes that p may become.
 * quoted: of the packet inside an error; NULL: it is none. A fragment stays one, of the same id. Returns the new length, or
 * 0 with p as it was: a fragment of ICMP, or of UDP without a checksum, IPv6 extension headers, a protocol or message that
 * the other family does not have, or no room. */
size_t ip_translate(uint8_t *p, size_t cap, const struct ip_view *v, const struct ip_ends *to,
	const struct ip_ends *quoted);

/* Cuts the IPv6 packet p, of len bytes, longer than IP6_MTU_MIN and without extension headers but one of a fragment, in two
 * that each link carries: p becomes the first, of IP6_MTU_MIN bytes, for which there is room; rest the other, whose length
 * is returned. id: of the fragments, if p is none. 0: it would take more than two, or the other would begin beyond what a
 * datagram can hold; nothing is changed. */
size_t ip6_cut(uint8_t *p, size_t len, uint32_t id, uint8_t rest[static IP6_MTU_MIN]);

#endif
