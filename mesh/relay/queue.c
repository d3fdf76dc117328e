#include "mesh/relay/queue.h"
#include <stdlib.h>
#include <string.h>

static struct queue_frame *ring_take(struct queue_ring *r)
{
	struct queue_frame *f = r->head;
	if (!f)
		return NULL;
	r->head = f->next;
	if (!r->head)
		r->tail = NULL;
	r->n--;
	r->bytes -= f->len;
	return f;
}

static void ring_put(struct queue_ring *r, struct queue_frame *f)
{
	*(r->tail ? r->tail : &r->head) = f;
	r->tail = &f->next;
	r->n++;
	r->bytes += f->len;
}

size_t queue_put(
	struct queue *q, bool disco, const uint8_t *head, size_t head_len, const uint8_t *body, size_t len)
{
	struct queue_ring *r = disco ? &q->disco : &q->data;
	struct queue_frame *f = malloc(sizeof(*f) + head_len + len);
	size_t lost = 0, max = disco ? QUEUE_DISCO_MAX : QUEUE_DATA_MAX;
	if (!f)
		return 1;
	f->next = NULL;
	f->len = head_len + len;
	memcpy(f->b, head, head_len);
	if (len)
		memcpy(f->b + head_len, body, len);
	while (r->n && (r->n >= max || r->bytes + f->len > QUEUE_BYTES_MAX)) {
		free(ring_take(r));
		lost++;
	}
	ring_put(r, f);
	return lost;
}

struct queue_frame *queue_take(struct queue *q)
{
	struct queue_frame *f = ring_take(&q->disco);
	return f ? f : ring_take(&q->data);
}

bool queue_is_empty(const struct queue *q)
{
	return !q->disco.n && !q->data.n;
}

void queue_fini(struct queue *q)
{
	for (struct queue_frame *f; (f = queue_take(q));)
		free(f);
}
