/* The home relay is where peers find us without knowing more. It is changed rarely, for every change makes
 * all peers send to the old one for a while:
 * - while it lives, only for a region that is nearer by more than 10 ms and a third, and only while the
 * control server is there to tell the others;
 * - when it dies: down twice in a row, or for DEAD_MS. What died is avoided for AVOID_MS, twice as long for
 * each failure more. Without any latency (UDP blocked, no HTTPS answer) the lowest id that has not failed is
 * taken, so that all nodes of such a network meet.
 *
 * enum relay_state of a region: UNKNOWN (not tried, or idle and closed), UP, DOWN (a try failed, or the home
 * was lost). Moved by home_relay_told alone, and by home_pick, which gives a region that it chooses a new
 * chance. */
#include "mesh/path/home.h"
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"

enum { AVOID_MS = 10000, AVOID_MAX_MS = 300000, DEAD_MS = 1000, NO_LATENCY_WAIT_MS = 2500 };

static bool is_dead(const struct path *p, const struct region *r)
{
	return r->relay == RELAY_DOWN && (r->fails >= 2 || p->now_ms - r->down_ms >= DEAD_MS);
}

static bool is_eligible(const struct path *p, const struct region *r)
{
	bool avoided =
		r->avoid_until_ms > p->now_ms || (is_dead(p, r) && p->now_ms - r->failed_ms < AVOID_MS);
	return !r->no_measure && r->has_relay && !avoided;
}

static const struct region *nearest(const struct path *p)
{
	const struct region *best = NULL;
	for (size_t i = 0; i < p->n_regions; i++) {
		const struct region *r = &p->regions[i];
		if (!is_eligible(p, r) || region_latency(r) < 0)
			continue;
		if (!best ||
			region_latency(r) <
				region_latency(best) - 1) /* equal: the lower id, as the others will choose */
			best = r;
	}
	return best;
}

/* Nothing can be measured: the lowest id that has not failed, else the one whose failure is oldest. */
static const struct region *any(const struct path *p)
{
	const struct region *best = NULL;
	for (size_t i = 0; i < p->n_regions; i++) {
		const struct region *r = &p->regions[i];
		if (r->no_measure || !r->has_relay)
			continue;
		if (is_eligible(p, r))
			return r;
		if (!best || r->avoid_until_ms < best->avoid_until_ms)
			best = r;
	}
	return best;
}

static bool clearly_nearer(const struct region *a, const struct region *b)
{
	double x = region_latency(a), y = region_latency(b);
	return y >= 0 && x < y - 10 && x < y * 2 / 3;
}

bool home_is_only_choice(const struct path *p)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_regions; i++)
		n += !p->regions[i].no_measure && p->regions[i].has_relay;
	return n == 1;
}

void home_pick(struct path *p)
{
	const struct region *cur = region_find(p, p->home), *best = nearest(p);
	p->home_pick_ms = 0;
	bool cur_lives = cur && cur->has_relay && !is_dead(p, cur);
	if (!best && !cur_lives &&
		(cur || home_is_only_choice(p) || p->report_done ||
			p->now_ms - p->report_ms >= NO_LATENCY_WAIT_MS))
		best = any(p);
	if (cur_lives && best) {
		bool silent = region_latency(cur) < 0 &&
			      cur->relay != RELAY_UP; /* never measured and not connected */
		if (!p->control_up || (!silent && !clearly_nearer(best, cur)))
			best = cur;
	}
	int32_t home = best ? best->id : cur_lives ? cur->id : PATH_REGION_NONE;
	if (!best && cur && !cur_lives)
		home = cur->id;
	if (home == p->home)
		return;
	p->home = home;
	struct region *r = region_find(p, home);
	if (r && r->relay == RELAY_DOWN)
		r->relay = RELAY_UNKNOWN; /* its new chance; the count of failures stays */
	events_self_changed(p);
	p->home_moved = true;
}

void home_tick(struct path *p)
{
	const struct region *cur = region_find(p, p->home);
	if (cur && cur->relay == RELAY_DOWN) {
		if (is_dead(p, cur))
			p->home_pick_ms = p->now_ms;
		else
			state_wake(p, cur->down_ms + DEAD_MS);
	}
	if (p->home_pick_ms && p->now_ms >= p->home_pick_ms)
		home_pick(p);
	else if (p->home_pick_ms)
		state_wake(p, p->home_pick_ms);
}

static void avoid(struct path *p, struct region *r)
{
	uint64_t wait = AVOID_MS;
	for (unsigned i = 1; i < r->fails && wait < AVOID_MAX_MS; i++)
		wait *= 2;
	r->avoid_until_ms = p->now_ms + (wait < AVOID_MAX_MS ? wait : AVOID_MAX_MS);
}

/* Nothing could be reached, and now something can: it was our own line that was dead. What failed meanwhile may be no worse. */
static void line_is_back(struct path *p)
{
	for (size_t i = 0; i < p->n_regions; i++) {
		if (p->regions[i].relay == RELAY_UP)
			return;
	}
	for (size_t i = 0; i < p->n_regions; i++)
		p->regions[i].failed_ms = 0;
}

bool home_relay_told(struct path *p, int32_t region, bool up)
{
	struct region *r = region_find(p, region);
	if (!r)
		return false;
	bool news = false;
	if (up) {
		news = r->fails && region == p->home;
		if (r->fails)
			line_is_back(p);
		r->relay = RELAY_UP;
		r->fails = 0;
		r->avoid_until_ms = 0;
	} else if (r->relay == RELAY_UP && region != p->home) {
		r->relay = RELAY_UNKNOWN; /* idle, or lost: the next send opens it, and only a failed try says
					     more */
	} else {
		bool first = r->relay != RELAY_DOWN;
		if (first)
			r->down_ms = p->now_ms;
		r->relay = RELAY_DOWN;
		r->failed_ms = p->now_ms;
		if (r->fails < UINT8_MAX)
			r->fails++;
		if (r->fails >= 2)
			avoid(p, r);
		news = first && region == p->home;
		if (region == p->home)
			state_wake(p, p->now_ms);
	}
	p->home_moved = true;
	return news;
}
