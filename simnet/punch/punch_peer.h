/* One peer of `simnet punch`, a core: how two programs behind NATs find a direct path (RFC 5128 section 3.3).
 *
 * The peer registers with the rendezvous server once a beat, which also tells it how its packets are seen. Who
 * wants to reach a name calls it; the server then invites both: each learns where the other is seen, and its
 * own addresses. From then on both probe every such place and, through the server, the relay. A probe is
 * answered to where it came from, and that source is a place from then on (a NAT may have chosen another port
 * towards us). What answers a probe is a path in both directions.
 *
 *   NONE --answer through the server--> RELAY --answer to a place--> DIRECT
 *   DIRECT --no answer for three beats--> RELAY or NONE, and the search begins anew
 *
 * Who speaks first matters (and is the trap of plain punchers): where a NAT lets in anybody but maps by
 * destination, an answer must leave by the mapping that the question came in on, and it does only if nothing
 * was sent to that destination before. So the server also speaks from its other port (PUNCH_OPEN); whoever
 * hears that waits for the other to begin, for a while.
 *
 * The search is fast (PUNCH_FAST_US, and slower and slower) for try_us; then the path is settled, and places are tried once a beat.
 * The same holds over TCP: there the driver opens a connection to where the core sends, and a message that
 * cannot be sent is lost. Bounded: PUNCH_REMOTES_MAX names, PUNCH_PLACES_MAX places each. */
#ifndef SIMNET_PUNCH_PEER_H
#define SIMNET_PUNCH_PEER_H

#include "simnet/punch/punch_wire.h"

enum punch_path { PUNCH_NONE, PUNCH_RELAY, PUNCH_DIRECT };
enum {
	PUNCH_REMOTES_MAX = 32,
	PUNCH_SENT_MAX = 256,
	PUNCH_FAST_US = 40 * 1000,
	PUNCH_CALL_US = 120 * 1000,
	PUNCH_WAIT_US = 250 * 1000,
	PUNCH_SETTLE_US = 20 * 1000
};

struct punch_remote {
	char name[PUNCH_NAME_MAX + 1];
	bool calling; /* we want to reach it; else it called us */
	bool settled; /* direct, or searched for long enough */
	enum punch_path path;
	struct endpoint places[PUNCH_PLACES_MAX];
	size_t n_places;
	size_t n_kept;			  /* first of them: from the server; the rest are sources of probes */
	struct endpoint direct;		  /* where the newest direct answer's probe went; port 0 = none */
	struct endpoint seen_as;	  /* how the remote sees us directly */
	uint16_t echo_port;		  /* where it wants to be found on our loopback; 0 = not */
	uint64_t rtt_us, direct_after_us; /* of the newest answer on the path; from the search's start */
	/* private: */
	bool near; /* it was heard directly, at least once in this search */
	uint64_t search_us, direct_us, relay_us, heard_us, call_next_us, probe_next_us; /* 0 = never */
	struct {
		uint64_t nonce, at_us;
		struct endpoint to;
	} sent[PUNCH_SENT_MAX];
	size_t n_sent;
};
struct punch_peer_ops { /* no call into the peer is allowed from them, but punch_peer_echo from echoed */
	void (*send)(void *owner, const struct endpoint *to, const uint8_t *p, size_t len);
	void (*mapped)(void *owner, const struct endpoint *seen);	 /* first, and when it is another */
	void (*changed)(void *owner, const struct punch_remote *remote); /* path, direct or settled */
	void (*invited)(void *owner, const struct punch_remote *remote); /* may be NULL; echo_port is known */
	void (*echoed)(void *owner, const struct punch_remote *remote, const uint8_t *p, size_t len);
};
struct punch_peer_drops { /* messages that led to nothing, by reason */
	uint64_t malformed, not_for_us, stranger, unexpected, unknown_answer, full;
};
struct punch_peer_conf {
	char name[PUNCH_NAME_MAX + 1];
	struct endpoint server;
	struct endpoint own[PUNCH_PLACES_MAX]; /* interface addresses with our port */
	size_t n_own;
	uint16_t echo_port;
	uint64_t try_us, beat_us;
	uint64_t nonce; /* random: first nonce */
};
struct punch_peer {
	struct punch_peer_conf conf;
	const struct punch_peer_ops *ops;
	void *owner;
	struct endpoint seen;			  /* port 0 = the server has not answered */
	bool open;				  /* the server's other port was heard */
	uint64_t registered_us, register_next_us; /* registered: when the newest one was sent */
	uint64_t server_rtt_us,
		speak_us; /* of the first answer; before speak_us nobody but the server is spoken to */
	struct punch_remote remotes[PUNCH_REMOTES_MAX];
	size_t n_remotes;
	struct punch_peer_drops drops;
};

/* conf is copied. */
void punch_peer_init(struct punch_peer *p, const struct punch_peer_conf *conf,
	const struct punch_peer_ops *ops, void *owner);
bool punch_peer_call(struct punch_peer *p, const char *name); /* false: no place for one more */
void punch_peer_received(
	struct punch_peer *p, uint64_t now_us, const struct endpoint *from, const uint8_t *msg, size_t len);
void punch_peer_tick(struct punch_peer *p, uint64_t now_us);
uint64_t punch_peer_deadline(const struct punch_peer *p); /* when tick is next due */
/* A datagram for the echo of a remote, by its path: `echoed` when it is back. Lost without a path, or when
 * longer than PUNCH_BODY_MAX. */
void punch_peer_echo(struct punch_peer *p, const struct punch_remote *remote, const uint8_t *msg, size_t len);
const char *punch_path_name(enum punch_path path);

#endif
