/* What is known of each relay and its STUN servers, and which relay reaches a peer. */
#ifndef RW_PATH_REGION_H
#define RW_PATH_REGION_H

#include "mesh/path/peer.h"

struct region;

struct region *region_find(const struct path *p, int32_t id);
void region_sample(struct path *p, struct region *r, double latency_ms);
double region_latency(const struct region *r);			     /* ms; < 0 = unknown */
bool region_usable(const struct path *p, int32_t region);	     /* not known to be down */
int32_t region_for_peer(const struct path *p, const struct peer *e); /* whose relay reaches this peer */

#endif
