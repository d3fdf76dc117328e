/* How large a datagram the direct way carries. */
#ifndef RW_PATH_SIZE_H
#define RW_PATH_SIZE_H

#include "mesh/path/peer.h"

void size_begin(struct path *p, struct peer *e); /* another way, or the same after it was lost */
uint64_t size_due(const struct path *p, const struct peer *e); /* ms; UINT64_MAX = nothing to do */
void size_step(struct path *p, struct peer *e);
void size_answered(
	struct path *p, struct peer *e, uint16_t size); /* a ping of this size, sent by best, was */

#endif
