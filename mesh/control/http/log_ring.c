#include "mesh/control/http/log_ring.h"

#include "mesh/base/text.h"
#include "mesh/os/loop.h"
#include <stdio.h>
#include <stdlib.h>

static void keep_line(void *arg, enum log_level level, const char *text)
{
	struct log_ring *r = arg;
	pthread_mutex_lock(&r->lock);
	struct log_ring_line *l = &r->v[r->seq++ % LOG_RING_LINES];
	l->at_ms = clock_unix_ms();
	l->level = level;
	snprintf(l->text, sizeof(l->text), "%s", text);
	text_clean(l->text); /* the last character may be cut */
	pthread_mutex_unlock(&r->lock);
}

struct log_ring *log_ring_new(void)
{
	struct log_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	log_tell(keep_line, r);
	return r;
}

void log_ring_free(struct log_ring *r)
{
	if (!r)
		return;
	log_tell(NULL, NULL);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

uint64_t log_ring_last(struct log_ring *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t seq = r->seq;
	pthread_mutex_unlock(&r->lock);
	return seq;
}

bool log_ring_get(struct log_ring *r, uint64_t seq, struct log_ring_line *out)
{
	pthread_mutex_lock(&r->lock);
	bool is_kept = seq && seq <= r->seq && r->seq - seq < LOG_RING_LINES;
	if (is_kept)
		*out = r->v[(seq - 1) % LOG_RING_LINES];
	pthread_mutex_unlock(&r->lock);
	return is_kept;
}
