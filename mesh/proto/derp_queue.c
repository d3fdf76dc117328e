#include "mesh/proto/derp_queue.h"
#include <stdlib.h>
#include <string.h>

static struct derp_queue_frame *ring_take(struct derp_queue_ring *r)
{
	struct derp_queue_frame *f = r->head;
	if (!f)
		return NULL;
	r->head = f->next;
	if (!r->head)
		r->tail = NULL;
	r->n--;
	r->bytes -= f->len;
	return f;
}

static void ring_put(struct derp_queue_ring *r, struct derp_queue_frame *f)
{
	*(r->tail ? r->tail : &r->head) = f;
	r->tail = &f->next;
	r->n++;
	r->bytes += f->len;
}

size_t derp_queue_put(struct derp_queue *q, bool disco, const uint8_t *head, size_t head_len,
	const uint8_t *body, size_t len)
{
	struct derp_queue_ring *r = disco ? &q->disco : &q->data;
	struct derp_queue_frame *f = malloc(sizeof(*f) + head_len + len);
	size_t lost = 0, max = disco ? DERP_QUEUE_DISCO_MAX : DERP_QUEUE_DATA_MAX;
	if (!f)
		return 1;
	f->next = NULL;
	f->len = head_len + len;
	memcpy(f->b, head, head_len);
	if (len)
		memcpy(f->b + head_len, body, len);
	while (r->n && (r->n >= max || r->bytes + f->len > DERP_QUEUE_BYTES_MAX)) {
		free(ring_take(r));
		lost++;
	}
	ring_put(r, f);
	return lost;
}

struct derp_queue_frame *derp_queue_take(struct derp_queue *q)
{
	struct derp_queue_frame *f = ring_take(&q->disco);
	return f ? f : ring_take(&q->data);
}

bool derp_queue_is_empty(const struct derp_queue *q)
{
	return !q->disco.n && !q->data.n;
}

void derp_queue_fini(struct derp_queue *q)
{
	for (struct derp_queue_frame *f; (f = derp_queue_take(q));)
		free(f);
}
