/* One upstream server: what we know of its health. Facts in, judgement out; flight.c acts on it. */
#ifndef RW_RESOLVER_UPSTREAM_H
#define RW_RESOLVER_UPSTREAM_H

#include "mesh/base/addr.h"

enum {
	PATIENCE_MS = 400,
	PATIENCE_MIN_MS = 300,
	PATIENCE_MAX_MS = 800, /* before the next upstream is asked too */
	SILENCE_MS = 1000,     /* an attempt without an answer counts against the upstream */
	STRIKES_DEAD = 3,
	HOLD_MS = 1000,
	HOLD_MAX_MS = 2000,	/* between questions that ask whether it is back */
	PLAIN_MS = 3600 * 1000, /* how long "does not speak EDNS" is remembered */
};

/* Healthy: no strikes. Held: asked last, and by a probe now and then. Dead: held, and nothing waits for it.
 */
struct upstream {
	struct endpoint at;
	bool trusted, probing;
	unsigned refs;
	uint32_t rtt_ms; /* smoothed; 0 = unknown */
	uint32_t strikes, hold_ms;
	uint64_t answered_ms, probe_ms, plain_until_ms;
	struct upstream *next; /* of the resolver's list */
};

static inline bool upstream_is_held(const struct upstream *u)
{
	return u->strikes > 0;
}
static inline bool upstream_is_dead(const struct upstream *u)
{
	return u->strikes >= STRIKES_DEAD;
}
bool upstream_probe_is_due(const struct upstream *u, uint64_t now_ms);
uint32_t upstream_patience_ms(const struct upstream *u);
void upstream_answered(struct upstream *u, uint64_t now_ms, uint64_t sent_ms);
/* Nothing came for what was sent at sent_ms. */
void upstream_missed(struct upstream *u, uint64_t now_ms, uint64_t sent_ms);
/* Somebody says it is gone: as if it had missed one, until it answers. */
void upstream_doubted(struct upstream *u, uint64_t now_ms);
/* It said no at once: port closed, unreachable. Waiting was not the cost, so it never counts as dead. */
void upstream_rejected(struct upstream *u, uint64_t now_ms);

#endif
