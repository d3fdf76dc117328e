/* Userspace WireGuard core: handshake, sessions, replay window, cookies, allowed-ips, timers. Pure: bytes,
 * facts and `now` come in; datagrams and facts go out. WireGuard paper 5-6;
 * tailscale-protocol.md 3.2, 3.4, 9.3 (22). Every call belongs to one thread, but for
 * wg_loan_seal. */
#ifndef RW_WG_WG_H
#define RW_WG_WG_H

#include "mesh/base/addr.h"
#include "mesh/base/key.h"
#include "mesh/base/pkt.h"
#include <stdbool.h>
#include <stdint.h>

enum { WG_DATA_HEADER = 16, WG_OVERHEAD = 32, WG_MESSAGE_MAX = 148, WG_STAGE_MAX = 64 };
enum { WG_TAIL = 31 }; /* padding and tag */

struct wg;
/* Ops are called while wg_receive, wg_seal or wg_tick is still running. From each may be called: wg_seal*, wg_path_changed,
 * wg_handshake_wanted, wg_peer_restarted, wg_clock_set, wg_route_missed and every question (wg_route,
 * wg_ready, wg_peer_stats, wg_deadline, wg_drops, wg_clock_floor); from session_ready wg_staged_take too,
 * from unknown_peer wg_peer_set. No other call: not wg_receive*, wg_tick, wg_peer_remove, wg_free. Bytes live until
 * the op returns, whatever it calls. */
struct wg_ops {
	/* Send a handshake or keepalive datagram to a peer by whatever path it has. */
	void (*send)(void *arg, uint64_t peer, const uint8_t *p, size_t len);
	/* Answer straight to where a message came from, though nobody is authenticated (cookie reply). `from`
	 * as given. */
	void (*send_back)(void *arg, const void *from, const uint8_t *p, size_t len);
	/* A handshake message of this peer was authenticated; called before the reply goes out by `send`, so
	 * that the caller may first learn the address (roaming). May be NULL. */
	void (*heard)(void *arg, uint64_t peer, const void *from);
	/* A session became usable: staged packets may be sealed now (wg_staged_take). */
	void (*session_ready)(void *arg, uint64_t peer);
	/* An initiation by a key that is no peer yet: return true after adding it by wg_peer_set (on-demand
	 * peers). The key is claimed, not proven. May be NULL. */
	bool (*unknown_peer)(void *arg, const struct node_key *key);
	/* All that is lent comes back now, by wg_loan_return and no other call: also from wg_peer_set, wg_peer_remove and
	 * wg_free. NULL where nothing is lent. */
	void (*recall)(void *arg);
	void *arg;
};

/* NULL: no memory. */
struct wg *wg_new(const struct node_private *us, const struct wg_ops *ops, const struct random *rnd);
void wg_free(struct wg *w); /* wipes all keys */

/* Wall clock: it is unix_ms now. Call after wg_new (peers refuse handshakes older than our last) and when the
 * clock was set; stamps we send never go back. wg_clock_floor: the newest unix_ms sent so far; a caller that
 * keeps it over a restart and gives wg_clock_set the larger of it and the clock survives a clock that stepped
 * back meanwhile. */
void wg_clock_set(struct wg *w, uint64_t now_ms, uint64_t unix_ms);
uint64_t wg_clock_floor(const struct wg *w);

/* Adds or updates; id is the caller's, not 0. allowed is copied; a prefix moves to the peer that named it
 * last. psk NULL = zero. A new key or psk ends the peer's sessions; a key taken from another id removes that
 * other. false: no memory (the peer then lacks some prefixes, or is not there), or a key that is ours or zero. */
bool wg_peer_set(struct wg *w, uint64_t id, const struct node_key *key, const uint8_t *psk,
	const struct prefix *allowed, size_t n);
void wg_peer_remove(struct wg *w, uint64_t id);
/* Addresses in net are those of the peers that name them, or a part of net: who carries a network around it, as 0.0.0.0/0,
 * neither gets what is sent to the others nor may send as one of them. Beside the peers' prefixes, none of which is net itself.
 * false: no memory. */
bool wg_reserve(struct wg *w, const struct prefix *net);
/* Longest allowed-ips match; 0 = none (ids are never 0). */
uint64_t wg_route(const struct wg *w, const struct addr *dst);
void wg_route_missed(struct wg *w); /* counts a packet the caller could not route */

/* Bytes somewhere in the caller's memory. */
struct wg_span {
	uint8_t *p;
	size_t len;
};
enum wg_verdict { WG_OK, WG_STAGED, WG_DROP };
/* Seals an IP packet in place; s becomes the datagram (starts WG_DATA_HEADER earlier). WG_DATA_HEADER bytes
 * before s->p and WG_TAIL after its end must be writable. No usable session: copies the packet to the peer's
 * stage (newest 64 kept), starts a handshake, returns WG_STAGED; s is untouched. */
