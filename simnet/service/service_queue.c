#include "simnet/service/service.h"

#include <stdlib.h>
#include <string.h>

/* What slow services still have to send. */
struct queued {
	struct service_queue *queue;
	struct queued *next;
	struct loop_timer *timer;
	void (*cb)(void *arg, const struct endpoint *to, const uint8_t *p, size_t len);
	void *arg;
	struct endpoint to;
	size_t len;
	uint8_t data[];
};
struct service_queue {
	struct service *service;
	struct queued *first;
	size_t n;
};

struct service_queue *service_queue_new(struct service *s)
{
	struct service_queue *q = calloc(1, sizeof(*q));
	if (q)
		q->service = s;
	return q;
}

static void queued_free(struct queued *w)
{
	struct queued **at = &w->queue->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->queue->n--;
	loop_timer_free(w->timer);
	free(w);
}

void service_queue_free(struct service_queue *q)
{
	while (q && q->first)
		queued_free(q->first);
	free(q);
}

static void queued_due(void *arg)
{
	struct queued *w = arg;
	w->cb(w->arg, &w->to, w->data, w->len);
	queued_free(w);
}

void service_later(struct service_queue *q,
	void (*cb)(void *arg, const struct endpoint *to, const uint8_t *p, size_t len), void *arg,
	const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct queued *w;

	if (!q->service->faults.slow_ms) {
		cb(arg, to, p, len);
		return;
	}
	if (q->n == SERVICE_LATER_MAX || !(w = malloc(sizeof(*w) + len)))
		return;
	*w = (struct queued) { .queue = q, .next = q->first, .cb = cb, .arg = arg, .to = *to, .len = len };
	memcpy(w->data, p, len);
	w->timer = loop_timer_new(q->service->loop, queued_due, w);
	if (!w->timer) {
		free(w);
		return;
	}
	q->first = w;
	q->n++;
	loop_timer_set(w->timer, q->service->faults.slow_ms);
}
