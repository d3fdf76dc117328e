/* How long the self-test waits for what must come, and when it asks again. No clock of its own. */
#ifndef SIMNET_KERNEL_PACE_H
#define SIMNET_KERNEL_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_BOUND_MS = 4000, /* on a machine that does nothing else; events end the wait */
	PACE_AGAIN_MS = 250,  /* the first time; each further wait is twice as long, up to a second */
	PACE_AGAIN_MOST_MS = 1000,
	PACE_SLOWEST = 4, /* the bound is stretched by so much at most */
	PACE_STRAY_MS = 15,
	PACE_STRAY_MOST_MS = 500,
};
struct pace {
	uint64_t since_ms, again_ms; /* when the round began, and when to ask again */
	uint64_t gap_ms;
	double slow,
		longer; /* sums of the samples of how slow the machine was; longer: what the bound was stretched by */
	unsigned n;
};
void pace_begin(struct pace *p, uint64_t now_ms);
/* At again_ms or later. slow: 1 = nobody else wants the processors, 2 = they are shared by two. true: ask again what has
 * not come, and wait until the new again_ms; false: the bound is over, and what has not come does not come. */
bool pace_goes_on(struct pace *p, uint64_t now_ms, double slow);
/* Behind the bound: how slow the machine was, when that is more than the bound could be stretched by; else 0. What has not
 * come may then be on its way still. */
double pace_doubt(const struct pace *p);
/* How long what must not come is still waited for, when all that must has come: as long as that took. */
uint64_t pace_stray_ms(const struct pace *p, uint64_t now_ms);

#endif