enum wg_verdict wg_seal_span(struct wg *w, uint64_t now_ms, uint64_t peer, struct wg_span *s);
/* Takes the next staged packet of a peer into *out, false when none or no session. Call until false after
 * session_ready. */
bool wg_staged_take(struct wg *w, uint64_t peer, struct pkt *out);

struct wg_origin {
	const void *p; /* opaque bytes that identify the source, for cookies; handed to ops */
	size_t len;
	bool under_load; /* ask for cookies; the core also does so by itself above 500 initiations/s */
};
struct wg_received {
	uint64_t peer;	    /* who sent it; 0 when it authenticated nobody */
	bool is_data;	    /* the span is now the inner packet (len 0: keepalive) */
	bool authenticated; /* the caller may learn the source address (roaming) */
};
/* One datagram that is neither STUN nor disco. Data is opened in place, its length and source are checked. */
enum wg_verdict wg_receive_span(struct wg *w, uint64_t now_ms, struct wg_span *s,
	const struct wg_origin *from, struct wg_received *out);

/* The sending half of a session, lent so that packets are sealed on another thread. While it is out the core lets it alone:
 * before the core seals by it itself, ends or replaces the session, or changes who a peer is and which addresses are
 * its own, it calls ops.recall. So what is borrowed here lives until it is given back, and keys are wiped after that. */
struct aead;
struct wg_loan {
	struct aead *cipher; /* borrowed */
	uint32_t receiver;
	uint64_t next, end;	    /* counters: the next, and the first that is not lent */
	uint64_t until_ms, ends_ms; /* not used later than until; never extended beyond ends */
	/* Since the core was told: datagrams as a whole, when the last left, packets that were not sealed. */
	uint64_t bytes, last_ms, failed;
};
/* false: no session that may be used now, or it is lent already, or packets wait for it. */
bool wg_lend(struct wg *w, uint64_t now_ms, uint64_t peer, struct wg_loan *out);
/* On any thread, one at a time; as wg_seal, but never WG_STAGED: WG_DROP where the loan has ended or the cipher failed. */
enum wg_verdict wg_loan_seal(struct wg_loan *l, uint64_t now_ms, struct pkt *p);
/* The core hears what was sent by it (l as it was at some moment since the last time), with what follows: timers, a renewal.
 * Returns until when the loan may go on. To be called every few hundred ms. */
uint64_t wg_loan_told(struct wg *w, uint64_t now_ms, uint64_t peer, const struct wg_loan *l);
/* The same, and it is back; nothing is sent from here. */
void wg_loan_return(struct wg *w, uint64_t peer, const struct wg_loan *l);

/* wg_seal_span and wg_receive_span on a struct pkt. */
enum wg_verdict wg_seal(struct wg *w, uint64_t now_ms, uint64_t peer, struct pkt *p);
enum wg_verdict wg_receive(
	struct wg *w, uint64_t now_ms, struct pkt *p, const struct wg_origin *from, struct wg_received *out);

/* A better way exists: repeat a pending handshake at once. */
void wg_path_changed(struct wg *w, uint64_t now_ms, uint64_t peer);
/* What was sent to the peer a moment ago met nobody: a pending handshake is repeated soon, and then ever more rarely. */
void wg_peer_missed(struct wg *w, uint64_t now_ms, uint64_t peer);
/* A pending handshake begins anew: the peer may not have known us, or may have answered and not been heard. */
void wg_handshake_anew(struct wg *w, uint64_t now_ms, uint64_t peer);
/* Handshake now unless either end began one in the last second or the session is younger than 120 s. */
void wg_handshake_wanted(struct wg *w, uint64_t now_ms, uint64_t peer);
/* The peer's program started anew, so it has lost the session: handshake now if there is one, unless the peer
 * just began one itself. */
void wg_peer_restarted(struct wg *w, uint64_t now_ms, uint64_t peer);

uint64_t wg_deadline(const struct wg *w); /* ms; UINT64_MAX = none */
void wg_tick(struct wg *w, uint64_t now_ms);

struct wg_peer_stats {
	uint64_t rx_bytes, tx_bytes;
	uint64_t last_handshake_ms, last_rx_ms, last_tx_ms; /* times of `now`; 0 = never */
	bool session;
};
/* A packet would be sealed now, not staged. */
bool wg_ready(struct wg *w, uint64_t now_ms, uint64_t peer);
bool wg_peer_stats(struct wg *w, uint64_t peer, struct wg_peer_stats *out);

/* clang-format off */
#define WG_DROPS(X) \
	X(bad_length) X(bad_type) X(bad_mac1) X(bad_mac2) X(unknown_peer) X(bad_handshake) X(old_timestamp) \
	X(flood) X(bad_cookie) X(no_session) X(expired) X(bad_counter) X(replay) X(bad_tag) X(bad_inner) \
	X(bad_source) X(stage_full) X(handshake_failed) X(no_route) X(no_memory)
/* clang-format on */
struct wg_drops {
#define X(name) uint64_t name;
	WG_DROPS(X)
#undef X
};
const struct wg_drops *wg_drops(const struct wg *w);

#endif
