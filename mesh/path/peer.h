/* A peer and the places where it may be. */
#ifndef RW_PATH_PEER_H
#define RW_PATH_PEER_H

#include "mesh/path/path.h"

/* NAMED_MAX by the map, best first: room stays for where the peer's packets really come from. */
enum { CANDIDATES_MAX = 32, NAMED_MAX = 24, SEEN_TX = 8, SESSION_MS = 45000, PING_TIMEOUT_MS = 5000 };

enum { HOPS_NONE = UINT8_MAX }; /* place.hops: our own router sees it, and passes it to nobody */
enum { FROM_NETMAP = 1, FROM_CALL = 2, FROM_SEEN = 4 };
struct candidate {
	struct endpoint at;
	uint8_t from; /* FROM_ bits: who named it; none left = forgotten */
	bool indexed; /* in path.by_endpoint: proven by disco */
	uint64_t pinged_ms, ponged_ms, heard_ms, bad_until_ms; /* 0 = never */
	bool quietly;	   /* the last ping was one that reaches nobody: quiet.c */
	uint64_t data_ms;  /* WireGuard last authenticated the peer from here */
	double latency_ms; /* of the last pong */
};

/* What disco says of the direct way. Moved by way_feed alone. */
enum way_state {
	WAY_IMPOSSIBLE, /* never stored */
	WAY_NONE,	/* best means nothing; packets take the relay */
	WAY_UNPROVEN, /* best answered once, or plain WireGuard came from there: packets take it and the relay
		       */
	WAY_TRUSTED,  /* answered, until trust_ms; packets take it alone */
	WAY_DOUBTED,  /* trusted, but the last probe went unanswered, or the peer may have moved: both */
	WAY_STATES
};
enum way_event {
	WAY_EV_PONG,	  /* best answered; trust_ms is set */
	WAY_EV_ROAMED,	  /* best is set by plain WireGuard: the peer knows no disco */
	WAY_EV_MISSED,	  /* a probe went unanswered, or the peer may have moved */
	WAY_EV_EXPIRED,	  /* trust_ms has passed, or too many probes went unanswered */
	WAY_EV_FORGOTTEN, /* best is worth nothing: other links, other key, the send failed */
	WAY_EVENTS
};

/* What data says of the direct way: probes may pass where WireGuard does not. Moved by way_data_feed alone; a
 * word about a way that is trusted at the time. */
enum data_state {
	DATA_IMPOSSIBLE, /* never stored */
	DATA_PASSES,	 /* nothing speaks against it */
	DATA_SILENT,	 /* none came back for long, which proves nothing: packets take the relay too */
	DATA_SHUT,	 /* refuted: packets take the relay alone, questions go on */
	DATA_STATES
};
enum data_event {
	DATA_EV_BEGINS,	 /* another best, or none */
	DATA_EV_SILENCE, /* we send and nothing comes back */
	DATA_EV_HEARD,	 /* WireGuard authenticated the peer from best */
	DATA_EV_PROVEN,	 /* a question inside the tunnel was answered */
	DATA_EV_REFUTED, /* it was answered by the relay, and not here */
	DATA_EVENTS
};

/* Questions inside the tunnel. liveness.c */
struct liveness {
	uint64_t sent_ms, proven_ms, asked_ms; /* data by the direct way; an answer; the last question */
	uint64_t token, relay_token;
	uint8_t asked; /* questions of this series; 0 = none is out */
	bool relay_answered;
};

struct shown {
	bool direct;
	struct endpoint at;
	int32_t region;
};
/* Of a search between boxes that are neighbours. spare.c */
struct hold {
	uint64_t said_ms;	/* the peer was first told where the spare socket is; 0 = it was not */
	struct endpoint at;	/* the peer's place that ours has a flow to */
	bool open;		/* our router knows that flow */
	uint8_t times;		/* it was held; 0 = there is none */
	uint64_t until_ms;	/* it is held so long; 0 = it is not */
	uint64_t next_ms;	/* the ping that keeps it is due */
	uint64_t saying_ms;	/* calls name our end of it so long; 0 = they do not */
	struct endpoint answer; /* such an end of the peer's, to be pinged; not set: none */
	uint64_t answer_ms;	/* then, unless a way is found before */
};

