#include "mesh/path/peers.h"
#include "mesh/path/candidates.h"
#include "mesh/path/card.h"
#include "mesh/path/events.h"
#include "mesh/path/probe.h"
#include "mesh/path/session.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stdlib.h>

/* The box is of the disco key. */
static void forget_disco(struct path *p, struct card *c)
{
	card_unindex_disco(p, c);
	if (!c->peer)
		return;
	c->peer->box_ready = false;
	key_wipe(&c->peer->box, sizeof(c->peer->box));
}

static void release_peer(struct path *p, struct peer *e)
{
	peer_unlist(p, e);
	if (e->news)
		events_forget(p, e);
	for (size_t i = 0; i < e->n_cands; i++) {
		if (e->cands[i].indexed && table_get(&p->by_endpoint, &e->cands[i].at) == e)
			table_remove(&p->by_endpoint, &e->cands[i].at);
	}
	free(e->cands);
	key_wipe(e, sizeof(*e));
	free(e);
}

static void release(struct path *p, struct card *c)
{
	forget_disco(p, c);
	if (card_by_key(p, &c->key) == c)
		table_remove(&p->by_key, c->key.b);
	if (c->peer)
		release_peer(p, c->peer);
	free(c->named);
	free(c);
}

void peers_free_all(struct path *p)
{
	size_t at = 0;
	for (struct card *c; (c = table_next(&p->by_id, &at));)
		release(p, c);
}

void path_peer_remove(struct path *p, uint64_t id)
{
	struct card *c = table_remove(&p->by_id, &id);
	if (!c)
		return;
	release(p, c);
	table_fit(&p->by_id);
	table_fit(&p->by_key);
	table_fit(&p->by_disco);
}

static struct card *add(struct path *p, const struct path_peer *peer)
{
	struct card *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->id = peer->id;
	c->key = peer->key;
	c->disco = peer->disco;
	if (!table_put(&p->by_id, &c->id, c)) {
		free(c);
		return NULL;
	}
	if (!table_put(&p->by_key, c->key.b, c) || !card_index_disco(p, c)) {
		path_peer_remove(p, c->id);
		return NULL;
	}
	return c;
}

/* A peer that started again has a new disco key: what was proven with the old one is worth nothing. */
static bool renew_disco(struct path *p, struct card *c, const struct disco_key *disco)
{
	forget_disco(p, c);
	c->disco = *disco;
	if (c->peer) {
		c->peer->disco = *disco;
		session_forget_best(p, c->peer);
		candidates_forget(p, c->peer, FROM_CALL | FROM_SEEN);
		candidates_sweep(p, c->peer);
	}
	if (card_index_disco(p, c))
		return true;
	/* It is news again when it is said again. */
	c->disco = (struct disco_key) { 0 };
	if (c->peer)
		c->peer->disco = c->disco;
	return false;
}

/* news: it has another disco key. false: memory is short, and not all of its endpoints are known. */
static bool set_made(struct path *p, struct peer *e, const struct path_peer *peer, bool news)
{
	bool moved = false, all = true;
	bool left = e->home && e->home != peer->home;
	if (e->home != peer->home) {
		e->home = peer->home;
		e->heard = 0;
		e->gone = 0;
	}
	const struct candidate *best = way_known(e) ? candidates_find(e, &e->best) : NULL;
	bool was_named = best && (best->from & FROM_NETMAP);
	candidates_forget(p, e, FROM_NETMAP);
	for (size_t i = 0; i < peer->n_endpoints && i < NAMED_MAX; i++) {
		if (!candidates_find(e, &peer->endpoints[i]))
			moved = true;
		if (!candidates_add(p, e, &peer->endpoints[i], FROM_NETMAP) &&
			candidates_sendable(&peer->endpoints[i]))
			all = false;
	}
	candidates_sweep(p, e);
	if (was_named)
		session_named(p, e, FROM_NETMAP);
	if (news && peer_active(p, e) && !way_trusted(p, e))
		session_burst(p, e);
	else if (moved && peer_active(p, e) && !way_trusted(p, e))
		session_answer_burst(p, e);
	if (left) /* what it sends us comes by that relay now, where nobody knows us until we speak */
		session_call(p, e);
	way_publish(p, e);
	return all;
}

bool path_peer_set(struct path *p, uint64_t now_ms, const struct path_peer *peer)
{
	state_advance(p, now_ms);
	struct card *c = card_find(p, peer->id);
	if (c && !key_equal(c->key.b, peer->key.b)) {
		path_peer_remove(p, peer->id);
		c = NULL;
	}
	if (!c && !(c = add(p, peer)))
		return false;
	bool news = !key_equal(c->disco.b, peer->disco.b);
	if (news && !renew_disco(p, c, &peer->disco))
		return false;
	c->home = peer->home;
	if (!c->peer)
		return card_name(c, peer->endpoints, peer->n_endpoints);
	return set_made(p, c->peer, peer, news);
}

/* The peer uses the relay while we trust the direct way: it may know more than we do. Not what was on its way
 * when the direct one was found; and a peer that goes on, since its data is lost on the way, is not asked for
 * each packet. */
static void heard_by_relay(struct path *p, struct peer *e)
{
	enum { JUST_FOUND_MS = 500, AGAIN_MS = 3000 };
	bool told = p->now_ms - e->sure_ms < JUST_FOUND_MS ||
		    (e->doubted_ms && p->now_ms - e->doubted_ms < AGAIN_MS);
	if (way_sure(p, e) && !told && peer_active(p, e) && !way_shut(e))
		session_doubt(p, e);
}

static void heard_direct(struct path *p, struct peer *e, const struct endpoint *from)
{
	e->no_data_ms = 0;
	if (way_is(e, from)) {
		e->unanswered_ms = 0;
		e->best_data_ms = p->now_ms;
		e->best_heard = true;
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
	bool moved = session_peer_moved(p, e);
	bool left = way_trusted(p, e) && session_peer_left(p, e, c);
	if (p->now_ms - c->pinged_ms >= (left ? 250 : 100) && (moved || left || !way_trusted(p, e)))
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
