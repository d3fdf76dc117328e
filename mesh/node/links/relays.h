/* Connections to relays, one a region: the home stays open, others open on demand and close when idle.
 * tailscale-protocol.md 2.1, 2.2, 2.4. */
#ifndef RW_NODE_LINKS_RELAYS_H
#define RW_NODE_LINKS_RELAYS_H

#include "mesh/base/nat64.h"
#include "mesh/base/pkt.h"
#include "mesh/os/loop.h"
#include "mesh/proto/control.h"

struct proxies;
struct relays;
struct relays_events {
	void (*received)(
		void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len);
	void (*flush)(void *arg);			/* end of what one turn brought */
	void (*up)(void *arg, int32_t region, bool up); /* up: data may flow; down: also a failed attempt */
	void (*peer_gone)(void *arg, int32_t region, const struct node_key *who);
	void (*latency)(void *arg, int32_t region, double ms); /* answer of relays_measure; < 0 failed */
	void *arg;
};
struct relays *relays_open(struct loop *l, const struct node_private *us, const struct relays_events *ev,
	const struct random *rnd);
void relays_close(struct relays *r);
/* Copied. Connections to regions that changed or went are closed. */
void relays_map_set(struct relays *r, const struct ctl_derp_map *m);
void relays_home_set(struct relays *r, int32_t region); /* 0 = none */
void relays_send(struct relays *r, int32_t region, const struct node_key *to, const uint8_t *p, size_t len);
void relays_send_batch(
	struct relays *r, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n);
/* TLS + first byte time of GET /derp/latency-check. */
void relays_measure(struct relays *r, int32_t region);
/* Where the region's relay is connected; false while it is not. */
bool relays_peer(const struct relays *r, int32_t region, struct addr *out);
/* The way to these moved: what is connected there begins anew. */
void relays_ways_moved(struct relays *r, const struct addr *to, size_t n);
/* The machine's links changed, its addresses are these now: connections from an address that went are given
 * up and made anew at once. */
void relays_links_changed(struct relays *r, const struct addr *local, size_t n);
/* A sentence when none is up and several tries failed; else "". Lives until the next try. */
const char *relays_trouble(const struct relays *r);
void relays_nat64_set(struct relays *r, const struct nat64 *n);
/* By which proxies relays are reached from the next connection on; borrowed. NULL, which is so at first: by none. */
void relays_proxies_set(struct relays *r, const struct proxies *p);
bool relays_is_up(const struct relays *r, int32_t region);
const char *relays_region_code(const struct relays *r, int32_t region); /* "" when unknown */
const char *relays_region_name(const struct relays *r, int32_t region);
uint64_t relays_dropped(const struct relays *r);     /* packets lost to full queues */
uint64_t relays_dropped_old(const struct relays *r); /* and those that waited for too long */

#endif
