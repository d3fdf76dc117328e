/* A relay in a process of its own, for the benchmarks. */
#ifndef RW_RELAY_BENCH_CHILD_H
#define RW_RELAY_BENCH_CHILD_H

#include "mesh/base/addr.h"
#include <sys/types.h>

struct child {
	pid_t pid;
	int ready, ask; /* pipes: it says where it is; closing `ask` ends it */
	char pin[80];
	struct endpoint at;
};
bool child_start(struct child *c);
void child_stop(struct child *c);

#endif
