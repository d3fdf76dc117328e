/* Own endpoints. */
#ifndef RW_PATH_SELF_H
#define RW_PATH_SELF_H

#include "mesh/path/peer.h"

void self_seen(struct path *p, const struct endpoint *at);
void self_rebuild(struct path *p);
void self_forget_before(struct path *p, uint64_t ms);

#endif
