/* DERP relay and STUN server. tailscale-protocol.md 2.1-2.3, 4.2.
 *
 * A relay has a door of its own (`listen`: TLS, certificate, the few pages a probe asks for), or it is
 * embedded: another program's HTTP server hands it the requests that are the relay's, by relay_request and
 * relay_upgrade. In both, a connection is a visit until its key is proven, and a client from then on. */
#ifndef RW_RELAY_RELAY_H
#define RW_RELAY_RELAY_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/os/loop.h"

enum { RELAY_STUN_MAX = 8 };

struct http_server_conn;
struct http_head;

enum relay_verdict { RELAY_NO, RELAY_YES, RELAY_LATER };

struct relay_options {
	bool embedded;			      /* no door: `listen`, certificate and hostname mean nothing */
	struct endpoint listen;		      /* TLS; port 0: the kernel chooses */
	struct endpoint stun[RELAY_STUN_MAX]; /* port 0: the kernel chooses */
	size_t n_stun;			      /* 0 = no STUN */
	const char *hostname;  /* in the certificate made on first start; NULL = the address listened on */
	const char *state_dir; /* relay.key, and the certificate unless given; made 0700 */
	const char *derp_key_file; /* the relay's own key, in the place of relay.key; NULL = that. Made when
				      missing */
	const char *cert_file, *key_file; /* both or neither */
	bool no_fast_start; /* no metacert: old clients take it for a second certificate and refuse the pin */
	/* May the node with this key be here? Asked once a connection, when it has proven the key; from:
	 * where it comes from. RELAY_LATER: relay_admit says it, within the time of a handshake. NULL:
	 * everybody may. */
	enum relay_verdict (*admits)(void *arg, const struct node_key *who, const struct endpoint *from);
	void *admits_arg;
	const struct random *rnd; /* NULL = random_system */
	size_t places_max;	  /* connections in all; 0 = what the descriptors allow */
	size_t per_address;	  /* of one address (IPv6: one /64); 0 = a quarter of all, at most 1024 */
	size_t visits_max;	  /* connections that are no clients yet; 0 = 2048 */
	uint64_t visit_ms;	  /* what each of them has at least when there are more; 0 = 1.5 s */
	/* From the connection to the proven key; up to three times that over a line that TCP finds slow. 0 = 5
	 * s. */
	uint64_t handshake_ms;
	/* A client's network may take nothing for so long; up to six times that over a slow line. 0 = 2 s. */
	uint64_t write_ms;
};

struct relay;
/* NULL with a sentence: port in use, no permission, bad certificate, state folder not writable. The strings
 * of the options must outlive the relay. */
struct relay *relay_open(struct loop *l, const struct relay_options *o, struct errbuf *eb);
void relay_close(struct relay *r); /* NULL is fine */
/* Reads certificate and key again, for connections from now on. On failure the old ones stay. */
int relay_reload(struct relay *r, struct errbuf *eb);
/* For an embedded relay: a request. true: it was the relay's, and is answered; the connection stays the owner's. */
bool relay_request(struct relay *r, struct http_server_conn *c, const struct http_head *head);
/* An upgrade. true: it was the relay's, and c is taken over, or ended since there is no room. Either way it is the owner's no
 * more, who unsets http_conn_data before the call: `gone` may be called in it. */
bool relay_upgrade(struct relay *r, struct http_server_conn *c, const struct http_head *head);
/* The word about all that wait with this key; there may be none left. Not from inside admits. */
void relay_admit(struct relay *r, const struct node_key *who, bool allow);
/* Who has this key may not be here any more: its connections end, those too that wait for a word. Not from inside admits. */
void relay_dismiss(struct relay *r, const struct node_key *who);
/* For the metacert of the owner's TLS (tls_server_metacert). */
const uint8_t *relay_public(const struct relay *r);
struct endpoint relay_listen_at(const struct relay *r);
/* Of the i-th STUN address; unset when there are fewer. */
struct endpoint relay_stun_at(const struct relay *r, size_t i);
const char *relay_pin(const struct relay *r); /* "sha256-raw:<hex>"; "" when embedded */

#define RELAY_STATS(X) \
	X(accepted) \
	X(accept_paused) \
	X(clients) \
	X(packets) \
	X(bytes) \
	X(drop_no_peer) \
	X(drop_queue_full) \
	X(drop_queue_old) \
	X(drop_stalled) \
	X(drop_ping) \
	X(drop_mesh) \
	X(drop_malformed) \
	X(drop_no_request) \
	X(drop_crowded) \
	X(drop_handshake) X(drop_refused) X(drop_duplicate) X(stun_requests) X(stun_malformed) X(stun_limited)
struct relay_stats {
#define X(name) uint64_t name;
	RELAY_STATS(X)
#undef X
};
const struct relay_stats *relay_stats(const struct relay *r);

#endif
