/* One captured frame (Ethernet), as far as a story needs it; also of a packet of which only the beginning was kept. Pure. */
#ifndef SIMNET_FRAME_H
#define SIMNET_FRAME_H

#include "mesh/base/addr.h"

enum { FRAME_KEPT = 2048, FRAME_INFO = 160 };
struct frame_view {
	struct endpoint src, dst;
	uint8_t proto, tcp_flags, icmp_type, icmp_code;
	bool later_fragment;
	uint32_t body; /* the same on every link that the packet passed, whatever routers translate in it */
	const uint8_t *l4, *payload; /* in `kept` */
	size_t l4_len, payload_len;  /* of what was kept */
	size_t payload_wire;	     /* as it was on the wire */
	uint8_t kept[FRAME_KEPT];
};
/* false: no whole IPv4 or IPv6 header and transport header; *out is then not defined. */
bool frame_read(const uint8_t *frame, size_t len, size_t wire_len, struct frame_view *out);
/* "udp", "tcp", "icmp", "ip" */
const char *frame_protocol(uint8_t proto);
/* What it is for: "DNS? A web.test", "TCP SYN", "disco", "STUN", "WireGuard handshake", "port unreachable", "". buf[FRAME_INFO];
 * returns it. */
const char *frame_info(const struct frame_view *v, char *buf);

#endif
