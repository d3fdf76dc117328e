/* What the files of this room share. One struct path; each part has one file that changes it:
 * peers.c the set and its indexes, candidates.c where a peer may be, probe.c disco messages, session.c trust and timing
 * per peer, self.c own endpoints, netcheck.c STUN, home.c the relays. */
#ifndef RW_PATH_STATE_H
#define RW_PATH_STATE_H

#include "mesh/base/table.h"
#include "mesh/path/path.h"
#include "mesh/proto/stun.h"

enum { /* milliseconds */
	TRUST_MS = 6500, HEARTBEAT_MS = 3000, SESSION_MS = 45000, PING_TIMEOUT_MS = 5000, ENDPOINTS_FRESH_MS = 27000,
	SILENCE_MS = 700,         /* sending with nothing back: look at once */
	DATA_SILENCE_MS = 10500,  /* pongs but no data: WireGuard answers within its 10 s keepalive */
	CALL_GAP_MS = 200, RELAY_HEARD_MS = 20000, GONE_MS = 10000, UPGRADE_MS = 60000,
};
enum { CANDIDATES_MAX = 32, PINGS_MAX = 4096, SEEN_TX = 8, SELF_MAX = 16, OWN_MAX = 48, STUN_PENDING = 128, SERVERS_MAX = 4 };

enum { FROM_NETMAP = 1, FROM_CALL = 2, FROM_SEEN = 4 };
struct candidate {
	struct endpoint at;
	uint8_t from;             /* FROM_ bits: who named it; none left = forgotten */
	bool indexed;             /* in path.by_endpoint: proven by disco */
	uint64_t pinged_ms, ponged_ms, heard_ms, bad_until_ms; /* 0 = never */
	double latency_ms;        /* of the last pong */
};

struct shown { bool direct; struct endpoint at; int32_t region; };
struct peer {
	uint64_t id;
	struct node_key key;
	struct disco_key disco;
	struct box_key box;
	bool box_ready, listed; /* on path.active */
	struct peer *same_disco;  /* next peer with this disco key */
	struct peer *next, *prev; /* path.active */
	bool changed;             /* on path.changed */
	struct peer *changed_next;
	int32_t home, heard, gone; /* regions: by the map, last heard through, where it was not found */
	uint64_t heard_ms, gone_until_ms;
	struct candidate *cands;
	uint8_t n_cands, cands_size, seen_next;
	uint32_t seen_tx[SEEN_TX]; /* of pings received: a repeat is a replay or a copy */
	/* Session: from a send until SESSION_MS after the last. */
	uint64_t sent_ms, started_ms;
	uint64_t unanswered_ms;   /* first send since something came back on the direct way; 0 = none */
	uint64_t no_data_ms;      /* first send since WireGuard authenticated anything direct; 0 = none */
	/* Direct way. best is set after a pong; trusted until trust_ms; doubted: relay carries copies too. */
	bool has_best, doubted, data_dead;
	uint8_t failed;           /* probes of best in a row without an answer */
	struct endpoint best;
	double latency_ms;
	uint64_t trust_ms, check_ms, direct_ms, better_ms, best_pinged_ms; /* check_ms: the probe's answer is due; 0 = none */
	/* Probing of all candidates. */
	uint8_t round, answer_rounds;
	bool call_wanted;
	uint64_t round_ms, answer_ms, answer_paid_ms, called_ms;
	uint32_t probes;          /* since the session began or an answer came */
	uint64_t next_ms;         /* UINT64_MAX = nothing to do */
	struct shown shown;
};

struct ping {
	uint8_t tx[DISCO_TX];
	uint64_t peer, sent_ms, token;
	struct endpoint to;       /* of UDP pings */
	int32_t region;           /* of relay pings, else 0 */
	bool asked;               /* by path_ping: token is to be answered */
	struct ping *next, *prev;
};

struct leg { uint8_t tries, sent; bool done; uint64_t next_ms; }; /* one region, one family, one report */
struct server { char *host; struct addr v4, v6; bool has4, has6; uint16_t port; };
enum relay_state { RELAY_UNKNOWN, RELAY_UP, RELAY_DOWN };
struct region {
	int32_t id;
	bool no_measure, has_relay, https_asked;
	struct server *servers; size_t n_servers;
	double low_now_ms, low_before_ms; /* lowest of this and the last window; < 0 none */
	uint64_t window_ms, answered_ms;
	double last_ms;
	struct leg legs[2];       /* v4, v6 */
	enum relay_state relay;
	uint8_t fails;
	uint64_t down_ms, failed_ms, avoid_until_ms; /* first and last failure in a row */
};
struct stun_pending { uint8_t tx[STUN_TX]; int32_t region; uint64_t sent_ms; struct endpoint to; bool used; };
struct seen_self { struct endpoint at; uint64_t seen_ms; };

struct path {
	struct path_ops ops;
	struct random rnd;
	uint64_t now_ms, wake_ms;
	struct node_key us;
	struct disco_private disco_private;
	struct disco_key disco;
	struct path_drops drops;

	struct table by_id, by_key, by_disco, by_endpoint, by_tx;
	struct peer *active;      /* with a deadline */
	struct peer *changed;     /* way_changed is due */
	struct ping *pings, *pings_last; /* oldest first */
	size_t n_pings;
	uint64_t last_send_ms;

	struct addr *local; size_t n_local;
	uint16_t port;
	bool have4, have6;
	struct seen_self seen[SELF_MAX]; size_t n_seen;
	struct endpoint own[OWN_MAX]; uint8_t own_types[OWN_MAX]; size_t n_own;
	bool self_dirty;
	uint64_t self_told_ms, self_gap_ms;

	struct region *regions; size_t n_regions;
	struct path_region *shown_regions;
	struct stun_pending pending[STUN_PENDING]; size_t pending_next;
	bool report_running, report_full, report_done, udp, ipv4, ipv6, https_tried;
	uint64_t report_ms, report_next_ms, full_ms, stun_ok_ms, first_answer_ms;
	struct { struct addr server; struct endpoint seen; } answers4[SERVERS_MAX]; size_t n_answers4, answers;
	enum opt_bool varies;
	struct endpoint global4, global6;

	int32_t home, home_told;
	bool control_up;
	uint64_t home_pick_ms;    /* 0 = no choice is due */
};

#endif
