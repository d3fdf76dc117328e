/* Where a peer's packets go: a function of two states, what disco says of the direct way (way_state) and what
 * data says of it (data_state), and of the relay that reaches the peer. The tables below are the states' only
 * rules; peer.h says what each state means. peer.way is the result as packets see it: every fact that may
 * change it ends in way_publish, and the look-up of a packet reads nothing else. */
#include "mesh/path/way.h"
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include <assert.h>

enum { CHECK_MIN_MS = 250, CHECK_MAX_MS = 3000 };

/* Zero: impossible. */
static const uint8_t way_next[WAY_STATES][WAY_EVENTS] = {
	[WAY_NONE] = { [WAY_EV_PONG] = WAY_TRUSTED,
		[WAY_EV_ROAMED] = WAY_UNPROVEN,
		[WAY_EV_FORGOTTEN] = WAY_NONE },
	[WAY_UNPROVEN] = { [WAY_EV_PONG] = WAY_TRUSTED,
		[WAY_EV_ROAMED] = WAY_UNPROVEN,
		[WAY_EV_MISSED] = WAY_UNPROVEN,
		[WAY_EV_FORGOTTEN] = WAY_NONE },
	[WAY_TRUSTED] = { [WAY_EV_PONG] = WAY_TRUSTED,
		[WAY_EV_MISSED] = WAY_DOUBTED,
		[WAY_EV_EXPIRED] = WAY_UNPROVEN,
		[WAY_EV_FORGOTTEN] = WAY_NONE },
	[WAY_DOUBTED] = { [WAY_EV_PONG] = WAY_TRUSTED,
		[WAY_EV_MISSED] = WAY_DOUBTED,
		[WAY_EV_EXPIRED] = WAY_UNPROVEN,
		[WAY_EV_FORGOTTEN] = WAY_NONE },
};
static const uint8_t data_next[DATA_STATES][DATA_EVENTS] = {
	[DATA_PASSES] = { [DATA_EV_BEGINS] = DATA_PASSES,
		[DATA_EV_SILENCE] = DATA_SILENT,
		[DATA_EV_HEARD] = DATA_PASSES,
		[DATA_EV_PROVEN] = DATA_PASSES,
		[DATA_EV_REFUTED] = DATA_SHUT },
	[DATA_SILENT] = { [DATA_EV_BEGINS] = DATA_PASSES,
		[DATA_EV_SILENCE] = DATA_SILENT,
		[DATA_EV_HEARD] = DATA_PASSES,
		[DATA_EV_PROVEN] = DATA_PASSES,
		[DATA_EV_REFUTED] = DATA_SHUT },
	/* The peer's data may pass while ours does not: only an answer opens it. */
	[DATA_SHUT] = { [DATA_EV_BEGINS] = DATA_PASSES,
		[DATA_EV_SILENCE] = DATA_SHUT,
		[DATA_EV_HEARD] = DATA_SHUT,
		[DATA_EV_PROVEN] = DATA_PASSES,
		[DATA_EV_REFUTED] = DATA_SHUT },
};

static_assert((int)WAY_IMPOSSIBLE == 0 && (int)DATA_IMPOSSIBLE == 0, "what a table leaves out is impossible");

/* Counted when it is not: a fault of ours. */
static bool is_possible(struct path *p, uint8_t next)
{
	p->impossible_moves += !next;
	return next;
}

bool way_feed(struct path *p, struct peer *e, enum way_event ev)
{
	uint8_t next = way_next[e->way_state][ev];
	if (!is_possible(p, next))
		return false;
	e->way_state = next;
	way_publish(p, e);
	return true;
}

bool way_data_feed(struct path *p, struct peer *e, enum data_event ev)
{
	uint8_t next = data_next[e->data_state][ev];
	if (!is_possible(p, next))
		return false;
	e->data_state = next;
	way_publish(p, e);
	return true;
}

bool way_known(const struct peer *e)
{
	return e->way_state != WAY_NONE;
}

bool way_is(const struct peer *e, const struct endpoint *at)
{
	return way_known(e) && endpoint_equal(&e->best, at);
}

/* Trust ends by the clock, ticks or not; the state follows with the next step. */
bool way_trusted(const struct path *p, const struct peer *e)
{
	return e->way_state >= WAY_TRUSTED && e->trust_ms > p->now_ms;
}

bool way_sure(const struct path *p, const struct peer *e)
{
	return e->way_state == WAY_TRUSTED && e->trust_ms > p->now_ms;
}

bool way_shut(const struct peer *e)
{
	return e->data_state == DATA_SHUT;
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

struct path_way way_compute(const struct path *p, const struct peer *e)
{
	struct path_way way = { .region = region_for_peer(p, e), .from = e->socket };
	way.udp = way_known(e) || (!region_usable(p, way.region) && last_heard(e, &way.at));
	if (way_known(e))
		way.at = e->best;
	way.relay = way.region != PATH_REGION_NONE && (!way_sure(p, e) || e->data_state != DATA_PASSES);
	if (way.relay && way_shut(e))
		way.udp = false;
	if (!way.relay && region_usable(p, way.region))
		way.most = e->most;
	return way;
}

static bool same_way(const struct path_way *a, const struct path_way *b)
{
	return a->udp == b->udp && a->relay == b->relay && a->from == b->from && a->most == b->most &&
	       a->region == b->region && endpoint_equal(&a->at, &b->at);
}

void way_publish(struct path *p, struct peer *e)
{
	struct path_way way = way_compute(p, e);
	p->ways += !same_way(&way, &e->way);
	e->way = way;
	struct shown s = { .direct = way_trusted(p, e) && !way_shut(e), .region = region_for_peer(p, e) };
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
