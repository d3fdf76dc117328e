/* Wires and routers of a running network, and the packets that are on their way: the whole of the userspace engine that
 * needs neither clock nor device. A wire has two ports: its owner's end, and the end in the fabric. A router has a port for
 * each side. Frames come in by a port, and leave by one, now or when they are due. */
#ifndef SIMNET_USER_BOARD_H
#define SIMNET_USER_BOARD_H

#include "simnet/fabric/user/link.h"
#include "simnet/fabric/user/router.h"

enum { BOARD_HELD_BYTES = 64 << 20, BOARD_DROPS_MAX = 1024 };

struct board;
struct board_ops {
	/* A frame leaves; the board is not to be called from here. */
	void (*send)(void *owner, int port, const uint8_t *frame, size_t len);
};
struct board_drop {		 /* equal ones in a row are merged */
	uint64_t at_ns, last_ns; /* of the first and the last of them, by the clock of the frames */
	const char *where, *why; /* live as long as the board */
	struct endpoint src, dst;
	uint8_t proto;
	uint32_t count;
};
struct board_wire {
	const char *name;		/* copied; "alice" */
	const struct link_model *model; /* NULL: plain */
	const struct link_far *far;	/* of the way up; not copied */
	size_t n_far;
	struct addr teller; /* who tells of packets that are too big; unspecified: nobody */
	struct addr teller6;
};

struct board *board_new(uint64_t seed, const struct board_ops *ops, void *owner); /* NULL: memory */
void board_free(struct board *b);
/* The number of the owner's end; that of the fabric's end is one more. -1: memory. */
int board_add_wire(struct board *b, const struct board_wire *w);
/* The number of the WAN's port; that of the LAN's is one more. wan: the wire there, may be NULL. Its config's nat has seed and
 * log set here. -1: memory. */
int board_add_router(struct board *b, const struct router_config *c, const struct board_wire *wan);
/* A host of the router at `port`, for what the router says itself: its frames leave by the router's LAN, and what is for it
 * (router_share) comes out here. The port after it is of no use. -1: memory. */
int board_add_host(struct board *b, int port);
/* The router at `port` is another way out of the one at `lead`: what comes in at the lead's LAN is for one of them that is not
 * idle, a flow for one that knows it, else by its hash; its own LAN port is of no use. All translate. */
void board_join(struct board *b, int port, int lead);
void board_set_idle(
	struct board *b, int port, bool idle, uint64_t now_ns); /* idle: and its mappings are gone */
size_t board_ports(const struct board *b);
struct router *board_router(struct board *b, int port); /* of either of its ports; NULL: a wire's */
/* For the wire at a port, or of a router's WAN; false: there is none. */
bool board_set_link(struct board *b, int port, const struct link_model *m);
/* Every wire carries everything at once, unchanged, and firewalls are lifted, as long as it is on. */
void board_bypass(struct board *b, bool on);
void board_lift_firewalls(struct board *b, bool lifted);
/* The cable at a port is pulled: what is on its way over it, both ways, is lost. */
void board_pull(struct board *b, int port);
/* The owner's end of a wire and the fabric's are told apart by the port. */
void board_received(struct board *b, int port, const uint8_t *frame, size_t len, uint64_t now_ns);
void board_tick(struct board *b, uint64_t now_ns);
uint64_t board_deadline_ns(const struct board *b); /* UINT64_MAX = none */
/* Mappings, flows and decisions so far are forgotten; what is on its way goes on. */
void board_forget(struct board *b, uint64_t now_ns);
size_t board_drops(
	struct board *b, struct board_drop *out, size_t cap); /* oldest first; they are then gone */
struct decision_log *board_log(struct board *b);

#endif
