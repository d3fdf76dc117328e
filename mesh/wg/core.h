/* What the files of this room share. Nobody else includes it, but tests do, to set counters and limits. */
#ifndef RW_WG_CORE_H
#define RW_WG_CORE_H

#include "mesh/base/noise.h"
#include "mesh/base/table.h"
#include "mesh/base/wire.h"
#include "mesh/wg/allowed.h"
#include "mesh/wg/indexes.h"
#include "mesh/wg/replay.h"
#include "mesh/wg/wg.h"
#include <assert.h>

#define WG_NEVER UINT64_MAX

/* WireGuard paper 6.1; all but the last five are what every peer expects. */
enum {
	WG_REKEY_AFTER_MS = 120000,
	WG_REJECT_AFTER_MS = 180000,
	WG_ATTEMPT_MS = 90000,
	WG_RETRY_MS = 5000,
	WG_KEEPALIVE_MS = 10000,
	WG_JITTER_MS = 334,
	WG_COOKIE_MS = 120000,
	WG_WIPE_MS = 3 * WG_REJECT_AFTER_MS,
	WG_REPEAT_MS = 1000,    /* the same initiation once more, should the first be lost */
	WG_FLOOD_MS = 20,       /* between two initiations of one peer */
	WG_LOAD_WINDOW_MS = 100,
	WG_LOAD_MESSAGES = 50,  /* handshake messages per window that we serve without cookies */
	WG_AWAIT_MS = 1000,     /* how long we leave it to an initiator to use its session first */
	WG_SKEW_MS = 3600000,   /* how far ahead of ours a peer's clock is believed */
};
#define WG_REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_WINDOW)

enum { WG_INITIATION = 1, WG_RESPONSE, WG_COOKIE, WG_DATA };
enum { WG_STAMP = 12, WG_MAC = 16 };

/* Paper 5.4.2-5.4.7. */
struct wg_macs {
	uint8_t mac1[WG_MAC], mac2[WG_MAC];
};
struct wg_initiation {
	uint8_t type, zero[3], sender[4], ephemeral[32], sealed_static[48], sealed_stamp[28];
	struct wg_macs macs;
};
struct wg_response {
	uint8_t type, zero[3], sender[4], receiver[4], ephemeral[32], sealed_nothing[16];
	struct wg_macs macs;
};
struct wg_cookie {
	uint8_t type, zero[3], receiver[4], nonce[24], sealed_cookie[32];
};
static_assert(sizeof(struct wg_initiation) == 148 && _Alignof(struct wg_initiation) == 1, "wire layout");
static_assert(sizeof(struct wg_response) == 92 && _Alignof(struct wg_response) == 1, "wire layout");
static_assert(sizeof(struct wg_cookie) == 64 && _Alignof(struct wg_cookie) == 1, "wire layout");

struct wg_session {
	uint32_t local, remote; /* receiver indices: ours, theirs */
	bool initiator;         /* we began it, so we renew it */
	bool renewing;          /* receiving asked for a new one already */
	struct wg_peer *peer;
	uint64_t born_ms, sent; /* sent: the next counter */
	struct aead *seal, *open;
	struct replay replay;
};

/* An initiation of ours under way. */
struct wg_attempt {
	uint32_t local;
	bool repeated, cookie_answered;
	uint64_t begun_ms, sent_ms; /* begun: the first try, for giving up */
	uint8_t ephemeral[KEY_LEN];
	struct noise_state noise;
	struct wg_initiation message;
};

struct wg_stage;
struct wg_peer {
	/* What data packets touch. */
	uint64_t id;
	struct wg_session *current, *previous, *next; /* next: we answered, they have not used it yet */
	uint64_t keepalive_at, lost_at, retry_at, wipe_at, due; /* WG_NEVER = off; due <= each of them */
	uint64_t rx_bytes, tx_bytes, last_rx_ms, last_tx_ms;
	struct addr last_src; /* allowed when allowed.changes was ... */
	uint64_t last_src_at;
	/* Handshakes. */
	struct wg_attempt *attempt;
	struct wg_stage *stage;
	uint64_t last_handshake_ms, last_initiation_rx_ms, last_initiation_tx_ms;
	struct node_key key;
	uint8_t psk[KEY_LEN], ss[KEY_LEN], mac1_key[KEY_LEN];
	bool has_ss, ss_bad, keepalive_again;
	uint8_t stamp_floor[WG_STAMP], stamp_last[WG_STAMP]; /* newest accepted: believed, and as it came */
	uint8_t cookie[WG_MAC], last_mac1[WG_MAC];
	uint64_t cookie_at; /* WG_NEVER = none */
	uint32_t heap_at; /* place in wg.heap + 1; 0 = not in it */
	struct prefix *allowed;
	size_t n_allowed;
};

