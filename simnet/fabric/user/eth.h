/* Ethernet frames as the links carry them: reading, rewriting with checksums kept, and the answers that routers give.
 * Whoever writes into a frame has parsed it first. RFC 791, 792, 826, 1191, 4443, 4861, 5508. */
#ifndef SIMNET_USER_ETH_H
#define SIMNET_USER_ETH_H

#include "mesh/base/ip.h"

enum {
	ETH_HEADER = 14,
	ETH_TYPE_V4 = 0x0800,
	ETH_TYPE_ARP = 0x0806,
	ETH_TYPE_V6 = 0x86dd,
	ETH_IP_MAX = 1500,
	ETH_FRAME_MAX = ETH_HEADER + ETH_IP_MAX,
};

struct mac {
	uint8_t b[6];
};
extern const struct mac mac_all;
bool mac_equal(const struct mac *a, const struct mac *b);

struct frame {
	uint16_t len; /* <= ETH_FRAME_MAX */
	uint8_t b[ETH_FRAME_MAX];
};

struct eth_view {
	uint16_t type;
	struct mac src, dst;
	bool is_ip; /* ip is filled, and the bytes behind the Ethernet header are one well-formed packet */
	struct ip_view ip;
	uint16_t ip_len; /* without the padding of the frame */
	uint16_t l4_len; /* of them, behind the IP header */
};
/* false: shorter than its header, or longer than ETH_FRAME_MAX. What is not IP, or broken IP, has is_ip false. */
bool eth_read(const uint8_t *p, size_t len, struct eth_view *out);

void eth_set_ethernet(struct frame *f, const struct mac *src, const struct mac *dst, uint16_t type);

/* ---- neighbours ---- */

struct eth_neighbour { /* ARP, or a neighbour solicitation or advertisement */
	bool request;
	struct addr who;    /* asked for, or (an answer) told of */
	struct addr sender; /* unspecified: none */
	struct mac mac;	    /* the sender's; of an answer: who's */
};
bool eth_read_neighbour(const uint8_t *p, size_t len, const struct eth_view *v, struct eth_neighbour *out);
/* The answer to r from somebody who has r->who; the request for who. */
void eth_write_answer(struct frame *f, const struct eth_neighbour *r, const struct mac *own);
void eth_write_request(
	struct frame *f, const struct addr *who, const struct addr *own, const struct mac *own_mac);

/* ---- rewriting; ip points at the IP header, len bytes are there ---- */

enum eth_end { ETH_SRC, ETH_DST };
/* Gives an IPv4 packet (of UDP, TCP, ICMP echo, or another protocol: address alone) another end; port 0 keeps the port.
 * Later fragments get the address alone. */
void eth_rewrite(uint8_t *ip, const struct ip_view *v, enum eth_end end, const struct endpoint *to);
/* One hop less; false: it was the last. */
bool eth_hop(uint8_t *ip, const struct ip_view *v);

/* An ICMP error carries the beginning of a packet. inner: what can be read of it; false: not an error, or too short to
 * tell addresses and ports. inner_at: where that packet begins in ip. */
bool eth_read_error(
	const uint8_t *ip, const struct ip_view *v, size_t len, struct ip_view *inner, uint16_t *inner_at);
/* Rewrites one end of the packet inside an IPv4 error, and the checksums around it. */
void eth_rewrite_inner(
	uint8_t *ip, const struct ip_view *v, uint16_t inner_at, enum eth_end end, const struct endpoint *to);

/* ---- answers; written behind the Ethernet header, which the caller fills ---- */

enum eth_error { ETH_UNREACHABLE_PORT, ETH_UNREACHABLE_NET, ETH_PROHIBITED, ETH_TIME_EXCEEDED, ETH_TOO_BIG };
/* An ICMP or ICMPv6 error about a packet, from `from` to its sender. mtu for ETH_TOO_BIG. false: about such a packet
 * none may be sent (RFC 1122 3.2.2). */
bool eth_write_error(struct frame *out, enum eth_error e, uint16_t mtu, const struct addr *from,
	const uint8_t *ip, const struct ip_view *v, size_t len);
/* The answer to an echo request. false: it is none. */
bool eth_write_echo(struct frame *out, const uint8_t *ip, const struct ip_view *v, size_t len);
/* The reset that answers a TCP segment. false: not TCP, or a reset itself. */
bool eth_write_reset(struct frame *out, const uint8_t *ip, const struct ip_view *v, size_t len);

/* The IPv4 packet in `in`, which is longer than mtu, in pieces: piece number i (from 0) into out, with in's Ethernet
 * header. false: there are no more. */
bool eth_write_piece(struct frame *out, const struct frame *in, uint16_t mtu, unsigned i);
bool eth_may_be_cut(const uint8_t *ip, const struct ip_view *v); /* IPv4 without DF */

#endif
