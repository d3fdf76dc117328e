/* One DERP client connection: TLS, upgrade, handshake, frames both ways. tailscale-protocol.md 2.1, 2.2, 2.4.
 */
#ifndef RW_NODE_LINKS_RELAY_LINK_H
#define RW_NODE_LINKS_RELAY_LINK_H

#include "mesh/base/nat64.h"
#include "mesh/base/pkt.h"
#include "mesh/proto/control.h"
#include "mesh/transport/http.h"

struct relay_link;
struct relay_link_events {
	void (*ready)(void *arg);
	void (*received)(void *arg, const struct node_key *from, const uint8_t *p, size_t len);
	void (*flush)(void *arg); /* no more at this turn: what `received` gathered may go on */
	void (*peer_gone)(void *arg, const struct node_key *who);
	void (*aged)(void *arg, uint64_t n); /* packets waited too long and are lost; not to close the link */
	void (*closed)(void *arg, int code, const char *why); /* once; then relay_link_close */
	void *arg;
};
/* What the map says of a relay, in the order of trying: a literal may be of a family that the machine lacks,
 * and then a DNS64 knows better than the map. What an entry does not have is the next. */
enum relay_by { RELAY_BY_V4, RELAY_BY_V6, RELAY_BY_NAME, RELAY_BYS };
struct relay_link_config {
	const struct ctl_derp_node *node;
	enum relay_by by;
	int idle_s; /* seconds without a word after which TCP asks whether the relay is there */
	const struct nat64 *nat64;     /* for the relay's IPv4; bits 0: as it is */
	const struct proxies *proxies; /* borrowed; NULL: none */
	const struct node_private *us;
	const struct node_key *us_pub;
	const struct random *rnd;
};
/* NULL: the node's entry cannot be used, or memory is short. */
struct relay_link *relay_link_open(
	struct loop *l, const struct relay_link_config *cfg, const struct relay_link_events *ev);
void relay_link_close(struct relay_link *l); /* NULL is fine; no event after */
/* false: queue full, or not ready and the waiting room is full. */
bool relay_link_send(struct relay_link *l, const struct node_key *to, const uint8_t *p, size_t len);
size_t relay_link_send_batch(
	struct relay_link *l, const struct node_key *to, struct pkt *const *pkts, size_t n);
/* Our own address of the connection; false while there is none. */
bool relay_link_local(const struct relay_link *l, struct addr *out);
bool relay_link_peer(const struct relay_link *l, struct addr *out); /* the relay's */
void relay_link_note_preferred(struct relay_link *l, bool home);

/* Where a relay of the map is reached and how its certificate is checked; t->to.tls is the caller's to free.
 */
struct relay_target {
	struct stream_target to;
	struct endpoint at,
		then; /* its literals; the other family's is tried where the first does not answer soon */
};
int relay_target_of(const struct ctl_derp_node *node, enum relay_by by, const struct nat64 *nat64,
	struct relay_target *t);

#endif
