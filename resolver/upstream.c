#include "resolver/upstream.h"

#include <string.h>

static uint32_t clamp(uint64_t ms, uint32_t min, uint32_t max)
{
	return ms < min ? min : ms > max ? max : (uint32_t)ms;
}

uint32_t upstream_patience_ms(const struct upstream *u)
{
	return u->rtt_ms ? clamp((uint64_t)u->rtt_ms * 4, PATIENCE_MIN_MS, PATIENCE_MAX_MS) : PATIENCE_MS;
}

uint32_t upstream_check_wait_ms(const struct upstream *u)
{
	return clamp((uint64_t)u->rtt_ms * 4, CHECK_MS, CHECK_MAX_MS);
}

/* The one place where the state changes. */
static void state_set(struct upstream *u, enum upstream_state to)
{
	if (to == UPSTREAM_WELL)
		u->hold_ms = 0;
	u->state = to;
}

static void hold(struct upstream *u, uint64_t now_ms)
{
	u->hold_ms = clamp((uint64_t)u->hold_ms * 2, HOLD_MS, HOLD_MAX_MS);
	u->check_ms = now_ms + u->hold_ms;
	state_set(u, UPSTREAM_HELD);
}

void upstream_heard(struct upstream *u, uint64_t now_ms)
{
	u->heard_ms = now_ms;
	if (u->state != UPSTREAM_RING)
		state_set(u, UPSTREAM_WELL);
}

static void known_add(struct upstream *u, const struct dns_name *name, uint16_t type)
{
	if (dns_name_equal(&u->known[0].name, name))
		return;
	dns_name_copy(&u->known[1].name, &u->known[0].name);
	u->known[1].type = u->known[0].type;
	dns_name_copy(&u->known[0].name, name);
	u->known[0].type = type;
}

void upstream_answered(
	struct upstream *u, uint64_t now_ms, uint64_t sent_ms, const struct dns_name *name, uint16_t type)
{
	uint32_t rtt = clamp(now_ms - sent_ms + 1, 1, 60000);
	u->rtt_ms = u->rtt_ms ? (u->rtt_ms * 7 + rtt) / 8 : rtt;
	u->refusals = 0;
	u->refuse_hold_ms = 0;
	u->refuse_until_ms = 0;
	u->fault = 0;
	upstream_heard(u, now_ms);
	known_add(u, name, type);
}

bool upstream_is_in_question(const struct upstream *u, uint64_t now_ms, uint64_t sent_ms)
{
	bool spoke = u->heard_ms && u->heard_ms >= sent_ms;
	return !spoke && !u->validates && u->state == UPSTREAM_WELL && !u->checks && now_ms >= u->check_ms;
}

bool upstream_check_is_due(const struct upstream *u, uint64_t now_ms)
{
	return u->state >= UPSTREAM_HELD && !u->checks && now_ms >= u->check_ms;
}

void upstream_check_began(struct upstream *u, uint64_t now_ms)
{
	u->check_ms = now_ms;
	if (u->state == UPSTREAM_WELL)
		state_set(u, UPSTREAM_CHECKED);
}

void upstream_check_dropped(struct upstream *u)
{
	if (u->state == UPSTREAM_CHECKED)
		state_set(u, UPSTREAM_WELL);
}

void upstream_check_ended(struct upstream *u, uint64_t now_ms)
{
	switch (u->state) {
	case UPSTREAM_WELL: u->check_ms = now_ms + CHECK_GAP_MS; break;
	case UPSTREAM_CHECKED:
	case UPSTREAM_HELD: hold(u, now_ms); break;
	case UPSTREAM_RING:
		if (u->heard_ms >= u->check_ms && !u->canary_came)
			state_set(u, UPSTREAM_WELL);
		u->check_ms = now_ms + RING_HOLD_MS;
		break;
	}
}

void upstream_doubted(struct upstream *u, uint64_t now_ms)
{
	if (u->state < UPSTREAM_HELD)
		hold(u, now_ms);
}

void upstream_rejected(struct upstream *u, uint64_t now_ms)
{
	if (u->state < UPSTREAM_HELD || (u->state == UPSTREAM_HELD && u->checks))
		hold(u, now_ms);
}

void upstream_ringed(struct upstream *u, uint64_t now_ms)
{
	u->canary_came = true;
	u->check_ms = now_ms + RING_HOLD_MS;
	state_set(u, UPSTREAM_RING);
}

void upstream_reset(struct upstream *u)
{
	state_set(u, UPSTREAM_WELL);
	u->check_ms = 0;
	u->refusals = 0;
	u->refuse_hold_ms = 0;
	u->refuse_until_ms = 0;
	memset(u->known, 0, sizeof(u->known));
	u->keeps_case = false;
	u->case_changes = 0;
	u->changes_case_until_ms = 0;
}

/* ---- the case of names ---- */

void upstream_kept_case(struct upstream *u)
{
	u->keeps_case = true;
}

bool upstream_changes_case(const struct upstream *u, uint64_t now_ms)
{
	return now_ms < u->changes_case_until_ms;
}

bool upstream_changed_case(struct upstream *u, uint64_t now_ms)
{
	if (upstream_changes_case(u, now_ms))
		return false;
	if (!u->case_changes || now_ms >= u->case_since_ms + CASE_MS) {
		u->case_changes = 0;
		u->case_since_ms = now_ms;
	}
	if (++u->case_changes < CASE_CHANGES && u->keeps_case)
		return false;
	u->case_changes = 0;
	u->keeps_case = false;
	u->changes_case_until_ms = now_ms + CASE_MS;
	return true;
}

/* ---- refusals ---- */

bool upstream_refused(struct upstream *u, uint64_t hash)
{
	if (hash == u->refused_hash)
		return false;
	u->refused_hash = hash;
	if (u->refusals < REFUSALS_MAX)
		u->refusals++;
	return u->refusals == REFUSALS_MAX;
}

void upstream_refuses_all(struct upstream *u, uint64_t now_ms)
{
	u->refuse_hold_ms = clamp((uint64_t)u->refuse_hold_ms * 2, REFUSE_MS, REFUSE_MAX_MS);
	u->refuse_until_ms = now_ms + u->refuse_hold_ms;
}

bool upstream_is_refusing(struct upstream *u, uint64_t now_ms)
{
	if (!u->refuse_until_ms)
		return false;
	if (now_ms < u->refuse_until_ms)
		return true;
	u->refuse_until_ms = now_ms + TRIAL_MS;
	return false;
}
