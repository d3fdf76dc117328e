/* Packets while a run goes on, for the live page: the newest as lines of JSON, so many and no more whatever is sent. They are no
 * part of the record, which has the frames of the capture. */
#ifndef SIMNET_LIVE_GLIMPSES_H
#define SIMNET_LIVE_GLIMPSES_H

#include "mesh/base/buf.h"

struct lab;
struct glimpses;
/* Looks at the lab's links from its loop; heard is called when there is something new. NULL: memory. */
struct glimpses *glimpses_open(struct lab *l, void (*heard)(void *arg), void *arg);
/* Appends what came after *seen (0 at first) as events of a stream, some 64 KiB at most, and moves *seen on. What was thrown
 * away meanwhile is skipped. */
bool glimpses_take(const struct glimpses *g, uint64_t *seen, struct buf *out);
bool glimpses_has(const struct glimpses *g, uint64_t seen);
void glimpses_close(struct glimpses *g); /* NULL is fine */

#endif
