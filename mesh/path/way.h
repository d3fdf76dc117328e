/* The direct way to a peer: what is known of it, and what is published for packets. */
#ifndef RW_PATH_WAY_H
#define RW_PATH_WAY_H

#include "mesh/path/peer.h"

bool way_trusted(const struct path *p, const struct peer *e);
/* Trusted, and no probe went unanswered since: no copies by the relay. */
bool way_sure(const struct path *p, const struct peer *e);
uint64_t way_check_time(const struct peer *e); /* how long an answer by the way may take, ms */
/* Computes peer.way anew; a change that users see becomes an event. After whatever may have changed it. */
void way_publish(struct path *p, struct peer *e);

#endif
