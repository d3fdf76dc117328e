#include "mesh/path/path.h"
#include "mesh/path/parts.h"
#include <stdio.h>
#include <stdlib.h>

struct peer *peers_find(const struct path *p, uint64_t id)
{
	return table_get(&p->by_id, &id);
}

bool peers_box(struct path *p, struct peer *e)
{
	if (!e->box_ready && !key_is_zero(e->disco.b))
		e->box_ready = box_precompute(p->disco_private.b, e->disco.b, &e->box);
	return e->box_ready;
}

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

static void unlist(struct path *p, struct peer *e)
{
	if (!e->listed)
		return;
	*(e->prev ? &e->prev->next : &p->active) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->next = e->prev = NULL;
	e->listed = false;
}

static void release(struct path *p, struct peer *e)
{
	unlist(p, e);
	for (struct peer **at = &p->changed; e->changed && *at; at = &(*at)->changed_next) {
		if (*at == e) {
			*at = e->changed_next;
			break;
		}
	}
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
		release(p, e);
}

void path_peer_remove(struct path *p, uint64_t id)
{
	struct peer *e = table_remove(&p->by_id, &id);
	if (e)
		release(p, e);
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
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct peer *e = peers_find(p, peer->id);
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
	if (news && session_active(p, e) && !session_trusted(p, e))
		session_burst(p, e);
	else if (moved && session_active(p, e) && !session_trusted(p, e))
		session_answer_burst(p, e);
	session_notify(p, e);
	self_flush(p);
	return true;
}

void path_authenticated(struct path *p, uint64_t now_ms, uint64_t peer, const struct endpoint *from)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct peer *e = peers_find(p, peer);
	if (!e)
		return;
	if (!from) {
		/* The peer uses the relay while we trust the direct way: it may know more than we do. */
		bool old_news = p->now_ms - e->direct_ms < 500 || !session_active(p, e);
		if (session_trusted(p, e) && !old_news && !e->doubted && !e->live.shut)
			session_doubt(p, e);
		return;
	}
	e->no_data_ms = 0;
	if (e->has_best && endpoint_equal(&e->best, from)) {
		e->unanswered_ms = 0;
		e->best_data_ms = p->now_ms;
		e->data_dead = false;
		return;
	}
	struct candidate *c = candidates_add(p, e, from, FROM_SEEN);
	if (!c)
		return;
	c->heard_ms = c->data_ms = p->now_ms;
	if (key_is_zero(e->disco.b)) { /* plain WireGuard peer: roaming is all there is */
		e->best = *from;
		e->has_best = true;
		session_notify(p, e);
		return;
	}
	bool left = session_trusted(p, e) && session_peer_left(p, e, c);
	if (p->now_ms - c->pinged_ms >= (left ? 250 : 100) && (left || !session_trusted(p, e)))
		probe_send(p, e, &c->at, 0, NULL);
}

bool path_peer_by_endpoint(const struct path *p, const struct endpoint *from, uint64_t *peer)
{
	struct peer *e = table_get(&p->by_endpoint, from);
	if (e)
		*peer = e->id;
	return e != NULL;
}

bool path_peer_by_key(const struct path *p, const struct node_key *key, uint64_t *peer)
{
	struct peer *e = table_get(&p->by_key, key->b);
	if (e)
		*peer = e->id;
	return e != NULL;
}

static void explain(const struct path *p, const struct peer *e, struct path_state *out)
{
	char text[ENDPOINT_TEXT];
	size_t n = sizeof(out->why);
	if (out->direct && e->doubted)
		snprintf(out->why, n, "direct, but %u probes went unanswered: sending by relay too",
			e->failed);
	else if (out->direct)
		snprintf(out->why, n, "direct");
	else if (!out->region)
		snprintf(out->why, n, "no way: no relay is known for it");
	else if (key_is_zero(e->disco.b))
		snprintf(out->why, n, "relay: the peer has no disco key");
	else if (p->report_done && !p->udp)
		snprintf(out->why, n,
			"relay: no STUN server answers, UDP seems blocked here; %u probes unanswered",
			e->probes);
	else if (e->n_cands == 0)
		snprintf(out->why, n, "relay: the peer has named no endpoint yet");
	else if (e->has_best && e->live.shut)
		snprintf(out->why, n, "relay: %s answers probes but loses data",
			endpoint_format(&e->best, text));
	else if (e->has_best)
		snprintf(out->why, n, "relay: %s stopped answering", endpoint_format(&e->best, text));
	else
		snprintf(out->why, n, "relay: no answer to %u probes of %u endpoints%s", e->probes,
			e->n_cands,
			p->varies == OPT_TRUE ? "; the NAT here maps each destination differently" : "");
}

bool path_peer_state(const struct path *p, uint64_t now_ms, uint64_t peer, struct path_state *out)
{
	const struct peer *e = peers_find(p, peer);
	if (!e)
		return false;
	uint64_t now = now_ms > p->now_ms ? now_ms : p->now_ms;
	*out = (struct path_state) { .active = e->sent_ms && now - e->sent_ms < SESSION_MS };
	out->region = home_for_peer(p, e);
	out->direct = e->has_best && e->trust_ms > now && !e->live.shut;
	out->latency_ms = -1;
	if (out->direct) {
		out->at = e->best;
		out->latency_ms = e->latency_ms;
	}
	explain(p, e, out);
	return true;
}
