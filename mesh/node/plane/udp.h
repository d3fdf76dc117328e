/* The one UDP socket that WireGuard, disco and STUN share: batches with segmentation offload where the kernel
 * has it. */
#ifndef RW_NODE_PLANE_UDP_H
#define RW_NODE_PLANE_UDP_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/nat64.h"
#include "mesh/base/pkt.h"
#include "mesh/os/loop.h"

struct udp;
struct udp_events {
	/* n datagrams, from[i] each; pkts are the callee's until it returns and may be changed in place. */
	void (*received)(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n);
	/* The kernel refused to send there: negative errno. */
	void (*send_failed)(void *arg, const struct endpoint *to, int code);
	void *arg;
};
/* port 0: the kernel chooses; a port in use falls back to that, with a warning. */
struct udp *udp_open(struct loop *l, uint16_t port, const struct udp_events *ev, struct errbuf *eb);
/* Where the machine has no IPv4: all of it is reached and heard through this translator. bits 0: as it is. */
void udp_nat64_set(struct udp *u, const struct nat64 *n);
void udp_close(struct udp *u);
uint16_t udp_port(const struct udp *u);
/* Whether the kernel cuts what we send together, as far as it has not refused, and joins what comes. */
struct udp_offloads {
	bool gso, gro;
};
struct udp_offloads udp_offloads(const struct udp *u);
void udp_send(struct udp *u, const struct endpoint *to, const uint8_t *p, size_t len);
/* As udp_send; over IPv4 it passes `hops` routers at most, 0 = ends at the first. */
void udp_send_near(struct udp *u, const struct endpoint *to, uint8_t hops, const uint8_t *p, size_t len);
/* n packets to one place; equal lengths (but the last) leave as one segmented send. */
void udp_send_batch(struct udp *u, const struct endpoint *to, struct pkt *const *pkts, size_t n);

/* What sending takes, to be copied for another thread: the descriptor alone is shared. */
struct udp_sender {
	int fd;
	bool v6, gso;
	struct nat64 nat64;
	uint64_t queue_full, unsent; /* packets, since it was told */
	int failed;		     /* 0, or the last time the kernel refused to send, and where to */
	struct endpoint failed_to;
};
struct udp_sender udp_sender_of(const struct udp *u);
/* As udp_send_batch, on any thread; what failed stands in o. */
void udp_sender_send(struct udp_sender *o, const struct endpoint *to, struct pkt *const *pkts, size_t n);
/* What failed is counted, and said to send_failed. On the loop's thread; whoever has o clears it. */
void udp_sender_told(struct udp *u, const struct udp_sender *o);

#define UDP_DROPS(X) X(udp_oversize) X(udp_bad_source) X(udp_queue_full) X(udp_unsent)
struct udp_drops {
#define X(name) uint64_t name;
	UDP_DROPS(X)
#undef X
};
const struct udp_drops *udp_drops(const struct udp *u);

#endif
