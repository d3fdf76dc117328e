/* How to reach each peer: own endpoints (STUN), disco probing, best way per peer, home relay, netcheck. Pure:
 * datagrams, facts and `now` come in; sends and events go out through ops. tailscale-protocol.md 2.6, 3, 4.1.
 * Knows nothing of WireGuard: a peer is an opaque id.
 *
 * Three kinds of calls. A fact (path_used, path_udp_received, path_tick ...) may send and may note events. A
 * question changes nothing and calls nobody. path_flush tells the events. So the driver may hold bytes,
 * batches and iterators of its own across facts and questions, and lets go of them before it flushes.
 *
 * A peer that nobody sends to costs nothing: no timer, no probe. path_used begins its session, which lasts 45
 * s beyond the last use (session.c): candidates (candidates.c) are pinged, the quickest answer becomes the
 * direct way (chosen in session.c, published by way.c), which is pinged on (session.c) and asked for proof inside the tunnel (liveness.c); all
 * the time the relay (home.c, region.c) carries what the direct way cannot. Own endpoints (self.c) come from
 * STUN (netcheck.c) to the servers of the relay map (map.c). */
#ifndef RW_PATH_PATH_H
#define RW_PATH_PATH_H

#include "mesh/proto/control.h"
#include "mesh/proto/disco.h"

struct path;
enum { PATH_REGION_NONE = 0 };
/* The UDP sockets: the one whose port peers are told, and one on a port of its own (spare_wanted). */
enum path_socket { PATH_MAIN, PATH_SPARE };
struct path_way {
	bool udp, relay;
	enum path_socket from;
	uint16_t most; /* datagrams larger than this take the relay of region; 0 = all go as they are */
	struct endpoint at;
	int32_t region;
};
/* Calls to the driver are of two kinds.
 * Sends leave in the midst of a fact. From them only path_send_failed and the questions may be called.
 * Events are told by path_flush, when every fact is settled: from them everything may be called but
 * path_free. */
struct path_ops {
	/* --- sends --- */
	void (*send_udp)(
		void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len);
	/* As send_udp, but the datagram passes `hops` routers at most: it opens our own for the peer, and dies
	 * before it meets the peer's. 0: our own knows the flow for longer, and none is opened. NULL: not known. */
	void (*send_near)(void *arg, enum path_socket from, const struct endpoint *to, uint8_t hops,
		const uint8_t *p, size_t len);
	/* Through region's relay to the node with this key; the driver connects when it is not. */
	void (*send_relay)(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t n);

	/* --- events --- */
	/* Own endpoints (best first) or netinfo changed: tell the control server. */
	void (*self_changed)(void *arg);
	/* Home relay changed: connect to it, note it as preferred. */
	void (*home_changed)(void *arg, int32_t region);
	/* The peer's best way changed (direct <-> relay): for status, logs and wg_path_changed. */
	void (*way_changed)(void *arg, uint64_t peer);
	/* Answer of path_ping: latency in ms; region != 0 when by relay. */
	void (*ping_done)(void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region,
		double ms);
	/* HTTPS latency of a region is wanted (UDP blocked): the driver answers with path_https_latency.
	 * NULL: not known. */
	void (*https_probe)(void *arg, int32_t region);
	/* A relay of the map has a name but no address: the driver answers with path_resolved. The name lives
	 * until the op returns. NULL: no DNS. */
	void (*resolve)(void *arg, const char *host);
	/* Send the peer, inside the tunnel and by this way alone, what it answers at once; its answer is
	 * path_data_answered. NULL: not known. */
	void (*probe_data)(void *arg, uint64_t peer, uint64_t token, const struct path_way *way);
	/* The main port is spoilt for a peer: open another socket, and answer with path_spare_opened. Once,
	 * and again after the links changed when it failed. NULL: there is only one. */
	void (*spare_wanted)(void *arg);
	void *arg;
};

/* Makes the disco key; NULL when memory is short. */
struct path *path_new(const struct node_key *us, const struct path_ops *ops, const struct random *rnd);
void path_free(struct path *p);
/* Our node key was renewed. The disco key, and with it what peers know of ways to us, stays. */
void path_key_set(struct path *p, const struct node_key *us);
const struct disco_key *path_disco_key(const struct path *p);

enum { PATH_PING_MAX = 1472 }; /* what one packet of Ethernet carries over IPv4 */

/* --- facts: time and memory are the caller's, all is copied --- */
/* Regions by id, as a map is read. */
void path_derp_map_set(struct path *p, uint64_t now_ms, const struct ctl_derp_map *m);
struct path_peer {
	uint64_t id;
	struct node_key key;
	struct disco_key disco;
	const struct endpoint *endpoints;
	size_t n_endpoints;
	int32_t home;
};
bool path_peer_set(struct path *p, uint64_t now_ms, const struct path_peer *peer); /* false: memory short */
void path_peer_remove(struct path *p, uint64_t id);
/* Addresses of local interfaces (mesh ones left out by the caller), and the port our UDP socket is bound to.
 * Any change means: the link moved; re-STUN, drop trust, ping again. */
void path_links_changed(struct path *p, uint64_t now_ms, const struct addr *local, size_t n, uint16_t port);
/* The machine's way to somewhere we talk to goes by another gateway or interface: as if the link had moved.
 */
