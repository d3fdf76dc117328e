/* What time it is by the server's clock, which keys end by. Once the server has said it, it goes on with the
 * steady clock: the machine's wall clock may be set meanwhile (NTP, a lying battery clock, a virtual machine
 * that resumes) and ends no key early and keeps none. Before, the wall clock is all there is. */
#ifndef RW_NETMAP_SERVER_CLOCK_H
#define RW_NETMAP_SERVER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct server_clock { /* all zero: the server has said nothing */
	bool known;
	int64_t ahead_ms; /* of the steady clock */
};

/* The server's ControlTime, Unix ms; INT64_MIN, or of a server that has no clock: nothing is said. boot_ms: a
 * clock that nobody sets and that goes on while the machine sleeps. */
void server_clock_told(struct server_clock *c, int64_t control_time_ms, int64_t boot_ms);
/* Unix ms, the server's. wall_ms: ours, for as long as that is not known. */
int64_t server_clock_now(const struct server_clock *c, int64_t boot_ms, int64_t wall_ms);
/* How far wall_ms is from it, either way; 0: that is not known, or less than ten minutes, as clocks that nobody keeps are. */
uint64_t server_clock_apart(const struct server_clock *c, int64_t boot_ms, int64_t wall_ms);

#endif
