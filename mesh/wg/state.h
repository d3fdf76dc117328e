/* The state of a core and its peers, and the times it keeps. */
#ifndef RW_WG_STATE_H
#define RW_WG_STATE_H

#include "mesh/base/heap.h"
#include "mesh/base/aead.h"
#include "mesh/base/noise.h"
#include "mesh/base/table.h"
#include "mesh/wg/allowed.h"
#include "mesh/wg/indexes.h"
#include "mesh/wg/message.h"
#include "mesh/wg/replay.h"
#include "mesh/wg/wg.h"

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
	WG_REPEAT_MS = 1000, /* the same initiation once more, should the first be lost */
	WG_MISSED_MS = 200,  /* ... and sooner, should the peer not have been there */
	WG_FLOOD_MS = 20,    /* between two handshake messages to or from one peer */
	WG_LOAD_WINDOW_MS = 100,
	WG_LOAD_MESSAGES = 50, /* handshake messages per window that we serve without cookies */
	WG_AWAIT_MS = 1000,    /* how long we leave it to an initiator to use its session first */
	WG_SKEW_MS = 3600000,  /* how far ahead of ours a peer's clock is believed */
};
#define WG_REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_WINDOW)

struct wg_session {
	uint32_t local, remote; /* receiver indices: ours, theirs */
	bool initiator;		/* we began it, so we renew it */
	bool renewing;		/* receiving asked for a new one already */
	bool lent;		/* lend.c */
	struct wg_peer *peer;
	uint64_t born_ms, sent; /* sent: the next counter */
	struct aead *seal, *open;
	struct replay replay;
};

/* An initiation of ours under way. */
struct wg_attempt {
	uint32_t local;
	bool repeated, cookie_answered;
	bool missed;		    /* the peer was not where it was sent */
	uint64_t begun_ms, sent_ms; /* begun: the first try, for giving up */
	uint64_t left_ms;	    /* when its bytes last went out */
	uint8_t ephemeral[KEY_LEN];
	struct noise_state noise;
	struct wg_initiation message;
};

/* A peer as it was told to us. Of most peers of a big mesh there is no more than this: struct wg_peer is made when the first
 * packet goes to it or the first handshake message comes from it. */
struct wg_card {
	uint64_t id;
	struct node_key key;
	struct prefix *allowed; /* owned */
	size_t n_allowed;
	struct wg_peer *peer; /* owned; NULL: not made yet */
};

struct wg_stage;
struct wg_peer {
	/* What data packets touch. */
	uint64_t id;
	const struct wg_card *card;		      /* its owner, and that of its prefixes */
	struct wg_session *current, *previous, *next; /* next: we answered, they have not used it yet */
	/* WG_NEVER = off; timer.due_ms <= each of them, and is meaningless while none is set */
	uint64_t keepalive_at, lost_at, retry_at, wipe_at, answer_at;
	struct heap_item timer;
	uint64_t rx_bytes, tx_bytes, last_rx_ms, last_tx_ms;
	struct addr last_src; /* allowed when allowed.changes was ... */
	uint64_t last_src_at;
	/* Handshakes. */
	struct wg_attempt *attempt;
	struct wg_response *answer; /* to what made next: waits for answer_at, or to be wanted again */
	struct wg_stage *stage;
	uint64_t last_handshake_ms, last_initiation_rx_ms, last_initiation_tx_ms;
	struct node_key key;
	uint8_t psk[KEY_LEN], ss[KEY_LEN], mac1_key[KEY_LEN];
	bool has_ss, ss_bad, keepalive_again;
	uint8_t stamp_floor[WG_STAMP], stamp_last[WG_STAMP]; /* newest accepted: believed, and as it came */
	uint8_t cookie[WG_MAC], last_mac1[WG_MAC];
	uint64_t cookie_at; /* WG_NEVER = none */
};

struct wg {
	struct wg_ops ops;
	struct random rnd;
	struct node_private us;
	struct node_key our_key;
	uint8_t mac1_key[KEY_LEN], cookie_key[KEY_LEN];
	struct noise_state initial; /* after name and prologue */
	struct table by_id, by_key; /* struct wg_card */
	struct wg_peer *hot;	    /* last looked up */
	uint64_t now_ms;	    /* of the last call that told it */
	struct indexes indexes;
	struct allowed allowed;
	struct heap heap;
	size_t heap_size; /* room */
	uint64_t jitter;  /* the last; begins at random */
	size_t staged_bytes;
	unsigned n_lent; /* sessions */
	bool clock_known;
	uint64_t clock_offset_ms;
	uint8_t stamp[WG_STAMP]; /* last sent */
	uint8_t secret[32];	 /* of cookies we give */
	uint64_t secret_at;
	uint64_t load_window_at, loaded_until;
	unsigned load_count;
	uint64_t sources[256]; /* ms each bucket is spent up to */
	struct wg_drops drops;
};

#endif
