/* The way of a packet between the machine, the UDP socket and the relays. dataplane.c tells it in order. */
#ifndef RW_NODE_PLANE_DATAPLANE_H
#define RW_NODE_PLANE_DATAPLANE_H

#include "mesh/base/err.h"
#include "mesh/node/plane/plane.h"

struct plane_config {
	const struct node_private *us; /* copied, as all of this */
	const struct random *rnd;
	const struct plane_io *io;
	struct path *path;	     /* borrowed: outlives the plane */
	uint64_t handshake_clock_ms; /* Unix: wg_clock_set */
	struct plane_capture capture;
};
/* -ENOMEM: d is closed again. */
int dataplane_open(struct plane *d, const struct plane_config *cfg, struct errbuf *eb);
/* Our node key was renewed: no peer is known to WireGuard any more, to be told anew by who applies the map; map, rules and
 * flows stay. -ENOMEM: as it was. */
int dataplane_key_set(struct plane *d, const struct node_private *us, const struct random *rnd,
	uint64_t handshake_clock_ms, struct errbuf *eb);
void dataplane_close(struct plane *d); /* wipes keys; one that was never opened, all zero, is fine */

/* The next snapshot, one half each; the other stays, what was before is dropped. Peers themselves are told to
 * d->wg and d->path by who applies the map. */
void dataplane_map_set(struct plane *d, struct netmap *map); /* takes a reference of its own; NULL: none */
void dataplane_rules_set(struct plane *d, struct filter *f); /* takes it over; NULL: nothing is let in */
/* The rules let nothing in because this machine is set so, and not the network. */
void dataplane_shields_set(struct plane *d, bool up);
/* Whether the server is heard: while it is not, peers are told our disco key inside the tunnel. */
void dataplane_server_up(struct plane *d, bool up);
/* Where this machine's PeerAPI listens, by family; 0: nowhere. */
void dataplane_peer_api_set(struct plane *d, uint16_t port4, uint16_t port6);

/* Who sees the packets from now on. What another thread sends by itself comes back for as long. */
void dataplane_capture_set(struct plane *d, const struct plane_capture *c);

/* Asks a peer for an answer inside the tunnel, at that address of its; a handshake first where there is no session.
 * io.echo_answered tells. false: neither it nor this machine has an address of that family, or it is not in the map. */
enum plane_echo { PLANE_ECHO_TSMP, PLANE_ECHO_ICMP };
bool dataplane_echo(
	struct plane *d, uint64_t peer, const struct addr *at, enum plane_echo kind, uint64_t token);

/* What came in. pkts are the plane's until it returns. */
void dataplane_tun_received(struct plane *d, struct pkt *pkts, size_t n);
void dataplane_udp_received(
	struct plane *d, enum path_socket at, struct pkt *pkts, const struct endpoint *from, size_t n);
void dataplane_relay_received(
	struct plane *d, int32_t region, const struct node_key *from, const uint8_t *p, size_t len);
/* A relay says that this one is not there. */
void dataplane_relay_peer_gone(struct plane *d, int32_t region, const struct node_key *who);
void dataplane_relay_flush(struct plane *d); /* the end of what a relay brought at one turn */

#endif
