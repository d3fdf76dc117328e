/* The way out on a thread of its own, while much leaves: it reads the TUN, seals and sends what lending.h lent it, and asks the
 * loop about all else. Otherwise the loop reads the TUN as if there were no such thread. */
#ifndef RW_NODE_PLANE_OUTWARD_H
#define RW_NODE_PLANE_OUTWARD_H

#include "mesh/node/plane/dataplane.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/loop.h"

struct outward;
struct outward_ops {
	/* What the loop is to send itself, on the loop's thread. */
	void (*received)(void *arg, struct pkt *pkts, size_t n);
	struct udp *(*udp)(void *arg, enum path_socket which);
	void (*settled)(void *arg); /* the cores were told something: engine_rearm */
	unsigned
		many; /* packets in 100 ms for which the thread takes over; 0: as many as make it worth while */
	void *arg;
};
/* tun and plane are borrowed. No thread begins before there is something for it. NULL: memory or descriptors are short. */
struct outward *outward_open(
	struct loop *l, struct tun *t, struct plane *d, const struct outward_ops *ops, struct errbuf *eb);
void outward_close(struct outward *o); /* gives back what is lent; NULL is fine */

/* The loop read n packets, of which this is one: whether there are so many now that the thread shall take over. */
void outward_seen(struct outward *o, uint64_t now_ms, struct pkt *p, size_t n);
/* All that is lent comes back now: struct plane_io.recall. NULL is fine. From ops of the cores too. */
void outward_recall(struct outward *o);
/* The same where the cores would lend on other terms by now. The end of every entry from the loop. NULL is fine. */
void outward_check(struct outward *o);
/* What was sent so far is in the counters of the plane and of WireGuard. NULL is fine. */
void outward_settle(struct outward *o);

struct outward_figures {
	bool on; /* the thread reads the TUN */
	uint64_t begun, packets, asked, recalled;
};
struct outward_figures outward_figures(struct outward *o);

/* How many processors this program may run on. */
unsigned outward_processors(void);

#endif
