/* The newest lines of the log, for those who may read it: so many, each cut to a length, in memory alone. */
#ifndef RW_CONTROL_HTTP_LOG_RING_H
#define RW_CONTROL_HTTP_LOG_RING_H

#include "mesh/base/log.h"
#include <pthread.h>
#include <stddef.h>

enum { LOG_RING_LINES = 512, LOG_RING_TEXT = 240 };
struct log_ring {
	pthread_mutex_t lock; /* lines come from any thread */
	uint64_t seq;	      /* so many there were */
	struct log_ring_line {
		int64_t at_ms; /* Unix */
		enum log_level level;
		char text[LOG_RING_TEXT];
	} v[LOG_RING_LINES];
};
/* From here on what is logged is kept; one at a time. NULL: memory is short. */
struct log_ring *log_ring_new(void);
void log_ring_free(struct log_ring *r); /* NULL is fine */
/* The line with this number, from 1. false: it is none, or no longer kept. */
bool log_ring_get(struct log_ring *r, uint64_t seq, struct log_ring_line *out);
uint64_t log_ring_last(struct log_ring *r); /* 0 = none */

#endif
