/* What waits for others, off the loop's thread: a thread of its own for as long as a file is on its way. Work that only
 * takes long is work.h's, whose few threads must not be kept by somebody's slow line. */
#ifndef RW_OS_ERRAND_H
#define RW_OS_ERRAND_H

#include "mesh/os/loop.h"

struct errand;
/* run(arg, stop) on a thread; then done(arg) from the loop, and the errand is gone. stop is a descriptor that becomes
 * readable when run shall end soon: whatever it waits for, it waits for this too. What run touches is nobody else's
 * until then (but to read). NULL: memory or descriptors are short, and neither is called. */
struct errand *errand_start(
	struct loop *l, void (*run)(void *arg, int stop), void (*done)(void *arg), void *arg);
void errand_stop(struct errand *e); /* done still comes, from the loop */
/* Stops it, and waits for its end. done is not called; the errand is gone. */
void errand_finish(struct errand *e);

#endif
