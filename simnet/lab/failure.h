/* What is known of a failure, told: packets of the failed step that died, were refused or got no answer,
 * programs that do not run or drop, their last words. What has nothing to do with the step is not told, for
 * it would be blamed. */
#ifndef SIMNET_FAILURE_H
#define SIMNET_FAILURE_H

#include "simnet/fabric/engine.h"

struct lab;
enum { FAILURE_DROPS = 256 };
struct failure_drops {
	struct engine_drop list[FAILURE_DROPS]; /* newest last, equal ones merged */
	size_t n;
};
/* Since the last call; where the list is full, what is strange to the running step makes room first. */
void failure_collect(struct lab *l, struct failure_drops *all);
/* st: the step that failed; NULL = it failed before the first, and everything is about it. */
void failure_tell_packets(struct lab *l, const struct scn_step *st, struct failure_drops *all);
void failure_tell_programs(struct lab *l, const struct scn_step *st);

/* ---- blame.c: whom a step is about */
/* The node itself asks: the step is about what it sends. */
bool blame_asks(const struct lab *l, const struct scn_step *st, int node);
/* It is named by the step, or (in a mesh) serves everybody. */
bool blame_mentions(const struct lab *l, const struct scn_step *st, int node);
/* How much a packet is the step's: 0 = it is somebody else's. */
unsigned blame_of_packet(
	const struct lab *l, const struct scn_step *st, const struct addr *src, const struct addr *dst);

/* ---- evidence.c: what the captures and the hosts themselves say */
void evidence_tell(struct lab *l, const struct scn_step *st);

#endif
