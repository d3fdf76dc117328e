#include "mesh/wg/core.h"

#include <stdlib.h>
#include <string.h>

/* --- the core --- */

struct wg *wg_new(const struct node_private *us, const struct wg_ops *ops, const struct random *rnd)
{
	static const char prologue[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
	uint64_t seed[2];
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
	table_init(&w->by_id, sizeof(uint64_t), seed[0]);
	table_init(&w->by_key, KEY_LEN, seed[1]);
	return w;
}

static void free_peer(struct wg *w, struct wg_peer *p)
{
	uint64_t lost = 0;
	wg_handshake_abandon(w, p);
	wg_session_wipe(w, p);
	wg_stage_clear(w, p, &lost);
	wg_timer_forget(w, p);
	free(p->allowed);
	key_wipe(p, sizeof(*p));
	free(p);
}

void wg_free(struct wg *w)
{
	if (!w)
		return;
	size_t at = 0;
	for (struct wg_peer *p = table_next(&w->by_id, &at); p; p = table_next(&w->by_id, &at))
		free_peer(w, p);
	table_fini(&w->by_id);
	table_fini(&w->by_key);
	allowed_fini(&w->allowed);
	indexes_fini(&w->indexes);
	free(w->heap.v);
	key_wipe(w, sizeof(*w));
	free(w);
}

/* --- peers --- */

struct wg_peer *wg_peer_get(struct wg *w, uint64_t id)
{
	if (w->hot && w->hot->id == id)
		return w->hot;
	struct wg_peer *p = table_get(&w->by_id, &id);
	if (p)
		w->hot = p;
	return p;
}

struct wg_peer *wg_peer_by_key(const struct wg *w, const struct node_key *key)
{
	return table_get(&w->by_key, key);
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

static struct wg_peer *add_peer(struct wg *w, uint64_t id, const struct node_key *key)
{
	struct wg_peer *p = reserve_timer(w) ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->id = id;
	p->key = *key;
	p->keepalive_at = p->lost_at = p->retry_at = p->wipe_at = p->answer_at = WG_NEVER;
	p->cookie_at = p->last_src_at = WG_NEVER;
	wg_cookie_keys(key, p->mac1_key, NULL);
	if (!table_put(&w->by_id, &id, p))
		goto free_it;
	if (!table_put(&w->by_key, key, p))
		goto unlist;
	return p;
unlist:
	(void)table_remove(&w->by_id, &id);
free_it:
	free(p);
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
static bool set_allowed(struct wg *w, struct wg_peer *p, const struct prefix *allowed, size_t n)
{
	struct prefix *list = n ? malloc(n * sizeof(*list)) : NULL;
	size_t kept = 0;
	if (n && !list)
		return false;
	for (size_t i = 0; i < p->n_allowed; i++)
		if (!list_has(allowed, n, &p->allowed[i]))
			allowed_remove(&w->allowed, &p->allowed[i], p);
	for (size_t i = 0; i < n; i++)
		if (allowed_put(&w->allowed, &allowed[i], p))
			list[kept++] = allowed[i];
	free(p->allowed);
	p->allowed = list;
	p->n_allowed = kept;
	return kept == n;
}

static void set_psk(struct wg *w, struct wg_peer *p, const uint8_t *psk)
{
	static const uint8_t none[KEY_LEN];
	if (key_equal(p->psk, psk ? psk : none))
		return;
	memcpy(p->psk, psk ? psk : none, KEY_LEN);
	wg_handshake_abandon(w, p);
	wg_session_wipe(w, p);
}

bool wg_peer_set(struct wg *w, uint64_t id, const struct node_key *key, const uint8_t *psk,
	const struct prefix *allowed, size_t n)
{
	if (!id || key_is_zero(key->b) || key_equal(key->b, w->our_key.b))
		return false;
	struct wg_peer *p = wg_peer_get(w, id), *same_key = wg_peer_by_key(w, key);
	if (p && p != same_key)
		wg_peer_remove(w, id);
	if (same_key && same_key != p)
		wg_peer_remove(w, same_key->id);
	if (!p || p != same_key)
		p = add_peer(w, id, key);
	if (!p)
		return false;
	set_psk(w, p, psk);
	return set_allowed(w, p, allowed, n);
}

void wg_peer_remove(struct wg *w, uint64_t id)
{
	struct wg_peer *p = table_remove(&w->by_id, &id);
	if (!p)
		return;
	(void)table_remove(&w->by_key, &p->key);
	w->hot = NULL;
	for (size_t i = 0; i < p->n_allowed; i++)
		allowed_remove(&w->allowed, &p->allowed[i], p);
	free_peer(w, p);
}

uint64_t wg_route(const struct wg *w, const struct addr *dst)
{
	const struct wg_peer *p = allowed_get(&w->allowed, dst);
	return p ? p->id : 0;
}

void wg_route_missed(struct wg *w)
{
	++w->drops.no_route;
}

/* --- facts and figures --- */

void wg_path_changed(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_get(w, peer);
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

void wg_handshake_anew(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	struct wg_peer *p = wg_peer_get(w, peer);
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
	struct wg_peer *p = wg_peer_get(w, peer);
	if (p && p->current && !p->attempt && !wg_session_awaited(p, now_ms))
		(void)wg_handshake_begin(w, now_ms, p);
}

bool wg_ready(struct wg *w, uint64_t now_ms, uint64_t peer)
{
	const struct wg_peer *p = wg_peer_get(w, peer);
	return p && wg_session_usable(p->current, now_ms);
}

bool wg_peer_stats(struct wg *w, uint64_t peer, struct wg_peer_stats *out)
{
	const struct wg_peer *p = wg_peer_get(w, peer);
	if (!p)
		return false;
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
