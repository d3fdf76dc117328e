/* Work that blocks (a disk, a slow library), off the loop's thread. */
#ifndef RW_OS_WORK_H
#define RW_OS_WORK_H

#include "mesh/os/loop.h"

/* run(arg) on a thread of a small pool, then done(arg) from the loop. What run touches is nobody else's until
 * done. Several pieces of work may run at once and end in any order. false: memory is short and neither is
 * called. loop_free waits for what was begun. */
bool work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

#endif