void path_routes_changed(struct path *p, uint64_t now_ms);
/* IPv4 is reached though no interface has it (NAT64): the driver translates. */
void path_nat64_set(struct path *p, uint64_t now_ms, bool there);
/* STUN or disco datagram from UDP: true when it was one (consumed). */
bool path_udp_received(struct path *p, uint64_t now_ms, enum path_socket at, const struct endpoint *from,
	const uint8_t *b, size_t n);
/* A port of the router that leads to the main socket, and a place that its IPv6 firewall lets strangers in to; unset:
 * none. Told first among own endpoints. To be called also when only what is known of the router changed: it is part of
 * netinfo. */
void path_mapped_set(
	struct path *p, uint64_t now_ms, const struct endpoint *four, const struct endpoint *six);
void path_spare_opened(struct path *p, uint64_t now_ms, uint16_t port); /* 0: it cannot be had */
/* Any packet that came through a relay: learns the route; true when it was disco (consumed). */
bool path_relay_received(struct path *p, uint64_t now_ms, int32_t region, const struct node_key *from,
	const uint8_t *b, size_t len);
/* false also for each failed attempt. */
void path_relay_up(struct path *p, uint64_t now_ms, int32_t region, bool up);
void path_relay_peer_gone(struct path *p, uint64_t now_ms, int32_t region, const struct node_key *who);
/* A WireGuard message authenticated this peer from here (roaming, liveness). from NULL: by relay. */
void path_authenticated(struct path *p, uint64_t now_ms, uint64_t peer, const struct endpoint *from);
void path_data_answered(struct path *p, uint64_t now_ms, uint64_t peer, uint64_t token);
/* Noted; path_flush acts on it. */
void path_send_failed(struct path *p, const struct endpoint *to);
void path_https_latency(struct path *p, uint64_t now_ms, int32_t region, double latency_ms); /* < 0: failed */
void path_resolved(struct path *p, uint64_t now_ms, const char *host, const struct addr *addrs, size_t n);
/* The home relay stays while control is away, unless it died. */
void path_control_up(struct path *p, uint64_t now_ms, bool up);

/* Packets for this peer come now: it is in use, which begins and keeps up the search for a direct way. Once a
 * batch; may move the deadline. */
void path_used(struct path *p, uint64_t now_ms, uint64_t peer);
/* Disco-pings the peer by the way in use, or by all when none is proven; ping_done is told once, with the
 * first answer (token given back). A ping is use. size: of the UDP payload, at most PATH_PING_MAX; shorter
 * ones than the message are as if 0 were given. One of a size is a question about that size alone: without an
 * answer nothing is thought of the way. */
void path_ping(struct path *p, uint64_t now_ms, uint64_t peer, uint64_t token, uint16_t size);
void path_recheck(struct path *p, uint64_t now_ms); /* full netcheck now */

/* Tells the events that are due. The last thing of each entry of the driver, where nothing of its own that an
 * event may change is in use. A flush inside a flush does nothing. */
void path_flush(struct path *p, uint64_t now_ms);
uint64_t path_deadline(const struct path *p); /* ms; UINT64_MAX = none; asked after path_flush */
void path_tick(struct path *p, uint64_t now_ms);

/* --- questions: they change nothing and call nobody --- */

/* Where to send a packet for peer now; both ways when the direct one is not trusted, none when none is known.
 * As the last fact about the peer left it: path_used first for packets of the peer's own use. */
struct path_way path_way(const struct path *p, uint64_t peer);
uint64_t path_ways(const struct path *p); /* how often what path_way says of any peer became another */
/* The way in use, without side effects, and why it is so ("direct", "relay: no answer to 14 probes", ...). */
struct path_state {
	bool direct, active;
	uint16_t most; /* as in struct path_way */
	struct endpoint at;
	int32_t region;
	double latency_ms;
	char why[160];
};
bool path_peer_state(const struct path *p, uint64_t now_ms, uint64_t peer, struct path_state *out);
/* Learnt by disco. */
bool path_peer_by_endpoint(const struct path *p, const struct endpoint *from, uint64_t *peer);
bool path_peer_by_key(const struct path *p, const struct node_key *key, uint64_t *peer);
/* The peers that are said to be there, by whoever: into out[cap], at most cap. Looks at every peer. */
size_t path_peers_named(const struct path *p, const struct endpoint *at, uint64_t *out, size_t cap);
/* Own endpoints, best first, with types; the arrays live until the next call of any path function. */
struct ctl_endpoints path_endpoints(struct path *p);
int32_t path_home(const struct path *p);
struct path_region {
	int32_t id;
	double latency_ms; /* < 0 unknown */
};
struct path_report { /* regions belong to path */
	bool done, udp, ipv4, ipv6;
	bool running;	   /* a new one */
	uint64_t ended_ms; /* the last; 0 = none has */
	enum opt_bool mapping_varies;
	struct endpoint global4, global6;
	int32_t home;
	const struct path_region *regions;
	size_t n_regions;
};
void path_report(const struct path *p, struct path_report *out);

#define PATH_DROPS(X) \
	X(disco_unknown_key) \
	X(disco_bad_box) \
	X(disco_malformed) \
	X(disco_type) \
	X(pong_unknown) \
	X(ping_wrong_node) X(ping_flood) X(call_me_maybe_by_udp) X(stun_unknown) X(stun_malformed)
struct path_drops {
#define X(name) uint64_t name;
	PATH_DROPS(X)
#undef X
};
const struct path_drops *path_drops(const struct path *p);

#endif
