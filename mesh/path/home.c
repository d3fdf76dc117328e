#include "mesh/path/path.h"
#include "mesh/path/parts.h"

enum {
	WINDOW_MS = 150000,
	AVOID_MS = 10000,
	AVOID_MAX_MS = 300000,
	DEAD_MS = 1000,
	DOWN_HOLD_MS = 15000,
	NO_LATENCY_WAIT_MS = 2500,
	RELAY_HEARD_MS = 20000
};

struct region *home_region(const struct path *p, int32_t id)
{
	for (size_t i = 0; i < p->n_regions; i++) {
		if (p->regions[i].id == id)
			return &p->regions[i];
	}
	return NULL;
}

static double lower(double a, double b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* The lowest of recent samples: one late answer says nothing about the way. Two windows make "recent". */
void home_sample(struct path *p, struct region *r, double latency_ms)
{
	if (p->now_ms - r->window_ms >= WINDOW_MS) {
		r->low_before_ms = p->now_ms - r->window_ms < 2 * WINDOW_MS ? r->low_now_ms : -1;
		r->low_now_ms = -1;
		r->window_ms = p->now_ms;
	}
	r->low_now_ms = lower(r->low_now_ms, latency_ms);
	r->last_ms = latency_ms;
	r->answered_ms = p->now_ms;
}

double home_latency(const struct region *r)
{
	return lower(r->low_now_ms, r->low_before_ms);
}

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
		if (!is_eligible(p, r) || home_latency(r) < 0)
			continue;
		if (!best || home_latency(r) < home_latency(best) -
						       1) /* equal: the lower id, as the others will choose */
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
	double x = home_latency(a), y = home_latency(b);
	return y >= 0 && x < y - 10 && x < y * 2 / 3;
}

static void ways_changed(struct path *p)
{
	for (struct peer *e = p->active; e; e = e->next) {
		session_notify(p, e);
		session_call(p, e); /* says by which relay we are reached now */
	}
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
	const struct region *cur = home_region(p, p->home), *best = nearest(p);
	p->home_pick_ms = 0;
	bool cur_lives = cur && cur->has_relay && !is_dead(p, cur);
	if (!best && !cur_lives &&
		(cur || home_is_only_choice(p) || p->report_done ||
			p->now_ms - p->report_ms >= NO_LATENCY_WAIT_MS))
		best = any(p);
	if (cur_lives && best) {
		bool silent = home_latency(cur) < 0 &&
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
	struct region *r = home_region(p, home);
	if (r && r->relay == RELAY_DOWN)
		r->relay = RELAY_UNKNOWN; /* its new chance; the count of failures stays */
	self_changed(p);
	ways_changed(p);
}

void home_tick(struct path *p)
{
	const struct region *cur = home_region(p, p->home);
	if (cur && cur->relay == RELAY_DOWN) {
		if (is_dead(p, cur))
			p->home_pick_ms = p->now_ms;
		else
			path_wake(p, cur->down_ms + DEAD_MS);
	}
	if (p->home_pick_ms && p->now_ms >= p->home_pick_ms)
		home_pick(p);
	else if (p->home_pick_ms)
		path_wake(p, p->home_pick_ms);
}

static void avoid(struct path *p, struct region *r)
{
	uint64_t wait = AVOID_MS;
	for (unsigned i = 1; i < r->fails && wait < AVOID_MAX_MS; i++)
		wait *= 2;
	r->avoid_until_ms = p->now_ms + (wait < AVOID_MAX_MS ? wait : AVOID_MAX_MS);
}

void path_relay_up(struct path *p, uint64_t now_ms, int32_t region, bool up)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct region *r = home_region(p, region);
	if (!r)
		return;
	if (up) {
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
		if (region == p->home) {
			if (first)
				netcheck_start(p, false); /* who is still there? */
			path_wake(p, p->now_ms);
		}
	}
	ways_changed(p);
	self_flush(p);
}

bool home_is_usable(const struct path *p, int32_t region)
{
	if (!region || !p->n_regions)
		return region != 0; /* no map yet: the driver knows better */
	const struct region *r = home_region(p, region);
	return r && r->has_relay && !(r->relay == RELAY_DOWN && p->now_ms - r->failed_ms < DOWN_HOLD_MS);
}

static bool is_usable(const struct path *p, const struct peer *e, int32_t region, bool even_gone)
{
	return home_is_usable(p, region) && (even_gone || e->gone != region || p->now_ms >= e->gone_until_ms);
}

int32_t home_for_peer(const struct path *p, const struct peer *e)
{
	bool heard_now = e->heard_ms && p->now_ms - e->heard_ms < RELAY_HEARD_MS;
	if (heard_now && is_usable(p, e, e->heard, false))
		return e->heard; /* answers go the way the question came: hides races of home changes */
	const int32_t order[] = { e->home, e->heard, p->home };
	for (int even_gone = 0; even_gone < 2; even_gone++) {
		for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
			if (is_usable(p, e, order[i], even_gone))
				return order[i];
		}
	}
	return p->home ? p->home : e->home;
}

int32_t path_home(const struct path *p)
{
	return p->home;
}
