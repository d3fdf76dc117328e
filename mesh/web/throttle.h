/* Who has tried passwords that were wrong, by address: after some, a pause that grows. What is remembered is bounded; the
 * oldest is forgotten. */
#ifndef RW_WEB_THROTTLE_H
#define RW_WEB_THROTTLE_H

#include "mesh/base/addr.h"
#include <stddef.h>

enum {
	THROTTLE_PLACES = 512,
	THROTTLE_FREE = 5,
	THROTTLE_PAUSE_MS = 2000,
	THROTTLE_PAUSE_MAX_MS = 5 * 60 * 1000,
	THROTTLE_FORGET_MS = 60 * 60 * 1000
};
/* What one who has come may have whole: the address, of IPv6 the /64. */
struct addr throttle_net(const struct addr *who);
struct throttle {
	struct throttle_place {
		struct addr net; /* throttle_net */
		unsigned wrong;	 /* 0 = free */
		uint64_t at_ms;	 /* monotonic, of the last */
	} v[THROTTLE_PLACES];
};
/* How long from may not try yet; 0: it may. */
uint64_t throttle_wait_ms(const struct throttle *t, const struct addr *from, uint64_t now_ms);
void throttle_failed(struct throttle *t, const struct addr *from, uint64_t now_ms);
void throttle_passed(struct throttle *t, const struct addr *from); /* what was wrong before is forgotten */

#endif
