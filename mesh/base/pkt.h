/* A packet buffer with headroom and tailroom, so that headers and tags are added without copying. */
#ifndef RW_BASE_PKT_H
#define RW_BASE_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PKT_HEADROOM = 96, /* WireGuard data header 16, virtio header, relay frame header 5 + 32, to 16-byte
			      alignment */
	PKT_TAILROOM = 32, /* AEAD tag 16, padding to 16 */
	PKT_MTU_MAX = 1500,
	PKT_SIZE = 2048,
	PKT_BATCH = 64, /* packets from one TUN read or one UDP receive */
	/* What WireGuard and a relay's frame put around a packet; and how much, with that, a batch from the TUN may be before its last
	   one, so that it leaves by one write to a relay, 64 KiB, or one super-packet of UDP. What is over would leave by a second
	   one, which is small and costs as much. */
	PKT_WRAPPED = 16 + 16 + 5 + 32,
	PKT_BATCH_BYTES = (64 << 10) - (PKT_SIZE + 5 + 32),
};

struct pkt {
	uint16_t at, len; /* live bytes are b[at .. at+len) */
	uint8_t b[PKT_SIZE];
	uint8_t ecn;  /* the two bits (RFC 3168) of the datagram that carries it, or will */
	bool follows; /* of a batch: addresses, protocol and ports are those of the packet before it */
} __attribute__((aligned(16)));

static inline uint8_t *pkt_data(struct pkt *p)
{
	return p->b + p->at;
}
static inline void pkt_reset(struct pkt *p)
{
	p->at = PKT_HEADROOM;
	p->len = 0;
	p->follows = false;
	p->ecn = 0;
}

#endif
