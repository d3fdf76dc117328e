/* Everything the driver is told but sends. An event is a bit on what it is about (a peer, a region, a server,
 * the whole), set where it becomes true and cleared just before it is told. So a thing that changed twice is
 * told once, as it is at the end; nothing waits in memory of its own but answered pings, which had it before;
 * and whoever notes an event may go on with what is in its hands, for nobody is called. Each look takes the
 * first from its list anew: the driver may add, change and remove peers and the map from inside an event. */
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stdlib.h>
#include <string.h>

enum { TELL_GAP_MIN_MS = 100, TELL_GAP_MAX_MS = 10000, TELL_QUIET_MS = 60000 };
enum { NEWS_WAY = 1, NEWS_ASK_DIRECT = 2, NEWS_ASK_RELAY = 4 };
/* Each event may cause others, as a way that changed begins a session: told at once up to here, the rest with
 * the next tick. */
enum { EVENTS_AT_ONCE = 4096 };

void events_self_changed(struct path *p)
{
	p->self_dirty = true;
}

static void note_news(struct path *p, struct peer *e, uint8_t what)
{
	if (!e->news) {
		e->news_next = p->news;
		p->news = e;
	}
	e->news |= what;
}

void events_way_changed(struct path *p, struct peer *e)
{
	note_news(p, e, NEWS_WAY);
}

void events_ask(struct path *p, struct peer *e, bool relay)
{
	note_news(p, e, relay ? NEWS_ASK_RELAY : NEWS_ASK_DIRECT);
}

void events_answered(struct path *p, struct ping *g)
{
	g->next = p->answered;
	p->answered = g;
}

void events_forget(struct path *p, struct peer *e)
{
	struct peer **at = &p->news;
	while (*at && *at != e)
		at = &(*at)->news_next;
	if (*at)
		*at = e->news_next;
	e->news = 0;
}

void events_free(struct path *p)
{
	while (p->answered) {
		struct ping *g = p->answered;
		p->answered = g->next;
		free(g);
	}
}

static void tell_ask(struct path *p, struct peer *e, bool relay)
{
	struct path_way way = { .udp = !relay,
		.from = e->socket,
		.relay = relay,
		.at = e->best,
		.region = region_for_peer(p, e) };
	uint64_t token = relay ? e->live.relay_token : e->live.token;
	if (!e->live.asked || !way_trusted(p, e) || (relay && way.region == PATH_REGION_NONE))
		return;
	p->ops.probe_data(p->ops.arg, e->id, token, &way);
}

/* One bit of the first peer that has news. */
static bool tell_peer(struct path *p)
{
	struct peer *e = p->news;
	if (!e)
		return false;
	uint8_t bit = (uint8_t)(e->news & -e->news);
	e->news &= (uint8_t)~bit;
	if (!e->news)
		p->news = e->news_next;
	if (bit == NEWS_WAY)
		p->ops.way_changed(p->ops.arg, e->id);
	else
		tell_ask(p, e, bit == NEWS_ASK_RELAY);
	return true;
}

static bool tell_answer(struct path *p)
{
	struct ping *g = p->answered;
	if (!g)
		return false;
	struct ping done = *g;
	p->answered = g->next;
	free(g);
	if (table_get(&p->by_id, &done.peer))
		p->ops.ping_done(p->ops.arg, done.token, done.peer, &done.to, done.region, done.latency_ms);
	return true;
}

static bool tell_home(struct path *p)
{
	if (p->home == p->home_told)
		return false;
	p->home_told = p->home;
	p->ops.home_changed(p->ops.arg, p->home);
	return true;
}

static bool tell_region(struct path *p)
{
	for (size_t i = 0; p->regions_wanted && i < p->n_regions; i++) {
		struct region *r = &p->regions[i];
		if (r->https_wanted) {
			r->https_wanted = false;
			if (p->ops.https_probe)
				p->ops.https_probe(p->ops.arg, r->id);
			return true;
		}
		for (size_t k = 0; k < r->n_servers; k++) {
			struct server *s = &r->servers[k];
			if (!s->name_wanted)
				continue;
			s->name_wanted = false;
			/* A copy: the answer may be a new map. */
			char *host = p->ops.resolve ? strdup(s->host) : NULL;
			if (host)
				p->ops.resolve(p->ops.arg, host);
			free(host);
			return true;
		}
	}
	p->regions_wanted = false;
	return false;
}

static bool tell_spare(struct path *p)
{
	if (!p->spare_wanted)
		return false;
	p->spare_wanted = false;
	p->ops.spare_wanted(p->ops.arg);
	return true;
}

static void tell_self(struct path *p)
{
	uint64_t since = p->now_ms - p->self_told_ms;
	if (!p->self_told_ms || since > TELL_QUIET_MS)
		p->self_gap_ms = TELL_GAP_MIN_MS;
	if (p->self_told_ms && since < p->self_gap_ms) {
		state_wake(p, p->self_told_ms + p->self_gap_ms);
		return;
	}
	if (p->self_told_ms && p->self_gap_ms < TELL_GAP_MAX_MS)
		p->self_gap_ms *= 2;
	p->self_told_ms = p->now_ms;
	p->self_dirty = false;
	p->ops.self_changed(p->ops.arg);
}

void events_tell(struct path *p)
{
	int left = EVENTS_AT_ONCE;
	while (left > 0 &&
		(tell_home(p) || tell_region(p) || tell_spare(p) || tell_peer(p) || tell_answer(p)))
		left--;
	if (left == 0)
		state_wake(p, p->now_ms + 1);
	if (p->self_dirty)
		tell_self(p);
}
