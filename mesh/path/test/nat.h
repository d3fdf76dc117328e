/* The routers of the test's internet: what they do to a datagram's addresses. */
#ifndef RW_PATH_TEST_NAT_H
#define RW_PATH_TEST_NAT_H

#include "mesh/path/test/world.h"

/* From inside to *dst: the outer port. *dst becomes the real remote when the inside knows it by an alias. */
uint16_t nat_map_out(struct world *w, struct router *r, const struct endpoint *in, struct endpoint *dst);
/* From outside: whether it may pass, to whom, and whom it then seems to come from. */
bool nat_map_in(struct world *w, struct router *r, struct endpoint *src, uint16_t port, struct endpoint *in);

/* From inside, it ends here: a flow that is known is in use all the same. */
void nat_touch(struct world *w, struct router *r, const struct endpoint *in, const struct endpoint *dst);

#endif
