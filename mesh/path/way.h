/* The direct way to a peer: what is known of it, and what is published for packets. */
#ifndef RW_PATH_WAY_H
#define RW_PATH_WAY_H

#include "mesh/path/peer.h"

/* The one setter of each state; publishes. What the event is about (best, trust_ms) is set before. false: not
 * possible from here; counted, and nothing changed. */
bool way_feed(struct path *p, struct peer *e, enum way_event ev);
bool way_data_feed(struct path *p, struct peer *e, enum data_event ev);

bool way_known(const struct peer *e); /* best means something */
bool way_is(const struct peer *e, const struct endpoint *at);
bool way_shut(const struct peer *e); /* for data */
bool way_trusted(const struct path *p, const struct peer *e);
/* Trusted, and no probe went unanswered since: no copies by the relay. */
bool way_sure(const struct path *p, const struct peer *e);
uint64_t way_check_time(const struct peer *e); /* how long an answer by the way may take, ms */
struct path_way way_compute(const struct path *p, const struct peer *e);
/* Computes peer.way anew; a change that users see becomes an event. After whatever may have changed it. */
void way_publish(struct path *p, struct peer *e);

#endif
