/* Explicit congestion notification through the tunnel: what routers between two nodes mark reaches the connection inside.
 * RFC 6040. Pure. */
#ifndef RW_NODE_PLANE_ECN_H
#define RW_NODE_PLANE_ECN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ecn {
	ECN_NOT_CAPABLE,
	ECN_CAPABLE_1,
	ECN_CAPABLE_0,
	ECN_CONGESTED
}; /* RFC 3168: the two bits of the header */

/* Of an IP packet, for the datagram that carries it; what is no IP packet is not capable. */
enum ecn ecn_of(const uint8_t *p, size_t len);
/* What the datagram had is put into the packet that it carried, with its checksum. false: a router met congestion, the
 * packet's sender cannot be told by a mark, so it has to be lost. */
bool ecn_take(uint8_t *p, size_t len, enum ecn outer);

#endif
