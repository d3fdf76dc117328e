/* What is known of a failure, told: the cause, which is the surest of what is known, then the rest of it: packets of the failed
 * step that died, were refused or got no answer, programs that do not run or drop, what they believed, what the routers
 * remember, what the network allows, their last words, and what to type next. What has nothing to do with the step is not told,
 * for it would be blamed. */
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
/* st: the step that failed; NULL = it failed before the first, and everything is about it. said: the failure's own sentence,
 * which is the cause where nothing else is known. */
void failure_explain(struct lab *l, const struct scn_step *st, struct failure_drops *all, const char *said);

/* ---- blame.c: whom a step is about */
/* It is about a program that speaks through a mesh, which needs what serves the mesh. */
bool blame_in_mesh(const struct lab *l, const struct scn_step *st);
/* The node itself asks: the step is about what it sends. */
bool blame_asks(const struct lab *l, const struct scn_step *st, int node);
/* It is named by the step, or (in a mesh) serves everybody. */
bool blame_mentions(const struct lab *l, const struct scn_step *st, int node);
/* Its program's first process has ended, as that of a daemon does, and something runs there that is nobody else's. */
bool blame_in_background(const struct lab *l, int node);
/* How much a packet is the step's: 0 = it is somebody else's, BLAME_SURE = it is between those that the step names. */
enum { BLAME_SURE = 3 };
unsigned blame_of_packet(
	const struct lab *l, const struct scn_step *st, const struct addr *src, const struct addr *dst);

#endif