struct wg {
	struct wg_ops ops;
	struct random rnd;
	struct node_private us;
	struct node_key our_key;
	uint8_t mac1_key[KEY_LEN], cookie_key[KEY_LEN];
	struct noise_state initial; /* after name and prologue */
	struct table by_id, by_key;
	struct wg_peer *hot; /* last looked up */
	uint64_t now_ms;     /* of the last call that told it */
	struct indexes indexes;
	struct allowed allowed;
	struct wg_peer **heap;
	size_t n_heap, heap_size;
	size_t staged_bytes;
	bool clock_known;
	uint64_t clock_offset_ms;
	uint8_t stamp[WG_STAMP]; /* last sent */
	uint8_t secret[32];      /* of cookies we give */
	uint64_t secret_at;
	uint64_t load_window_at, loaded_until;
	unsigned load_count;
	uint64_t sources[256]; /* ms each bucket is spent up to */
	struct wg_drops drops;
};

static inline enum wg_verdict wg_drop(uint64_t *why)
{
	++*why;
	return WG_DROP;
}

/* wg.c */
struct wg_peer *wg_peer_get(struct wg *w, uint64_t id);
struct wg_peer *wg_peer_by_key(const struct wg *w, const struct node_key *key);

/* clock.c: TAI64N */
void wg_clock_stamp(struct wg *w, uint64_t now_ms, uint8_t out[static WG_STAMP]);
/* false: not newer than what the peer sent before. */
/* Remembers it when true. */
bool wg_clock_accept(const struct wg *w, uint64_t now_ms, struct wg_peer *p, const uint8_t stamp[static WG_STAMP]);

/* handshake.c */
bool wg_handshake_begin(struct wg *w, uint64_t now_ms, struct wg_peer *p); /* sends an initiation */
void wg_handshake_repeat(struct wg *w, uint64_t now_ms, struct wg_peer *p); /* the same bytes again */
void wg_handshake_abandon(struct wg *w, struct wg_peer *p);
enum wg_verdict wg_handshake_receive_initiation(struct wg *w, uint64_t now_ms, const struct wg_initiation *m,
	const struct wg_origin *from, struct wg_received *out);
enum wg_verdict wg_handshake_receive_response(struct wg *w, uint64_t now_ms, const struct wg_response *m,
	const struct wg_origin *from, struct wg_received *out);

/* cookie.c */
/* Either out (KEY_LEN bytes) may be NULL. */
void wg_cookie_keys(const struct node_key *key, uint8_t *mac1_key, uint8_t *cookie_key);
/* Fills the macs that end the message of len bytes. */
void wg_cookie_sign(uint64_t now_ms, struct wg_peer *p, uint8_t *message, size_t len);
/* mac1, and mac2 and rate when loaded; answers with a cookie itself. WG_OK: go on. */
enum wg_verdict wg_cookie_check(struct wg *w, uint64_t now_ms, const struct wg_span *s, const struct wg_origin *from);
enum wg_verdict wg_cookie_receive(struct wg *w, uint64_t now_ms, const struct wg_cookie *m);

/* session.c */
uint32_t wg_session_index(struct wg *w, struct wg_peer *p); /* reserves a fresh one; 0: no memory */
struct wg_session *wg_session_new(struct wg_peer *p, uint64_t now_ms); /* keys and indices unset */
void wg_session_free(struct wg *w, struct wg_session *s); /* NULL is fine */
void wg_session_answered(struct wg *w, struct wg_session *s);  /* by us: waits for the initiator's first packet */
void wg_session_completed(struct wg *w, struct wg_session *s); /* ours, answered by them */
/* They used it. true: it (or one like it) became current, staged packets may go. */
bool wg_session_confirm(struct wg *w, struct wg_session *s);
void wg_session_wipe(struct wg *w, struct wg_peer *p);
bool wg_session_usable(const struct wg_session *s, uint64_t now_ms); /* NULL is not */

/* transport.c */
/* Begins a handshake, or waits for the one that is under way. */
void wg_transport_want_session(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_transport_keepalive(struct wg *w, uint64_t now_ms, struct wg_peer *p);

/* stage.c */
void wg_stage_put(struct wg *w, struct wg_peer *p, const struct wg_span *s);
void wg_stage_clear(struct wg *w, struct wg_peer *p, uint64_t *why); /* counts each lost packet in why */

/* timer.c: facts */
void wg_timer_data_sent(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_data_received(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_initiation_sent(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_session_made(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_session_awaited(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_retry_at(struct wg *w, struct wg_peer *p, uint64_t at);
void wg_timer_forget(struct wg *w, struct wg_peer *p);
/* Any authenticated packet. */
static inline void wg_timer_sent(struct wg_peer *p) { p->keepalive_at = WG_NEVER; }
static inline void wg_timer_received(struct wg_peer *p) { p->lost_at = WG_NEVER; }

#endif
