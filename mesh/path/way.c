#include "mesh/path/way.h"
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"

enum { CHECK_MIN_MS = 250, CHECK_MAX_MS = 3000 };

bool way_trusted(const struct path *p, const struct peer *e)
{
	return e->has_best && e->trust_ms > p->now_ms;
}

bool way_sure(const struct path *p, const struct peer *e)
{
	return way_trusted(p, e) && !e->doubted;
}

uint64_t way_check_time(const struct peer *e)
{
	double t = 3 * e->latency_ms + 100;
	return t < CHECK_MIN_MS ? CHECK_MIN_MS : t > CHECK_MAX_MS ? CHECK_MAX_MS : (uint64_t)t;
}

/* Without a relay, where the peer was last heard is better than nowhere. */
static bool last_heard(const struct peer *e, struct endpoint *at)
{
	uint64_t newest = 0;
	for (size_t i = 0; i < e->n_cands; i++) {
		const struct candidate *c = &e->cands[i];
		uint64_t heard = c->heard_ms > c->ponged_ms ? c->heard_ms : c->ponged_ms;
		if (heard > newest) {
			newest = heard;
			*at = c->at;
		}
	}
	return newest > 0;
}

static struct path_way compute(const struct path *p, const struct peer *e)
{
	struct path_way way = { .region = region_for_peer(p, e) };
	way.udp = e->has_best || (!region_usable(p, way.region) && last_heard(e, &way.at));
	if (e->has_best)
		way.at = e->best;
	way.relay = way.region != PATH_REGION_NONE && (!way_sure(p, e) || e->data_dead || e->live.shut);
	if (way.relay && e->live.shut)
		way.udp = false;
	return way;
}

void way_publish(struct path *p, struct peer *e)
{
	e->way = compute(p, e);
	struct shown s = { .direct = way_trusted(p, e) && !e->live.shut, .region = region_for_peer(p, e) };
	if (s.direct)
		s.at = e->best;
	/* An idle peer is nobody's news; what became of its way is told when it is used again. */
	if (!peer_active(p, e) && !s.direct)
		return;
	bool same = s.direct == e->shown.direct && s.region == e->shown.region &&
		    endpoint_equal(&s.at, &e->shown.at);
	e->shown = s;
	if (!same)
		events_way_changed(p, e);
}
