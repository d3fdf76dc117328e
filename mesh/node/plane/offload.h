/* Segmentation in both directions, pure: cutting a virtio super-packet from the TUN into packets, and joining
 * packets of one TCP or UDP flow into one. virtio spec 1.2 section 5.1.6; RFC 9293; kernel.md 6. */
#ifndef RW_NODE_PLANE_OFFLOAD_H
#define RW_NODE_PLANE_OFFLOAD_H

#include "mesh/base/ip.h"
#include "mesh/base/pkt.h"
#include <linux/virtio_net.h>
#include <sys/uio.h>

enum { OFFLOAD_IOV_MAX = 1 + PKT_BATCH };

/* Cutting. The super-packet stays borrowed until the last piece is taken. */
struct offload_cut {
	const uint8_t *p;
	size_t len, at;		   /* at: next payload byte */
	uint16_t hdr_len, seg_len; /* of every piece but the last; seg_len 0 = one packet as it is */
	uint16_t csum_start, csum_offset;
	uint8_t proto, version;
	uint32_t pseudo; /* sum of what all pieces' pseudo-headers share */
	uint16_t piece;
	bool whole, bad; /* bad: a piece does not fit a pkt */
};
/* with_header: a struct virtio_net_hdr stands in front. false: malformed. */
bool offload_cut_begin(struct offload_cut *c, uint8_t *p, size_t len, bool with_header);
/* The next packet with its checksums whole, at PKT_HEADROOM; false at the end. */
bool offload_cut_next(struct offload_cut *c, struct pkt *out);

/* Joining. */
struct offload_join {
	struct virtio_net_hdr hdr;
	bool udp; /* the taker cuts datagrams too */
};
/* Takes the longest run from the front of pkts that makes one super-packet (>= 1 packet), as virtio header +
 * parts in iov. The first packet's header is changed. Returns how many packets were taken. */
size_t offload_join_next(
	struct offload_join *j, struct pkt *const *pkts, size_t n, struct iovec *iov, size_t *n_iov);

#endif
