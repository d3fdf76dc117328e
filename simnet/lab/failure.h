/* What is known of a failure, told: packets that died, programs that do not run or drop, their last words. */
#ifndef SIMNET_FAILURE_H
#define SIMNET_FAILURE_H

#include "simnet/fabric/engine.h"

struct lab;
enum { FAILURE_DROPS = 256 };
struct failure_drops {
	struct engine_drop list[FAILURE_DROPS]; /* newest last, equal ones merged */
	size_t n;
};
void failure_collect(struct lab *l, struct failure_drops *all);
void failure_tell_drops(struct lab *l, struct failure_drops *all);
/* Those the step is about; all when there is none, for it failed before the first. */
void failure_tell_programs(struct lab *l, const struct scn_step *st);

#endif
