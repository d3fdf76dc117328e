/* Sliding window over 64-bit counters. RFC 6479 (blocks instead of shifting). */
#ifndef RW_WG_REPLAY_H
#define RW_WG_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

/* Packets of one session travel on two paths (relay and UDP), so the window is wide. */
enum { REPLAY_WINDOW = 8192, REPLAY_WORDS = REPLAY_WINDOW / 64 + 1 };

struct replay {	      /* all zero = nothing seen */
	uint64_t top; /* largest counter seen + 1 */
	uint64_t bits[REPLAY_WORDS];
};

/* Neither seen nor older than the window. Asked before the packet is authenticated; changes nothing. */
bool replay_fresh(const struct replay *r, uint64_t n);
/* Marks an authenticated counter; n must be fresh. */
void replay_mark(struct replay *r, uint64_t n);

#endif
