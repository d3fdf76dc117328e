/* What a stream of numbered probes says about a path: packets lost and the longest silence since a mark.
 * Pure: the caller brings the time (milliseconds, monotonic). */
#ifndef SIMNET_METER_H
#define SIMNET_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METER_GRACE_MS = 1000 }; /* an unanswered probe younger than this is still on its way */

struct meter_probe {
	uint64_t sent_ms, got_ms;
}; /* got_ms 0 = not answered */
struct meter {
	struct meter_probe *probes; /* owned; index = sequence number */
	size_t n, size;
	size_t mark; /* first probe of the window */
	uint64_t mark_ms;
	uint64_t quiet_from_ms; /* last answer before the mark, or the mark itself */
	uint64_t last_got_ms;	/* 0 = never */
	uint64_t answered_ms;	/* when the youngest answered probe was sent; 0 = none */
};
struct meter_cost {
	uint64_t sent, lost, longest_gap_ms;
	uint64_t answered; /* probes of this window that were answered */
};

void meter_fini(struct meter *m);
/* The sequence number of the next probe, now on its way; false when memory is short. */
bool meter_sent(struct meter *m, uint64_t now_ms, uint32_t *seq);
/* false: unknown or already answered. */
bool meter_received(struct meter *m, uint32_t seq, uint64_t now_ms);
void meter_set_mark(struct meter *m, uint64_t now_ms); /* a new window begins */
struct meter_cost meter_read(const struct meter *m, uint64_t now_ms);

#endif
