#include "mesh/path/peers.h"
#include "mesh/path/candidates.h"
#include "mesh/path/events.h"
#include "mesh/path/probe.h"
#include "mesh/path/session.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stdlib.h>

static bool index_disco(struct path *p, struct peer *e)
{
	e->same_disco = NULL;
	if (key_is_zero(e->disco.b))
		return true;
	struct peer *first = table_get(&p->by_disco, e->disco.b);
	if (!first)
		return table_put(&p->by_disco, e->disco.b, e);
	e->same_disco = first->same_disco;
	first->same_disco = e;
	return true;
}

static void unindex_disco(struct path *p, struct peer *e)
{
	struct peer *first = table_get(&p->by_disco, e->disco.b);
	if (first == e) {
		table_remove(&p->by_disco, e->disco.b);
		if (e->same_disco)
			table_put(&p->by_disco, e->disco.b, e->same_disco); /* the slot just freed */
	} else {
		while (first && first->same_disco != e)
			first = first->same_disco;
		if (first)
			first->same_disco = e->same_disco;
	}
	e->same_disco = NULL;
	e->box_ready = false;
	key_wipe(&e->box, sizeof(e->box));
}

static void peers_release(struct path *p, struct peer *e)
{
	peer_unlist(p, e);
	if (e->news)
		events_forget(p, e);
	unindex_disco(p, e);
	if (table_get(&p->by_key, e->key.b) == e)
		table_remove(&p->by_key, e->key.b);
	for (size_t i = 0; i < e->n_cands; i++) {
		if (e->cands[i].indexed && table_get(&p->by_endpoint, &e->cands[i].at) == e)
			table_remove(&p->by_endpoint, &e->cands[i].at);
	}
	free(e->cands);
	key_wipe(e, sizeof(*e));
	free(e);
}

void peers_free_all(struct path *p)
{
	size_t at = 0;
	for (struct peer *e; (e = table_next(&p->by_id, &at));)
		peers_release(p, e);
}

void path_peer_remove(struct path *p, uint64_t id)
{
	struct peer *e = table_remove(&p->by_id, &id);
	if (e)
		peers_release(p, e);
}

static struct peer *add(struct path *p, const struct path_peer *peer)
{
	struct peer *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->id = peer->id;
	e->key = peer->key;
	e->disco = peer->disco;
	e->next_ms = UINT64_MAX;
	e->way_state = WAY_NONE;
	e->data_state = DATA_PASSES;
	if (!table_put(&p->by_id, &e->id, e)) {
		free(e);
		return NULL;
	}
	if (!table_put(&p->by_key, e->key.b, e) || !index_disco(p, e)) {
		path_peer_remove(p, e->id);
		return NULL;
	}
	return e;
}

/* A peer that started again has a new disco key: what was proven with the old one is worth nothing. */
static bool renew_disco(struct path *p, struct peer *e, const struct disco_key *disco)
{
	unindex_disco(p, e);
	e->disco = *disco;
	session_forget_best(p, e);
	candidates_forget(p, e, FROM_CALL | FROM_SEEN);
	candidates_sweep(p, e);
	return index_disco(p, e);
}

bool path_peer_set(struct path *p, uint64_t now_ms, const struct path_peer *peer)
{
	state_advance(p, now_ms);
	struct peer *e = peer_find(p, peer->id);
	if (e && !key_equal(e->key.b, peer->key.b)) {
		path_peer_remove(p, peer->id);
		e = NULL;
	}
	bool news = !e, moved = false;
	if (!e && !(e = add(p, peer)))
		return false;
	if (!key_equal(e->disco.b, peer->disco.b)) {
		news = true;
		if (!renew_disco(p, e, &peer->disco))
			return false;
	}
	if (e->home != peer->home) {
		e->home = peer->home;
		e->heard = 0;
		e->gone = 0;
	}
	candidates_forget(p, e, FROM_NETMAP);
	for (size_t i = 0; i < peer->n_endpoints && i < NAMED_MAX; i++) {
		if (!candidates_find(e, &peer->endpoints[i]))
			moved = true;
		candidates_add(p, e, &peer->endpoints[i], FROM_NETMAP);
	}
	candidates_sweep(p, e);
	if (news && peer_active(p, e) && !way_trusted(p, e))
		session_burst(p, e);
	else if (moved && peer_active(p, e) && !way_trusted(p, e))
		session_answer_burst(p, e);
	way_publish(p, e);
	return true;
}

/* The peer uses the relay while we trust the direct way: it may know more than we do. */
static void heard_by_relay(struct path *p, struct peer *e)
{
	bool old_news = p->now_ms - e->direct_ms < 500 || !peer_active(p, e);
	if (way_trusted(p, e) && !old_news && e->way_state != WAY_DOUBTED && !way_shut(e))
		session_doubt(p, e);
}

static void heard_direct(struct path *p, struct peer *e, const struct endpoint *from)
{
	e->no_data_ms = 0;
	if (way_is(e, from)) {
		e->unanswered_ms = 0;
		e->best_data_ms = p->now_ms;
		way_data_feed(p, e, DATA_EV_HEARD);
		return;
	}
	struct candidate *c = candidates_add(p, e, from, FROM_SEEN);
	if (!c)
		return;
	c->heard_ms = c->data_ms = p->now_ms;
	if (key_is_zero(e->disco.b)) { /* plain WireGuard peer: roaming is all there is */
		e->best = *from;
		way_feed(p, e, WAY_EV_ROAMED);
		return;
	}
	bool left = way_trusted(p, e) && session_peer_left(p, e, c);
	if (p->now_ms - c->pinged_ms >= (left ? 250 : 100) && (left || !way_trusted(p, e)))
		probe_send(p, e, (struct place) { .at = c->at, .socket = e->socket });
}

void path_authenticated(struct path *p, uint64_t now_ms, uint64_t peer, const struct endpoint *from)
{
	state_advance(p, now_ms);
	struct peer *e = peer_find(p, peer);
	if (!e)
		return;
	if (from)
		heard_direct(p, e, from);
	else
		heard_by_relay(p, e);
	way_publish(p, e);
}
