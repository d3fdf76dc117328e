#include "resolver/upstream.h"

bool upstream_probe_is_due(const struct upstream *u, uint64_t now_ms)
{
	return upstream_is_held(u) && !u->probing && now_ms >= u->probe_ms;
}

uint32_t upstream_patience_ms(const struct upstream *u)
{
	if (!u->rtt_ms)
		return PATIENCE_MS;
	uint32_t ms = u->rtt_ms * 4;
	return ms < PATIENCE_MIN_MS ? PATIENCE_MIN_MS : ms > PATIENCE_MAX_MS ? PATIENCE_MAX_MS : ms;
}

void upstream_answered(struct upstream *u, uint64_t now_ms, uint64_t sent_ms)
{
	uint32_t rtt = (uint32_t)(now_ms - sent_ms) + 1;
	u->rtt_ms = u->rtt_ms ? (u->rtt_ms * 7 + rtt) / 8 : rtt;
	u->answered_ms = now_ms;
	u->strikes = 0;
	u->hold_ms = 0;
}

static void hold(struct upstream *u, uint64_t now_ms)
{
	u->hold_ms = u->hold_ms ? u->hold_ms * 2 : HOLD_MS;
	if (u->hold_ms > HOLD_MAX_MS)
		u->hold_ms = HOLD_MAX_MS;
	u->probe_ms = now_ms + u->hold_ms;
}

void upstream_missed(struct upstream *u, uint64_t now_ms, uint64_t sent_ms)
{
	if (u->answered_ms && u->answered_ms >= sent_ms) /* alive: a packet was lost, or one name is slow */
		return;
	u->strikes++;
	if (u->strikes == 1 || u->probing)
		hold(u, now_ms);
}

void upstream_doubted(struct upstream *u, uint64_t now_ms)
{
	if (u->strikes)
		return;
	u->strikes = 1;
	hold(u, now_ms);
}

void upstream_rejected(struct upstream *u, uint64_t now_ms)
{
	if (!u->strikes || u->probing)
		hold(u, now_ms);
	u->strikes = 1;
}