struct peer {
	uint64_t id;
	struct node_key key;
	struct disco_key disco;
	struct box_key box;
	bool box_ready, listed;	  /* on path.active */
	struct peer *next, *prev; /* path.active */
	uint8_t news;		  /* NEWS_ bits of events.c: on path.news when not 0 */
	struct peer *news_next;
	int32_t home, heard, gone; /* regions: by the map, last heard through, where it was not found */
	uint64_t heard_ms, gone_until_ms;
	struct candidate *cands;
	uint8_t n_cands, cands_size, seen_next;
	uint64_t ping_paid_ms;	   /* answers to its pings are spent up to here */
	uint32_t seen_tx[SEEN_TX]; /* of pings received: a repeat is a replay or a copy */
	/* Session: from a send until SESSION_MS after the last. */
	uint64_t sent_ms, started_ms;
	uint64_t unanswered_ms; /* first send since something came back on the direct way; 0 = none */
	uint64_t no_data_ms;	/* first send since WireGuard authenticated anything direct; 0 = none */
	uint64_t best_data_ms;	/* data came by best, or best was chosen */
	uint64_t moved_ms;	/* data that had come by best came by another; 0 = never */
	bool best_heard;	/* it comes by best: since that was chosen, and by no other */
	/* Direct way. */
	enum way_state way_state;
	enum data_state data_state;
	struct liveness live;
	uint8_t failed;		       /* probes of best in a row without an answer */
	struct endpoint best, seen_as; /* seen_as: ours, as the other end of best sees it */
	double latency_ms;
	uint64_t sure_ms; /* trust without doubt began */
	uint64_t trust_ms, direct_ms, better_ms, best_pinged_ms;
	uint64_t check_ms;   /* the probe's answer is due; 0 = none */
	uint64_t doubted_ms; /* the peer may have moved then: older pings prove nothing; 0 = never */
	/* The socket that its probes and packets leave by. spare.c */
	enum path_socket socket;
	uint8_t spare_turns;  /* in this search */
	uint64_t searched_ms; /* since then on the main one */
	uint64_t turn_ms;     /* a change of socket is due; 0 = none */
	struct hold hold;
	/* Between them pings open our router and no more. quiet.c */
	uint64_t quiet_from_ms, quiet_ms;
	/* What it carries. size.c */
	uint16_t most; /* bytes of UDP payload; 0 = all */
	uint8_t size_step, size_tries;
	uint64_t size_ms; /* the next padded ping, or the end of the wait for its pong */
	/* Probing of all candidates. */
	uint8_t round, answer_rounds;
	bool call_wanted;
	bool call_owed; /* our links moved, and it may send to where we were: called though the way is sure */
	uint64_t round_ms, answer_ms, answer_paid_ms, called_ms;
	uint32_t called_own; /* path.own_version that the last call named */
	uint32_t probes;     /* since the session began or an answer came */
	uint64_t next_ms;    /* UINT64_MAX = nothing to do */
	struct path_way way; /* published */
	struct shown shown;
};

/* Where a disco message came from, or goes: through the relay of region when that is not 0, else by UDP. */
struct place {
	int32_t region;
	struct endpoint at;
	enum path_socket socket; /* ours */
	uint8_t hops; /* by UDP, of pings: routers it may pass, or HOPS_NONE; 0 = as many as there are */
};

struct ping {
	uint8_t tx[DISCO_TX];
	uint64_t peer, sent_ms, token;
	struct endpoint to; /* of UDP pings */
	int32_t region;	    /* of relay pings, else 0 */
	enum path_socket from;
	uint16_t size;	   /* padded to this; 0 = not */
	uint8_t hops;	   /* as in struct place */
	bool by_person;	   /* by path_ping */
	bool asked;	   /* the same, and token is still to be answered */
	double latency_ms; /* when it was */
	struct ping *next, *prev;
};

bool peer_box(struct path *p, struct peer *e); /* e->box is usable */
bool peer_active(const struct path *p, const struct peer *e);
void peer_wake(struct path *p, struct peer *e, uint64_t at_ms); /* session_step no later than this */
void peer_unlist(struct path *p, struct peer *e);		/* nothing more to do for it */

#endif
