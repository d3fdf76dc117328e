/* What a stream of numbered probes says about a path: packets lost, and the longest silence.
 *
 * Events cut the stream into windows, and every probe belongs to exactly one: the one in which it was sent. A
 * probe's fate is known when it is answered, or METER_GRACE_MS after it was sent, so a window that has ended
 * is *settled* only some time later; until then its unanswered young probes are `open`, neither answered nor
 * lost. A silence is the time without an arrival of any probe, within the window: what was before the event
 * is not the event's. Nor does the time count in which the sender itself did not come to send, when what it sent then was answered.
 * How slow the machine was is kept with each probe, for what is judged may have happened long before.
 *
 * Pure: the caller brings the time (milliseconds, monotonic). */
#ifndef SIMNET_METER_H
#define SIMNET_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METER_GRACE_MS = 1000 }; /* an unanswered probe younger than this is still on its way */

struct meter_probe {
	uint64_t sent_ms, got_ms; /* got_ms 0 = not answered */
	uint32_t late_ms;	  /* so long after its time was it sent */
	float slow;		  /* as slow was the machine then; 1 = as fast as can be */
};
struct meter_window {
	size_t first, end; /* sequence numbers: first..end-1 */
	uint64_t from_ms, to_ms;
};
struct meter {
	struct meter_probe *probes; /* owned; index = sequence number */
	size_t n, size;
	size_t mark; /* first probe of the present window */
	uint64_t mark_ms;
	uint64_t last_got_ms; /* 0 = never */
	uint64_t answered_ms; /* when the youngest answered probe was sent; 0 = none */
};
struct meter_cost { /* sent == answered + lost + open */
	uint64_t sent, answered, lost, open;
	uint64_t longest_gap_ms;
	double gap_slow;  /* how slow the machine was in that silence, the mean */
	double lost_slow; /* ... and when what is lost was sent */
};

void meter_fini(struct meter *m);
/* The sequence number of `probe`, the next one, now on its way; false when memory is short. */
bool meter_sent(struct meter *m, const struct meter_probe *probe, uint32_t *seq);
/* false: unknown or already answered. */
bool meter_received(struct meter *m, uint32_t seq, uint64_t now_ms);
/* A new window begins; the one that ends. */
struct meter_window meter_set_mark(struct meter *m, uint64_t now_ms);
/* The present window as if it ended now. */
struct meter_window meter_window(const struct meter *m, uint64_t now_ms);
struct meter_cost meter_read(const struct meter *m, const struct meter_window *w, uint64_t now_ms);
/* When the window is settled if nothing more is answered; 0 = it is. */
uint64_t meter_settles_ms(const struct meter *m, const struct meter_window *w, uint64_t now_ms);

#endif
