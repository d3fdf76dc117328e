#include "mesh/path/region.h"

#include "mesh/base/sorted.h"
#include "mesh/path/state.h"

enum { WINDOW_MS = 150000, DOWN_HOLD_MS = 15000, RELAY_HEARD_MS = 20000 };

static bool id_before(const void *v, size_t i, const void *id)
{
	return ((const struct region *)v)[i].id < *(const int32_t *)id;
}

struct region *region_find(const struct path *p, int32_t id)
{
	size_t i = sorted_before(p->regions, p->n_regions, &id, id_before);
	return i < p->n_regions && p->regions[i].id == id ? &p->regions[i] : NULL;
}

static double lower(double a, double b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* The lowest of recent samples: one late answer says nothing about the way. Two windows make "recent". */
void region_sample(struct path *p, struct region *r, double latency_ms)
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

double region_latency(const struct region *r)
{
	return lower(r->low_now_ms, r->low_before_ms);
}

bool region_usable(const struct path *p, int32_t region)
{
	if (!region || !p->n_regions)
		return region != 0; /* no map yet: the driver knows better */
	const struct region *r = region_find(p, region);
	return r && r->has_relay && !(r->relay == RELAY_DOWN && p->now_ms - r->failed_ms < DOWN_HOLD_MS);
}

static bool is_usable(const struct path *p, const struct peer *e, int32_t region, bool even_gone)
{
	return region_usable(p, region) && (even_gone || e->gone != region || p->now_ms >= e->gone_until_ms);
}

int32_t region_for_peer(const struct path *p, const struct peer *e)
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
