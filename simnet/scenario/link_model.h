/* What a link does to the packets that it carries, each way for itself. Pure data: simnet/fabric/user plays it. All zero is
 * a plain wire: no delay, no loss, no bound on rate or size.
 *
 * Chances are in parts per million of packets. Whether a packet is lost, doubled, held back or damaged follows from the
 * seed of the run, the name of the link's owner, the way, the packet's flow (protocol, addresses and ports) and its number
 * in that flow; never from what else is on the link, so the third packet of a handshake is lost in every run or in none.
 * Models: RFC 2680 (loss), RFC 3393 (delay variation), RFC 4737 (reordering); bursts after Gilbert and Elliott, with a
 * state for every flow. */
#ifndef SIMNET_LINK_MODEL_H
#define SIMNET_LINK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { LINK_PPM = 1000000, LINK_NTH_MAX = 8, LINK_MTU_MIN = 576, LINK_HOPS_MAX = 64, LINK_QUEUE_MS = 100 };

/* Told from ports and first bytes; what fits nothing is LINK_OTHER. */
enum link_class {
	LINK_DISCO,	/* the path discovery of tailscale-like meshes, by its magic */
	LINK_STUN,	/* RFC 8489, by its cookie */
	LINK_WIREGUARD, /* UDP with a WireGuard message type and three zero bytes */
	LINK_TLS,	/* TCP port 443 or 8443 */
	LINK_DNS,	/* UDP or TCP port 53 */
	LINK_QUIC,	/* UDP port 443 */
	LINK_ICMP,
	LINK_OTHER,
	LINK_CLASSES
};

struct link_bursts {	       /* of loss; enter 0 = none */
	uint32_t enter, leave; /* chance, before a packet, to change into and out of the bad state */
	uint32_t bad;	       /* chance that a packet is lost in the bad state; 0 = all are */
};

struct link_way {
	uint64_t delay_us;
	uint64_t
		jitter_us; /* uniform, within delay - jitter .. delay + jitter; <= delay. Order within a flow is kept */
	uint64_t rate_bps; /* bits of IP packets a second; 0 = no bound */
	uint32_t
		queue_bytes; /* what may wait for the rate; then the newest is dropped. 0 = LINK_QUEUE_MS of the rate,
				  16 KiB at least */
	uint32_t loss; /* independent of each other */
	struct link_bursts bursts;
	uint32_t nth[LINK_NTH_MAX]; /* packets of every flow that are lost, from 1; 0 = none */
	uint32_t class_loss[LINK_CLASSES];
	uint32_t big_loss; /* of IP packets of more than `big` bytes */
	uint16_t big;
	uint32_t reorder;	     /* chance to be held back for reorder_us, so that later ones overtake */
	uint64_t reorder_us;	     /* 0 = 10 ms */
	uint32_t duplicate, corrupt; /* corrupt: one bit behind the IP header is turned */
	uint16_t mtu;	 /* of IP packets; 0 = 1500. IPv4 without DF is cut, else see mtu_silent */
	bool mtu_silent; /* what is too big vanishes; otherwise its sender is told by ICMP */
	uint8_t hops; /* routers on the way: a packet has that many fewer left, or dies and nobody is told */
	bool dead;    /* nothing passes this way */
};

struct link_model {
	bool changes;		  /* by a step: no plain wire, whatever it says now */
	struct link_way up, down; /* up: away from the owner, a node or router; down: to it */
};

/* Whether m (may be NULL) is a plain wire both ways. */
bool link_model_is_plain(const struct link_model *m);
const char *link_class_name(enum link_class c); /* "disco" */

#endif
