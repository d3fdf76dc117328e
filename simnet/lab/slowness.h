/* How much slower than an idle machine this one is at the moment: bounds are stretched by it, and what fails while it is
 * large is inconclusive, for the program may not be to blame. */
#ifndef SIMNET_SLOWNESS_H
#define SIMNET_SLOWNESS_H

#include "mesh/os/loop.h"

enum { SLOWNESS_MOST = 4 }; /* bounds are stretched by so much at most */

struct slowness;
/* SIMNET_SLOWDOWN of the environment, a number, is believed instead of measuring. NULL: no memory. */
struct slowness *slowness_open(struct loop *loop);
void slowness_close(struct slowness *s); /* NULL is fine */

/* A point in time, to measure from. */
struct slowness_mark {
	double sum;
	uint64_t n;
};
struct slowness_mark slowness_now(const struct slowness *s); /* NULL is fine */
/* 1 = as fast as can be, 2 = half as fast; mean since the mark, or the newest sample when that is newer. */
double slowness_since(const struct slowness *s, const struct slowness_mark *mark);
uint64_t slowness_stretch(double factor, uint64_t ms); /* ms times factor, of 1 to SLOWNESS_MOST */

#endif
