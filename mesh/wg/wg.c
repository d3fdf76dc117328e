#include "mesh/wg/core.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* --- the core --- */

struct wg *wg_new(const struct node_private *us, const struct wg_ops *ops, const struct random *rnd)
{
	static const char prologue[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
	uint64_t seed[3];
	struct wg *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->ops = *ops;
	w->rnd = *rnd;
	key_lock(&w->us, sizeof(w->us));
	w->us = *us;
	w->secret_at = WG_NEVER;
	key_public(us->b, w->our_key.b);
	wg_cookie_keys(&w->our_key, w->mac1_key, w->cookie_key);
	noise_init(&w->initial, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
	noise_mix_hash(&w->initial, prologue, sizeof(prologue) - 1);
	w->rnd.fill(w->rnd.arg, seed, sizeof(seed));
	table_init_inside(&w->by_id, sizeof(uint64_t), offsetof(struct wg_card, id), seed[0]);
	table_init_inside(&w->by_key, KEY_LEN, offsetof(struct wg_card, key), seed[1]);
	w->jitter = seed[2];
	return w;
}

static void free_peer(struct wg *w, struct wg_peer *p)
{
	uint64_t lost = 0;
	wg_handshake_abandon(w, p);
	wg_session_wipe(w, p);
	wg_stage_clear(w, p, &lost);
	wg_timer_forget(w, p);
	key_wipe(p, sizeof(*p));
	free(p);
}

static void free_card(struct wg *w, struct wg_card *c)
{
	if (c->peer)
		free_peer(w, c->peer);
	free(c->allowed);
	free(c);
}

void wg_free(struct wg *w)
{
	if (!w)
		return;
	wg_lend_recall(w);
	size_t at = 0;
	for (struct wg_card *c = table_next(&w->by_id, &at); c; c = table_next(&w->by_id, &at))
		free_card(w, c);
	table_fini(&w->by_id);
	table_fini(&w->by_key);
	allowed_fini(&w->allowed);
	indexes_fini(&w->indexes);
	free(w->heap.v);
	key_wipe(w, sizeof(*w));
	free(w);
}

/* --- peers --- */

static struct wg_peer *make_peer(struct wg_card *c)
{
	struct wg_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = c->id;
	p->card = c;
	p->key = c->key;
	p->keepalive_at = p->lost_at = p->retry_at = p->wipe_at = p->answer_at = WG_NEVER;
	p->cookie_at = p->last_src_at = WG_NEVER;
	wg_cookie_keys(&c->key, p->mac1_key, NULL);
	c->peer = p;
	return p;
}

static struct wg_peer *peer_of(struct wg_card *c)
{
	return c && !c->peer ? make_peer(c) : c ? c->peer : NULL;
}

struct wg_peer *wg_peer_get(struct wg *w, uint64_t id)
{
	if (w->hot && w->hot->id == id)
		return w->hot;
	struct wg_peer *p = peer_of(table_get(&w->by_id, &id));
	if (p)
		w->hot = p;
	return p;
}

struct wg_peer *wg_peer_made(const struct wg *w, uint64_t id)
{
	const struct wg_card *c = table_get(&w->by_id, &id);
	return c ? c->peer : NULL;
}

struct wg_peer *wg_peer_by_key(struct wg *w, const struct node_key *key)
{
	return peer_of(table_get(&w->by_key, key));
}

static bool reserve_timer(struct wg *w)
{
	if (w->by_id.n < w->heap_size)
		return true;
	size_t size = w->heap_size ? w->heap_size * 2 : 16;
	struct heap_item **room = realloc(w->heap.v, size * sizeof(struct heap_item *));
	if (!room)
		return false;
	w->heap.v = room;
	w->heap_size = size;
	return true;
}

static struct wg_card *add_card(struct wg *w, uint64_t id, const struct node_key *key)
{
	struct wg_card *c = reserve_timer(w) ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	c->id = id;
	c->key = *key;
	if (!table_put(&w->by_id, &id, c))
		goto free_it;
	if (!table_put(&w->by_key, key, c))
		goto unlist;
	return c;
unlist:
	(void)table_remove(&w->by_id, &id);
free_it:
	free(c);
	return NULL;
}

static bool list_has(const struct prefix *list, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(&list[i], p))
			return true;
	return false;
}

/* allowed may be the peer's own list. */
static bool set_allowed(struct wg *w, struct wg_card *c, const struct prefix *allowed, size_t n)
{
	size_t kept = 0;
	/* Nothing stays allowed for want of memory. */
	for (size_t i = 0; i < c->n_allowed; i++)
		if (list_has(allowed, n, &c->allowed[i]))
			c->allowed[kept++] = c->allowed[i];
		else
			allowed_remove(&w->allowed, &c->allowed[i], c);
	c->n_allowed = kept;
	struct prefix *list = n ? malloc(n * sizeof(*list)) : NULL;
	if (n && !list)
		return false;
	kept = 0;
	for (size_t i = 0; i < n; i++)
		if (allowed_put(&w->allowed, &allowed[i], c))
			list[kept++] = allowed[i];
	free(c->allowed);
	c->allowed = list;
	c->n_allowed = kept;
	return kept == n;
}

/* Nobody that has not spoken yet needs one of zeros. */
static bool set_psk(struct wg *w, struct wg_card *c, const uint8_t *psk)
{
	static const uint8_t none[KEY_LEN];
	const uint8_t *next = psk ? psk : none;
	if (key_equal(c->peer ? c->peer->psk : none, next))
		return true;
	struct wg_peer *p = peer_of(c);
	if (!p)
		return false;
	memcpy(p->psk, next, KEY_LEN);
	wg_handshake_abandon(w, p);
	wg_session_wipe(w, p);
	return true;
}

bool wg_peer_set(struct wg *w, uint64_t id, const struct node_key *key, const uint8_t *psk,
	const struct prefix *allowed, size_t n)
{
	if (!id || key_is_zero(key->b) || key_equal(key->b, w->our_key.b))
		return false;
	wg_lend_recall(w); /* an address may move from any peer to this one */
	struct wg_card *c = table_get(&w->by_id, &id), *same_key = table_get(&w->by_key, key);
	if (c && c != same_key)
		wg_peer_remove(w, id);
	if (same_key && same_key != c)
		wg_peer_remove(w, same_key->id);
	if (!c || c != same_key)
		c = add_card(w, id, key);
	if (!c)
		return false;
	if (!set_psk(w, c, psk)) { /* nobody is spoken to without it */
		wg_peer_remove(w, id);
		return false;
	}
	return set_allowed(w, c, allowed, n);
}

void wg_peer_remove(struct wg *w, uint64_t id)
{
	wg_lend_recall(w);
	struct wg_card *c = table_remove(&w->by_id, &id);
	if (!c)
		return;
	(void)table_remove(&w->by_key, &c->key);
	table_fit(&w->by_id);
	table_fit(&w->by_key);
	w->hot = NULL;
	for (size_t i = 0; i < c->n_allowed; i++)
		allowed_remove(&w->allowed, &c->allowed[i], c);
	free_card(w, c);
}

bool wg_reserve(struct wg *w, const struct prefix *net)
{
	wg_lend_recall(w);
	return allowed_reserve(&w->allowed, net);
}

uint64_t wg_route(const struct wg *w, const struct addr *dst)
{
	const struct wg_card *c = allowed_get(&w->allowed, dst);
	return c ? c->id : 0;
}

void wg_route_missed(struct wg *w)
{
	++w->drops.no_route;
}

/* --- facts and figures --- */

void wg_path_changed(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (p)
		wg_handshake_answer_again(w, now_ms, p, WG_FLOOD_MS); /* not with an initiation */
	if (!p || !p->attempt)
		return;
	uint64_t age = now_ms - p->attempt->sent_ms;
	if (now_ms - p->attempt->left_ms < WG_FLOOD_MS)
		wg_timer_repeat_at(w, p, p->attempt->left_ms + WG_FLOOD_MS);
	else if (age < WG_REPEAT_MS)
		wg_handshake_repeat(w, now_ms, p);
	else
		(void)wg_handshake_begin(w, now_ms, p);
}

void wg_peer_missed(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (p && p->attempt)
		wg_timer_missed(w, now_ms, p);
	if (p)
		wg_handshake_answer_again(w, now_ms, p, WG_MISSED_MS);
}

void wg_handshake_anew(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (p && p->attempt && now_ms - p->attempt->left_ms >= WG_FLOOD_MS)
		(void)wg_handshake_begin(w, now_ms, p);
}

void wg_handshake_wanted(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_get(w, peer);
	if (!p || (p->current && now_ms - p->current->born_ms < WG_REKEY_AFTER_MS) ||
		wg_session_awaited(p, now_ms))
		return;
	if (p->last_initiation_tx_ms && now_ms - p->last_initiation_tx_ms < WG_REPEAT_MS)
		return;
	(void)wg_handshake_begin(w, now_ms, p);
}

void wg_peer_restarted(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (p && p->current && !p->attempt && !wg_session_awaited(p, now_ms))
		(void)wg_handshake_begin(w, now_ms, p);
}

bool wg_ready(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	const struct wg_peer *p = wg_peer_made(w, peer);
	return p && wg_session_usable(p->current, now_ms);
}

bool wg_peer_stats(struct wg *w, uint64_t peer, struct wg_peer_stats *out)
{
	const struct wg_card *c = table_get(&w->by_id, &peer);
	const struct wg_peer *p = c ? c->peer : NULL;
	*out = (struct wg_peer_stats) { 0 };
	if (!p)
		return c;
	*out = (struct wg_peer_stats) { .rx_bytes = p->rx_bytes,
		.tx_bytes = p->tx_bytes,
		.last_handshake_ms = p->last_handshake_ms,
		.last_rx_ms = p->last_rx_ms,
		.last_tx_ms = p->last_tx_ms,
		.session = p->current };
	return true;
}

const struct wg_drops *wg_drops(const struct wg *w)
{
	return &w->drops;
}
