/* What takes long, off the loop's thread: files that are synced, certificate stores, whole texts. */
#ifndef RW_OS_WORK_H
#define RW_OS_WORK_H

#include "mesh/os/loop.h"

struct work;
/* Has the pool made. libuv does it at the first work, and ends the program where memory is too short for its threads: a daemon
 * asks for it at its start, so that this cannot happen while it serves. false: memory is short. */
bool work_ready(struct loop *l);
/* run(arg) on a thread of a small pool, then done(arg) from the loop. What run touches is nobody else's until
 * then (but to read). Several pieces of work may run at once and end in any order. NULL: memory is short and
 * neither is called. loop_free waits for what was begun; the work is gone when done is called. */
struct work *work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);
/* Instead of done: keeps run from beginning, or waits for its end. true: it ran. The work is gone afterwards.
 */
bool work_finish(struct work *w);

#endif
