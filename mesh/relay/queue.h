/* Frames waiting for a slow reader: two bounded rings, disco before the rest; a full ring loses its oldest.
 * tailscale-protocol.md 2.3. Pure. */
#ifndef RW_RELAY_QUEUE_H
#define RW_RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUEUE_DISCO_MAX = 32, QUEUE_DATA_MAX = 128, QUEUE_BYTES_MAX = 256 * 1024 }; /* of each ring */

struct queue_frame {
	struct queue_frame *next;
	size_t len;
	uint8_t b[];
};
struct queue_ring {
	struct queue_frame *head, **tail; /* tail NULL = empty */
	size_t n, bytes;
};
struct queue { /* all zero is an empty one */
	struct queue_ring disco, data;
};
/* Copies head then body as one frame. Returns how many frames were lost for it: the oldest ones, as many as
 * must go, or this one when memory is short. */
size_t queue_put(
	struct queue *q, bool disco, const uint8_t *head, size_t head_len, const uint8_t *body, size_t len);
/* The next frame, the caller's to free; NULL when empty. */
struct queue_frame *queue_take(struct queue *q);
bool queue_is_empty(const struct queue *q);
void queue_fini(struct queue *q);

#endif
