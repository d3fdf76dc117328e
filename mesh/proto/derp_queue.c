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

size_t derp_queue_put(struct derp_queue *q, bool disco, uint64_t now_us, const uint8_t *head, size_t head_len,
	const uint8_t *body, size_t len)
{
	struct derp_queue_ring *r = disco ? &q->disco : &q->data;
	struct derp_queue_frame *f = malloc(sizeof(*f) + head_len + len);
	size_t lost = 0, max = disco ? DERP_QUEUE_DISCO_MAX : DERP_QUEUE_DATA_MAX;
	if (!f)
		return 1;
	f->next = NULL;
	f->since_us = now_us;
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

/* The oldest of the data, out of its ring; *may_go: the queue has stood above the target for an interval. */
static struct derp_queue_frame *data_take(struct derp_queue *q, uint64_t now_us, bool *may_go)
{
	struct derp_queue_frame *f = ring_take(&q->data);
	*may_go = false;
	if (!f || now_us - f->since_us < DERP_QUEUE_TARGET_US || q->data.bytes < DERP_QUEUE_WAKE)
		q->above_us = 0;
	else if (!q->above_us)
		q->above_us = now_us + DERP_QUEUE_INTERVAL_US;
	else
		*may_go = now_us >= q->above_us;
	return f;
}

static struct derp_queue_frame *data_next(
	struct derp_queue *q, struct derp_queue_frame *f, uint64_t now_us, bool *may_go, uint64_t *old)
{
	free(f);
	++*old;
	return data_take(q, now_us, may_go);
}

static uint64_t interval_by_root(uint32_t count)
{
	uint32_t root = 1; /* of 16 times as much: quarters are fine enough */
	while ((root + 1) * (root + 1) <= count * 16)
		root++;
	return DERP_QUEUE_INTERVAL_US * 4 / root;
}

/* RFC 8289 5: one loss, then ever more often until the queue no longer stands. */
static struct derp_queue_frame *thin(
	struct derp_queue *q, struct derp_queue_frame *f, bool may_go, uint64_t now_us, uint64_t *old)
{
	enum { REMEMBERED = 16, COUNT_MAX = 1 << 16 };
	if (may_go && !q->thinning) {
		bool again = now_us < q->next_us + (uint64_t)REMEMBERED * DERP_QUEUE_INTERVAL_US;
		uint32_t had = q->count - q->began;
		f = data_next(q, f, now_us, &may_go, old);
		q->thinning = true;
		q->count = q->began = again && had > 1 ? had : 1;
		q->next_us = now_us + interval_by_root(q->count);
		return f;
	}
	q->thinning = q->thinning && may_go;
	while (q->thinning && now_us >= q->next_us) {
		f = data_next(q, f, now_us, &may_go, old);
		q->count += q->count < COUNT_MAX;
		q->next_us += interval_by_root(q->count);
		q->thinning = may_go;
	}
	return f;
}

struct derp_queue_frame *derp_queue_take(struct derp_queue *q, uint64_t now_us, uint64_t *old)
{
	struct derp_queue_frame *f = ring_take(&q->disco);
	bool may_go;
	if (f)
		return f;
	f = data_take(q, now_us, &may_go);
	while (f && now_us - f->since_us > DERP_QUEUE_INTERVAL_US && q->data.bytes >= DERP_QUEUE_WAKE)
		f = data_next(q, f, now_us, &may_go, old);
	return thin(q, f, may_go, now_us, old);
}

bool derp_queue_is_empty(const struct derp_queue *q)
{
	return !q->disco.n && !q->data.n;
}

void derp_queue_fini(struct derp_queue *q)
{
	for (struct derp_queue_frame *f; (f = ring_take(q->disco.n ? &q->disco : &q->data));)
		free(f);
}
