/* IPv6 packets as IPv4 ones and back, header by header (RFC 7915). Pure; whose address becomes which is the caller's. */
#ifndef RW_BASE_IP_TRANSLATE_H
#define RW_BASE_IP_TRANSLATE_H

#include "mesh/base/ip.h"

enum {
	IP6_MTU_MIN = 1280,	/* what each link of IPv6 carries */
	IP_TRANSLATE_GROWS = 20 /* an IPv4 packet that becomes one of IPv6, at most: its header */
};
struct ip_ends {
	struct addr src, dst;
};

/* The packet that an ICMP error is about, which is quoted in part: addresses, protocol and ports of it, of the error's own
 * family. false: v is no error, or too little of it is there. p is what v was parsed from. */
bool ip_quoted(const uint8_t *p, const struct ip_view *v, struct ip_view *out);

/* Writes the packet p, parsed as v, with these ends of the other family in its place; cap: bytes that p may become.
 * quoted: of the packet inside an error; NULL: it is none. Returns the new length, or 0 with p as it was: a fragment,
 * IPv6 extension headers, a protocol or message that the other family does not have, or no room. */
size_t ip_translate(uint8_t *p, size_t cap, const struct ip_view *v, const struct ip_ends *to,
	const struct ip_ends *quoted);

#endif
