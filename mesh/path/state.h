/* What the files of this room share. One struct path; each part has one file that changes it:
 * peers.c the set and its indexes, candidates.c where a peer may be, probe.c disco messages, session.c trust
 * and timing per peer, self.c own endpoints, netcheck.c STUN, home.c the relays. */
#ifndef RW_PATH_STATE_H
#define RW_PATH_STATE_H

#include "mesh/base/table.h"
#include "mesh/path/peer.h"
#include "mesh/proto/stun.h"

enum {
	SELF_MAX = 6,
	OWN_MAX = 48,
	STUN_PENDING = 128,
	SERVERS_MAX = 4,
	ENDPOINTS_FRESH_MS = 27000,
	FAILED_MAX = 16
};

struct leg { /* one region, one family, one report */
	uint8_t tries, sent;
	bool done;
	uint64_t next_ms;
};
struct server {
	char *host;
	struct addr v4, v6;
	bool has4, has6, name_wanted;
	uint16_t port;
};
enum relay_state { RELAY_UNKNOWN, RELAY_UP, RELAY_DOWN };
struct region {
	int32_t id;
	bool no_measure, has_relay, https_asked, https_wanted;
	struct server *servers;
	size_t n_servers;
	double low_now_ms, low_before_ms; /* lowest of this and the last window; < 0 none */
	uint64_t window_ms, answered_ms;
	double last_ms;
	struct leg legs[2]; /* v4, v6 */
	enum relay_state relay;
	uint8_t fails;
	uint64_t down_ms, failed_ms, avoid_until_ms; /* first and last failure in a row */
};
struct stun_pending {
	uint8_t tx[STUN_TX];
	int32_t region;
	uint64_t sent_ms;
	struct endpoint to;
	enum path_socket from;
	bool used;
};
struct seen_self {
	struct endpoint at;
	uint64_t seen_ms;
};

struct path {
	struct path_ops ops;
	struct random rnd;
	uint64_t now_ms, wake_ms;
	struct node_key us;
	struct disco_private disco_private;
	struct disco_key disco;
	struct path_drops drops;
	uint64_t ways;		   /* changes of what is published */
	uint64_t impossible_moves; /* way.c; 0, or a rule is broken */

	struct table by_id, by_key, by_disco; /* struct card */
	struct table by_endpoint, by_tx;      /* struct peer, struct ping */
	struct peer *active;		      /* with a deadline */
	struct peer *news;		      /* events are due: events.c */
	struct ping *answered;		      /* for ping_done */
	bool regions_wanted;		      /* a region or server has a bit of events.c */
	bool flushing;
	struct endpoint failed[FAILED_MAX]; /* sends that failed since the last flush */
	size_t n_failed;
	struct ping *pings, *pings_last; /* oldest first */
	size_t n_pings;
	uint64_t last_send_ms;

	struct addr *local;
	size_t n_local;
	uint16_t port;
	bool have4, have6, nat64;
	struct endpoint mapped, mapped6; /* at the router; port 0: none */
	struct seen_self seen[SELF_MAX];
	size_t n_seen;
	struct endpoint own[OWN_MAX];
	uint8_t own_types[OWN_MAX];
	size_t n_own;
	uint32_t own_version;	   /* counts changes of own */
	bool own_fresh, own_moved; /* asked anew, and changed: session_settle tells the peers */
	bool self_dirty;
	uint64_t self_told_ms, self_gap_ms;

	uint16_t spare_port; /* 0 = there is no spare socket */
	bool spare_wanted, spare_failed;
	struct endpoint spare_at; /* as STUN servers see it */
	uint64_t spare_seen_ms, spare_asked_ms;

	struct region *regions;
	size_t n_regions;
	struct path_region *shown_regions;
	struct stun_pending pending[STUN_PENDING];
	size_t pending_next;
	bool report_running, report_full, report_done, udp, ipv4, ipv6, https_tried;
	uint64_t report_ended_ms; /* 0 = never */
	uint64_t report_ms, report_next_ms, full_ms, stun_ok_ms, first_answer_ms;
	struct {
		struct addr server;
		struct endpoint seen;
	} answers4[SERVERS_MAX];
	size_t n_answers4, answers;
	enum opt_bool varies;
	struct endpoint global4, global6;

	int32_t home, home_told;
	bool home_moved; /* or a relay went or came: session_settle tells the peers */
	bool control_up;
	uint64_t home_pick_ms; /* 0 = no choice is due */
};

void state_advance(struct path *p, uint64_t now_ms); /* a clock that steps back is ignored */
void state_wake(struct path *p, uint64_t at_ms);     /* tick no later than this */
uint32_t state_random(struct path *p, uint32_t bound);

#endif
