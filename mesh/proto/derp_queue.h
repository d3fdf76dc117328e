/* Frames waiting for a slow connection: two bounded rings, disco before the rest; a full ring loses its oldest.
 * tailscale-protocol.md 2.3. Data is bounded by time as well: a queue that stands is thinned from its head, as CoDel does
 * (RFC 8289), so that what is inside the tunnel sends less; and nothing is kept for longer than one interval. What a
 * line takes at once is kept however old it is: on a slow one that alone is more than the target. Pure. */
#ifndef RW_PROTO_DERP_QUEUE_H
#define RW_PROTO_DERP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DERP_QUEUE_DISCO_MAX = 32,
	DERP_QUEUE_DATA_MAX = 256,
	DERP_QUEUE_BYTES_MAX = 256 * 1024, /* of each ring */
	DERP_QUEUE_WAKE = 8 * 1024,  /* what a slow line takes at once: with no more, no frame is too old */
	DERP_QUEUE_TARGET_US = 5000, /* RFC 8289 4.4 */
	DERP_QUEUE_INTERVAL_US = 100000 /* RFC 8289 4.3 */
};

struct derp_queue_frame {
	struct derp_queue_frame *next;
	uint64_t since_us;
	size_t len;
	uint8_t b[];
};
struct derp_queue_ring {
	struct derp_queue_frame *head, **tail; /* tail NULL = empty */
	size_t n, bytes;
};
struct derp_queue { /* all zero is an empty one */
	struct derp_queue_ring disco, data;
	uint64_t above_us;     /* still above the target then: it stands; 0 = below */
	uint64_t next_us;      /* while thinning: the next loss */
	uint32_t count, began; /* losses of this time of thinning, and with how many it began */
	bool thinning;
};
/* Times are microseconds of any clock that does not go back. */
/* Copies head then body as one frame. Returns how many frames were lost for it: the oldest ones, as many as
 * must go, or this one when memory is short. */
size_t derp_queue_put(struct derp_queue *q, bool disco, uint64_t now_us, const uint8_t *head, size_t head_len,
	const uint8_t *body, size_t len);
/* The next frame, the caller's to free; NULL when empty. Those before it that were too old are gone, and *old grew by
 * their number. */
struct derp_queue_frame *derp_queue_take(struct derp_queue *q, uint64_t now_us, uint64_t *old);
bool derp_queue_is_empty(const struct derp_queue *q);
void derp_queue_fini(struct derp_queue *q);

#endif
