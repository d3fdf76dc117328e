/* What a handshake message must show before key agreement is spent on it (paper 5.4.4, 5.4.7).
 * mac1: always; the sender knows our key. A wrong one is dropped without a word.
 * mac2: while loaded, that is for a second after more than WG_LOAD_MESSAGES came within WG_LOAD_WINDOW_MS, or
 * when the caller says so: the sender can receive where it sends from. Without it the answer is a cookie, a
 * keyed hash of the source under a secret that changes every WG_COOKIE_MS, and nothing is remembered. With it
 * the source still has a rate of its own (spend_token). The other side: a cookie that answers our last
 * message is kept WG_COOKIE_MS and signs what we send; the attempt under way is repeated at once, a single
 * time, so that two ends cannot keep each other busy with cookies. */
#include "mesh/wg/core.h"

#include <string.h>

enum { SOURCE_EVERY_MS = 50, SOURCE_BURST = 5, LOADED_MS = 1000 };

/* In constant time. */
static bool macs_equal(const uint8_t a[static WG_MAC], const uint8_t b[static WG_MAC])
{
	uint8_t differ = 0;
	for (size_t i = 0; i < WG_MAC; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

void wg_cookie_keys(const struct node_key *key, uint8_t *mac1_key, uint8_t *cookie_key)
{
	const struct noise_part mac1[] = { { "mac1----", 8 }, { key->b, KEY_LEN } };
	const struct noise_part cookie[] = { { "cookie--", 8 }, { key->b, KEY_LEN } };
	if (mac1_key)
		blake2s_hash(mac1, 2, mac1_key);
	if (cookie_key)
		blake2s_hash(cookie, 2, cookie_key);
}

void wg_cookie_sign(uint64_t now_ms, struct wg_peer *p, uint8_t *message, size_t len)
{
	size_t body = len - sizeof(struct wg_macs);
	uint8_t *mac1 = message + body, *mac2 = mac1 + WG_MAC;
	blake2s_mac16(p->mac1_key, KEY_LEN, message, body, mac1);
	memcpy(p->last_mac1, mac1, WG_MAC);
	memset(mac2, 0, WG_MAC);
	if (p->cookie_at != WG_NEVER && now_ms - p->cookie_at < WG_COOKIE_MS)
		blake2s_mac16(p->cookie, WG_MAC, message, body + WG_MAC, mac2);
}

static void make_cookie(
	struct wg *w, uint64_t now_ms, const struct wg_origin *from, uint8_t out[static WG_MAC])
{
	if (w->secret_at == WG_NEVER || now_ms - w->secret_at >= WG_COOKIE_MS) {
		w->rnd.fill(w->rnd.arg, w->secret, sizeof(w->secret));
		w->secret_at = now_ms;
	}
	blake2s_mac16(w->secret, sizeof(w->secret), from->p, from->len, out);
}

static void send_cookie(struct wg *w, const struct wg_span *s, const struct wg_origin *from,
	const uint8_t cookie[static WG_MAC])
{
	struct wg_cookie m = { .type = WG_COOKIE };
	memcpy(m.receiver, s->p + 4, sizeof(m.receiver)); /* their sender index */
	w->rnd.fill(w->rnd.arg, m.nonce, sizeof(m.nonce));
	const uint8_t *mac1 = s->p + s->len - sizeof(struct wg_macs);
	xaead_seal(w->cookie_key, m.nonce, mac1, WG_MAC, cookie, WG_MAC, m.sealed_cookie);
	w->ops.send_back(w->ops.arg, from->p, (const uint8_t *)&m, sizeof(m));
}

/* Above what one thread should spend on key agreement; stays so for a second. */
static bool is_loaded(struct wg *w, uint64_t now_ms)
{
	if (now_ms - w->load_window_at >= WG_LOAD_WINDOW_MS) {
		w->load_window_at = now_ms;
		w->load_count = 0;
	}
	if (++w->load_count > WG_LOAD_MESSAGES)
		w->loaded_until = now_ms + LOADED_MS;
	return now_ms < w->loaded_until;
}

/* 20 a second, five at once, for each (hashed) source that proved its address. */
static bool spend_token(struct wg *w, uint64_t now_ms, const struct wg_origin *from)
{
	uint64_t h = hash_bytes(from->p, from->len, be_get(w->mac1_key, 8), be_get(w->us.b, 8));
	uint64_t *spent = &w->sources[h % (sizeof(w->sources) / sizeof(w->sources[0]))];
	if (*spent < now_ms)
		*spent = now_ms;
	if (*spent - now_ms >= SOURCE_BURST * SOURCE_EVERY_MS)
		return false;
	*spent += SOURCE_EVERY_MS;
	return true;
}

enum wg_verdict wg_cookie_check(
	struct wg *w, uint64_t now_ms, const struct wg_span *s, const struct wg_origin *from)
{
	const uint8_t *mac1 = s->p + s->len - sizeof(struct wg_macs), *mac2 = mac1 + WG_MAC;
	uint8_t want[WG_MAC], cookie[WG_MAC];
	blake2s_mac16(w->mac1_key, KEY_LEN, s->p, s->len - sizeof(struct wg_macs), want);
	if (!macs_equal(want, mac1))
		return wg_drop(&w->drops.bad_mac1);
	if (!is_loaded(w, now_ms) && !from->under_load)
		return WG_OK;
	make_cookie(w, now_ms, from, cookie);
	blake2s_mac16(cookie, WG_MAC, s->p, s->len - WG_MAC, want);
	if (!macs_equal(want, mac2)) {
		send_cookie(w, s, from, cookie);
		return wg_drop(&w->drops.bad_mac2);
	}
	return spend_token(w, now_ms, from) ? WG_OK : wg_drop(&w->drops.flood);
}

enum wg_verdict wg_cookie_receive(struct wg *w, uint64_t now_ms, const struct wg_cookie *m)
{
	struct index_slot *slot = indexes_get(&w->indexes, (uint32_t)le_get(m->receiver, 4));
	if (!slot)
		return wg_drop(&w->drops.bad_cookie);
	struct wg_peer *p = slot->peer;
	uint8_t cookie_key[KEY_LEN], cookie[WG_MAC];
	wg_cookie_keys(&p->key, NULL, cookie_key);
	if (!xaead_open(cookie_key, m->nonce, p->last_mac1, WG_MAC, m->sealed_cookie,
		    sizeof(m->sealed_cookie), cookie))
		return wg_drop(&w->drops.bad_cookie);
	memcpy(p->cookie, cookie, WG_MAC);
	p->cookie_at = now_ms;
	/* The busy peer did not look into our initiation: the same one may go again, now with mac2. */
	if (p->attempt && !p->attempt->cookie_answered) {
		p->attempt->cookie_answered = true;
		wg_handshake_repeat(w, now_ms, p);
	}
	return WG_OK;
}
