/* What moves packets, opened and closed as a whole: TUN, UDP socket, interface, data plane, path, relays. It
 * exists while the node is up. */
#ifndef RW_NODE_ENGINE_H
#define RW_NODE_ENGINE_H

#include "mesh/node/host/iface.h"
#include "mesh/node/host/uplinks.h"
#include "mesh/node/links/relays.h"
#include "mesh/node/links/router_link.h"
#include "mesh/node/plane/dataplane.h"
#include "mesh/node/plane/outward.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/node/way_log.h"

/* Told from the loop, when the cores are settled. From each of them everything of engine.h may be called but
 * engine_close. */
struct engine_events {
	void (*self_changed)(void *arg); /* own endpoints, home, what netcheck or the router said */
	void (*way_changed)(void *arg, uint64_t peer);
	/* A relay has lost sight of a peer that no direct way leads to. */
	void (*peer_gone)(void *arg, const struct ctl_node *peer);
	void (*ping_done)(void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region,
		double ms);
	/* To engine_echo. From it nothing of engine.h may be called. */
	void (*echo_answered)(void *arg, uint64_t token, uint64_t peer, uint16_t peer_api);
	/* The way to these goes by another gateway or interface. */
	void (*ways_moved)(void *arg, const struct addr *to, size_t n);
	void (*links_changed)(void *arg); /* the machine's other interfaces */
	/* What iface_peers_change began is done, or why it is not. */
	void (*routed)(void *arg, const struct errbuf *why);
	void (*nat64_changed)(void *arg); /* engine.nat64 */
	void (*lost)(void *arg);	  /* somebody removed the interface: close, and open anew */
	void *arg;
};
struct engine_config {
	struct loop *loop;
	const char *tun_name;
	uint16_t port;
	uint32_t mtu;
	struct journal *journal;       /* borrowed */
	const struct proxies *proxies; /* borrowed; NULL: none */
	const struct node_private *us;
	uint64_t handshake_floor_ms; /* Unix: no handshake of ours says it is older */
	struct plane_capture capture;
	unsigned data_threads; /* 2: what leaves may have a thread of its own (plane/outward.h) */
};

struct engine_lookup;
struct engine { /* others read; only engine.c writes */
	struct loop *loop;
	struct engine_events events;
	struct tun *tun;
	struct udp *udp, *spare; /* spare: NULL until path wants it */
	struct outward *outward; /* NULL: one thread does it all */
	struct iface *iface;
	struct uplinks *uplinks;
	bool six_only; /* no interface but ours has IPv4 */
	const struct proxies *proxies;
	uint64_t around;    /* hash over the machine's addresses: with others it may be in another network */
	struct nat64 nat64; /* bits 0: none found, or not wanted */
	bool nat64_doubted; /* it was found in a network before */
	struct resolve *nat64_lookup;
	struct loop_timer *nat64_again; /* nobody had an answer */
	struct plane plane;
	struct path *path; /* NULL: the engine is closed */
	struct relays *relays;
	struct way_log ways;
	struct router_link *router;
	struct node_key key;
	struct loop_timer *key_news; /* NULL: the key was never renewed */
	unsigned key_news_n;
	struct loop_timer *tick;
	struct engine_lookup *lookups; /* names of relays being resolved */
};

/* e is all zero, or was closed. An error leaves it closed. */
int engine_open(
	struct engine *e, const struct engine_config *cfg, const struct engine_events *ev, struct errbuf *eb);
/* The node key was renewed: sessions and relays begin anew, interface, sockets and ways stay. Peers and relays are to be
 * told again. An error: as it was. */
int engine_key_set(struct engine *e, const struct node_private *us, struct errbuf *eb);
void engine_close(struct engine *e); /* closed already is fine */
bool engine_is_open(const struct engine *e);
/* Lets path tell its events, and asks for a tick no later than the cores' next deadline. The end of every
 * entry from the loop that touched the cores, when nothing that an event may change is in use. */
void engine_rearm(struct engine *e);

/* engine_outward.c: the second thread, if it is wanted and the machine has a processor for it. */
int engine_outward_open(struct engine *e, const struct engine_config *cfg, struct errbuf *eb);
struct udp *engine_socket(const struct engine *e, enum path_socket which);

/* What this machine was told is told again where it is missing, and its links are looked at, as after a
 * change. */
void engine_look_again(struct engine *e);

/* What the map says; allowed: addresses of its own, and what it carries for us. A negative code with a sentence: the peer cannot be reached, or lacks some addresses. */
int engine_peer_set(
	struct engine *e, const struct ctl_node *c, const struct ctl_prefixes *allowed, struct errbuf *eb);
void engine_peer_remove(struct engine *e, uint64_t id); /* its keys are wiped; nothing of it is left */
/* Its program started anew, and has lost its sessions. */
void engine_peer_restarted(struct engine *e, uint64_t id);
void engine_relays_set(struct engine *e, const struct ctl_derp_map *m);
void engine_way_used(struct engine *e, const struct addr *to); /* ways_moved tells of it from now on */
/* The server is heard, or away. */
void engine_server_up(struct engine *e, bool up);
/* Sessions made up to then (monotonic) are made again. */
void engine_sessions_renew(struct engine *e, uint64_t until_ms);
/* dataplane_echo; events.echo_answered tells. */
bool engine_echo(
	struct engine *e, uint64_t peer, const struct addr *at, enum plane_echo kind, uint64_t token);
void engine_measure(struct engine *e); /* netcheck, and the router */
/* engine_debug.c, with these two: for somebody who looks for what is wrong. The engine may be closed: nothing happens then. */
void engine_rebind(struct engine *e);	    /* as if this machine's links had changed */
void engine_break_relays(struct engine *e); /* connections to relays begin anew */
void engine_capture_set(struct engine *e, const struct plane_capture *c);
/* What netcheck found, for the server; strings go to the arena. The engine is open. */
void engine_describe_network(const struct engine *e, struct arena *a, struct ctl_netinfo *out);
uint64_t engine_handshake_floor(const struct engine *e); /* Unix ms; 0 when closed */

#endif
