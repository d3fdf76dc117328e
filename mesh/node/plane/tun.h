/* The TUN device: batches of IP packets with headroom. Segmentation offload towards the kernel both ways
 * (IFF_VNET_HDR); what it hands out and takes in are single packets of at most the MTU. */
#ifndef RW_NODE_PLANE_TUN_H
#define RW_NODE_PLANE_TUN_H

#include "mesh/base/err.h"
#include "mesh/base/pkt.h"
#include "mesh/os/loop.h"

struct tun;
struct tun_events {
	/* n packets of one wake-up; the callee's until it returns and may be changed in place. */
	void (*received)(void *arg, struct pkt *pkts, size_t n);
	void (*lost)(void *arg, int code); /* once: the interface is gone, nothing comes any more */
	void *arg;
};
/* Whether there can be one: a start that can only fail later is refused now. 0, or what is missing. */
int tun_check(struct errbuf *eb);
/* Creates the interface (down, no address). Errors say what is missing: device file, permission, name taken.
 */
struct tun *tun_open(struct loop *l, const char *name, const struct tun_events *ev, struct errbuf *eb);
/* The same over an fd that is a TUN already, for tests and for a privileged parent. Takes the fd. */
struct tun *tun_adopt(struct loop *l, int fd, bool vnet_hdr, const struct tun_events *ev);
void tun_close(struct tun *t);
const char *tun_name(const struct tun *t);
/* Which super-packets the kernel and we hand each other: of TCP, and of UDP, which kernels since 6.2 know. */
struct tun_offloads {
	bool tcp, udp;
};
struct tun_offloads tun_offloads(const struct tun *t);
/* Packets to the kernel; runs of one flow are joined. PKT_HEADROOM in front may be overwritten. */
void tun_write_batch(struct tun *t, struct pkt *const *pkts, size_t n);

/* Another reader of the same device, on a thread of its own, while the loop does not listen. Nothing else of this header is
 * called there. */
struct tun_reader;
struct tun_reader *tun_reader_new(struct tun *t, void (*received)(void *arg, struct pkt *pkts, size_t n),
	void *arg);					   /* NULL: memory is short. One of a tun */
void tun_reader_free(struct tun *t, struct tun_reader *r); /* not while it reads; NULL is fine */
int tun_reader_fd(const struct tun_reader *r);		   /* to wait for */
/* What waits, up to some hundred packets, as batches to `received`. 0, or a negative code: nothing comes any more. */
int tun_reader_read(struct tun_reader *r);
void tun_reader_stop(struct tun_reader *r); /* from `received`: read no more than is in hand */
/* Whether the loop reads. It does so from the beginning. */
void tun_listen(struct tun *t, bool here);

#define TUN_DROPS(X) X(tun_write_failed) X(tun_bad_header) X(tun_too_large)
struct tun_drops {
#define X(name) uint64_t name;
	TUN_DROPS(X)
#undef X
};
const struct tun_drops *tun_drops(struct tun *t);

#endif
