/* Frames waiting for a slow connection: two bounded rings, disco before the rest; a full ring loses its oldest.
 * tailscale-protocol.md 2.3. Pure. */
#ifndef RW_PROTO_DERP_QUEUE_H
#define RW_PROTO_DERP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DERP_QUEUE_DISCO_MAX = 32,
	DERP_QUEUE_DATA_MAX = 128,
	DERP_QUEUE_BYTES_MAX = 256 * 1024
}; /* of each ring */

struct derp_queue_frame {
	struct derp_queue_frame *next;
	size_t len;
	uint8_t b[];
};
struct derp_queue_ring {
	struct derp_queue_frame *head, **tail; /* tail NULL = empty */
	size_t n, bytes;
};
struct derp_queue { /* all zero is an empty one */
	struct derp_queue_ring disco, data;
};
/* Copies head then body as one frame. Returns how many frames were lost for it: the oldest ones, as many as
 * must go, or this one when memory is short. */
size_t derp_queue_put(struct derp_queue *q, bool disco, const uint8_t *head, size_t head_len,
	const uint8_t *body, size_t len);
/* The next frame, the caller's to free; NULL when empty. */
struct derp_queue_frame *derp_queue_take(struct derp_queue *q);
bool derp_queue_is_empty(const struct derp_queue *q);
void derp_queue_fini(struct derp_queue *q);

#endif
