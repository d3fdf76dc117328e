/* Whose link-layer address a router knows, on each of its sides, and the frames that wait until it is known. */
#ifndef SIMNET_USER_NEIGHBOURS_H
#define SIMNET_USER_NEIGHBOURS_H

#include "mesh/base/table.h"
#include "simnet/fabric/user/router.h"

enum { NEIGHBOURS_MAX = 4096, NEIGHBOURS_PENDING = 32 };

struct neighbours {
	struct table sides[ROUTER_SIDES]; /* address -> its link-layer address; NEIGHBOURS_MAX each */
	struct neighbours_pending {
		bool used;
		enum router_side side;
		struct addr who;
		struct frame frame;
	} pending[NEIGHBOURS_PENDING]; /* of all sides: the oldest makes room */
	unsigned next;
};

void neighbours_init(struct neighbours *n);
void neighbours_fini(struct neighbours *n);
void neighbours_forget(struct neighbours *n, enum router_side side); /* and what waits there */
/* false: full, or memory is short. */
bool neighbours_put(
	struct neighbours *n, enum router_side side, const struct addr *who, const struct mac *mac);
const struct mac *neighbours_find(
	const struct neighbours *n, enum router_side side, const struct addr *who); /* NULL: not known */
void neighbours_wait(struct neighbours *n, enum router_side side, const struct addr *who,
	const struct frame *f); /* a copy */
/* A frame that waits for who, and waits no longer; NULL: none. Good until the next call. */
struct frame *neighbours_take(struct neighbours *n, enum router_side side, const struct addr *who);

#endif
