#include "mesh/netmap/server_clock.h"

enum { APART_MIN_MS = 10 * 60 * 1000 };
#define CLOCK_MIN_MS (INT64_C(1700000000) * 1000) /* a server that claims less has no clock */

void server_clock_told(struct server_clock *c, int64_t control_time_ms, int64_t boot_ms)
{
	if (control_time_ms < CLOCK_MIN_MS)
		return;
	c->ahead_ms = control_time_ms - boot_ms;
	c->known = true;
}

int64_t server_clock_now(const struct server_clock *c, int64_t boot_ms, int64_t wall_ms)
{
	return c->known ? boot_ms + c->ahead_ms : wall_ms;
}

uint64_t server_clock_apart(const struct server_clock *c, int64_t boot_ms, int64_t wall_ms)
{
	int64_t server_ms = server_clock_now(c, boot_ms, wall_ms);
	uint64_t apart_ms = server_ms > wall_ms ? (uint64_t)server_ms - (uint64_t)wall_ms
						: (uint64_t)wall_ms - (uint64_t)server_ms;
	return apart_ms < APART_MIN_MS ? 0 : apart_ms;
}
