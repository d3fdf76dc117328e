/* Userspace WireGuard core: handshake, sessions, replay window, cookies, allowed-ips, timers. Pure: bytes, facts and `now`
 * come in; datagrams and facts go out. WireGuard paper 5-6; tailscale-protocol.md 3.2, 3.4, 9.3 (22).
 *
 * Threads: everything but wg_seal/wg_open is for one (control) thread. struct wg_session is what the data path needs:
 * counted, its keys immutable. The one thread of today's node may call all of it. */
#ifndef RW_WG_WG_H
#define RW_WG_WG_H

#include "mesh/base/addr.h"
#include "mesh/base/key.h"
#include "mesh/base/pkt.h"
#include <stdbool.h>
#include <stdint.h>

enum { WG_DATA_HEADER = 16, WG_OVERHEAD = 32, WG_MESSAGE_MAX = 148 };

struct wg;
struct wg_ops {
	/* Send a handshake, cookie or keepalive datagram to a peer by whatever path it has. */
	void (*send)(void *arg, uint64_t peer, const uint8_t *p, size_t len);
	/* A reply that goes to where an initiation came from although no peer is known (cookie reply under load).
	 * `from` is the opaque token given to wg_receive. */
	void (*send_back)(void *arg, const void *from, const uint8_t *p, size_t len);
	/* A session became usable: staged packets may be sealed now (wg_staged_take). */
	void (*session_ready)(void *arg, uint64_t peer);
	/* An initiation by a key that is no peer yet: return true after adding it by wg_peer_set (on-demand peers). May be NULL. */
	bool (*unknown_peer)(void *arg, const struct node_key *key);
	void *arg;
};

struct wg *wg_new(const struct node_private *us, const struct wg_ops *ops, const struct random *rnd);
void wg_free(struct wg *w); /* wipes all keys */

/* Adds or updates; id is the caller's. allowed is copied; a prefix moves to the peer that named it last. psk NULL = zero. */
bool wg_peer_set(struct wg *w, uint64_t id, const struct node_key *key, const uint8_t *psk, const struct prefix *allowed, size_t n);
void wg_peer_remove(struct wg *w, uint64_t id);
/* Longest allowed-ips match; 0 = none (ids are never 0). */
uint64_t wg_route(const struct wg *w, const struct addr *dst);

enum wg_verdict { WG_OK, WG_STAGED, WG_DROP };
/* Seals pkt (an IP packet with PKT_HEADROOM in front) in place into a transport message. No usable session: copies the
 * packet to the peer's stage (newest 64 kept), starts a handshake, returns WG_STAGED. */
enum wg_verdict wg_seal(struct wg *w, uint64_t now_ms, uint64_t peer, struct pkt *p);
/* Takes the next staged packet of a peer into *out, false when none. Call until false after session_ready. */
bool wg_staged_take(struct wg *w, uint64_t peer, struct pkt *out);

struct wg_received {
	uint64_t peer;      /* who sent it; 0 when it authenticated nobody */
	bool is_data;       /* p now holds the inner packet (p->len may be 0: keepalive) */
	bool authenticated; /* from any authenticated message: the caller may learn the source address (roaming) */
};
/* One datagram that is neither STUN nor disco. Data is opened in place and its source checked against allowed-ips.
 * `from`/`from_len`: bytes that identify the source (for cookies), e.g. address and port. under_load: ask for cookies. */
enum wg_verdict wg_receive(struct wg *w, uint64_t now_ms, struct pkt *p, const void *from, size_t from_len, bool under_load,
	struct wg_received *out);

/* Facts the core cannot see. */
void wg_path_changed(struct wg *w, uint64_t now_ms, uint64_t peer); /* a better way exists: retry a pending handshake at once */
/* Handshake now unless one is younger than 1 s or a session is fresh. */
void wg_handshake_wanted(struct wg *w, uint64_t now_ms, uint64_t peer);

uint64_t wg_deadline(const struct wg *w); /* ms; UINT64_MAX = none */
void wg_tick(struct wg *w, uint64_t now_ms);

struct wg_peer_stats {
	uint64_t rx_bytes, tx_bytes, last_handshake_ms, last_rx_ms, last_tx_ms; /* 0 = never; times of `now` */
	bool session;
};
bool wg_peer_stats(const struct wg *w, uint64_t peer, struct wg_peer_stats *out);

#define WG_DROPS(X)                                                                                                 \
	X(short_message) X(bad_type) X(bad_mac1) X(bad_mac2) X(unknown_peer) X(bad_handshake) X(old_timestamp)       \
	X(flood) X(no_session) X(bad_counter) X(replay) X(bad_tag) X(bad_inner) X(bad_source) X(stage_full) X(no_route)
struct wg_drops {
#define X(name) uint64_t name;
	WG_DROPS(X)
#undef X
};
const struct wg_drops *wg_drops(const struct wg *w);

#endif
