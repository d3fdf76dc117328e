/* What the files of this room share. Nobody else includes it, but tests do, to set counters and limits. */
#ifndef RW_WG_CORE_H
#define RW_WG_CORE_H

#include "mesh/base/wire.h"
#include "mesh/wg/state.h"

static inline enum wg_verdict wg_drop(uint64_t *why)
{
	++*why;
	return WG_DROP;
}

/* wg.c */
struct wg_peer *wg_peer_get(
	struct wg *w, uint64_t id); /* made if need be; NULL: unknown, or memory is short */
struct wg_peer *wg_peer_made(const struct wg *w, uint64_t id); /* NULL: unknown, or nothing has passed yet */
struct wg_peer *wg_peer_by_key(struct wg *w, const struct node_key *key); /* as wg_peer_get */

/* clock.c: TAI64N */
void wg_clock_stamp(struct wg *w, uint64_t now_ms, uint8_t out[static WG_STAMP]);
/* false: not newer than what the peer sent before. */
/* Remembers it when true. */
bool wg_clock_accept(
	const struct wg *w, uint64_t now_ms, struct wg_peer *p, const uint8_t stamp[static WG_STAMP]);

/* handshake.c */
bool wg_handshake_begin(struct wg *w, uint64_t now_ms, struct wg_peer *p);  /* sends an initiation */
void wg_handshake_repeat(struct wg *w, uint64_t now_ms, struct wg_peer *p); /* the same bytes again */
void wg_handshake_abandon(struct wg *w, struct wg_peer *p);
void wg_handshake_answer(struct wg *w, uint64_t now_ms, struct wg_peer *p); /* sends what is kept, if any */
/* The same bytes so much later, when the peer has not used their session and may not have got them. */
void wg_handshake_answer_again(struct wg *w, uint64_t now_ms, struct wg_peer *p, uint64_t wait_ms);
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
enum wg_verdict wg_cookie_check(
	struct wg *w, uint64_t now_ms, const struct wg_span *s, const struct wg_origin *from);
enum wg_verdict wg_cookie_receive(struct wg *w, uint64_t now_ms, const struct wg_cookie *m);

/* session.c */
uint32_t wg_session_index(struct wg *w, struct wg_peer *p); /* reserves a fresh one; 0: no memory */
struct wg_session *wg_session_new(struct wg_peer *p, uint64_t now_ms); /* keys and indices unset */
void wg_session_free(struct wg *w, struct wg_session *s);	       /* NULL is fine */
void wg_session_answered(
	struct wg *w, struct wg_session *s); /* by us: waits for the initiator's first packet */
void wg_session_completed(struct wg *w, struct wg_session *s); /* ours, answered by them */
/* They used it. true: it (or one like it) became current, staged packets may go. */
bool wg_session_confirm(struct wg *w, struct wg_session *s);
void wg_session_wipe(struct wg *w, struct wg_peer *p);
/* Just answered, so the peer is about to use a session that is newer than any of ours. */
bool wg_session_awaited(const struct wg_peer *p, uint64_t now_ms);
bool wg_session_usable(const struct wg_session *s, uint64_t now_ms); /* NULL is not */

/* lend.c */
void wg_lend_recall(struct wg *w); /* afterwards nothing is lent */

/* transport.c */
/* A packet becomes a datagram. false: the cipher failed, and the span must not be sent. */
bool wg_transport_write(struct aead *cipher, uint32_t receiver, uint64_t counter, struct wg_span *span);
bool wg_transport_is_due(const struct wg_session *s, uint64_t now_ms); /* to be renewed */
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
void wg_timer_missed(struct wg *w, uint64_t now_ms, struct wg_peer *p);
void wg_timer_repeat_at(struct wg *w, struct wg_peer *p, uint64_t at); /* an attempt is under way */
void wg_timer_answer_at(struct wg *w, struct wg_peer *p, uint64_t at);
void wg_timer_forget(struct wg *w, struct wg_peer *p);
/* Any authenticated packet. */
static inline void wg_timer_sent(struct wg_peer *p)
{
	p->keepalive_at = WG_NEVER;
}
static inline void wg_timer_received(struct wg_peer *p)
{
	p->lost_at = WG_NEVER;
}

#endif
