/* What the packet path works with, shared by the files of this room. Others read `wg`, `path` and the
 * counters; only this room writes here, and dataplane.h says how to ask it to. */
#ifndef RW_NODE_PLANE_PLANE_H
#define RW_NODE_PLANE_PLANE_H

#include "mesh/base/log.h"
#include "mesh/filter/filter.h"
#include "mesh/netmap/netmap.h"
#include "mesh/path/path.h"
#include "mesh/wg/wg.h"

struct via;

/* The sockets and the clock, handed in. Buffers are the plane's: what is called may overwrite the headroom in
 * front of a packet and nothing else, and keeps nothing. None of them may call the plane. */
struct plane_io {
	void (*tun_write)(void *arg, struct pkt *const *pkts, size_t n);
	void (*udp_send)(
		void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len);
	void (*udp_send_batch)(void *arg, enum path_socket from, const struct endpoint *to,
		struct pkt *const *pkts, size_t n);
	void (*relay_send)(
		void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len);
	void (*relay_send_batch)(
		void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n);
	/* The answer to dataplane_echo; also to others' pings by TSMP, whose tokens are nobody's. peer_api: its port,
	 * 0: not said. */
	void (*echo_answered)(void *arg, uint64_t peer, uint64_t token, uint16_t peer_api);
	/* What another thread sends by itself (lending.h) comes back: wg.h, recall. NULL: there is none. */
	void (*recall)(void *arg);
	uint64_t (*now_ms)(void *arg); /* monotonic */
	void *arg;
};

#define PLANE_DROPS(X) \
	X(out_malformed) \
	X(out_no_way) \
	X(out_foreign_source) \
	X(in_malformed) \
	X(in_congested) \
	X(relay_oversize) \
	X(to_service_address) \
	X(rejected_by_peer) X(via6_refused) X(via6_no_address) X(via6_no_way) X(via6_too_large)
struct plane_drops {
#define X(name) uint64_t name;
	PLANE_DROPS(X)
#undef X
};

/* WireGuard's datagrams with packets in them, by the way they took. */
enum plane_path { PLANE_DIRECT4, PLANE_DIRECT6, PLANE_RELAY, PLANE_PATHS };
struct plane_traffic {
	uint64_t packets, bytes;
};

/* Where a datagram came from, as an opaque token for cookies and their replies. */
struct plane_source {
	struct endpoint udp;
	enum path_socket at; /* ours */
	int32_t region;	     /* not 0: by this relay, from key */
	struct node_key key;
};

/* Packets that come together, one after the other. `heard`: the peer that path was told of last, from there and now; it is told
 * once of a run of packets. `peer`: whose packet the rules let in last, as it is, and v is its view; 0: none yet. */
struct plane_arrival {
	struct plane_source from;
	uint64_t heard, peer;
	struct ip_view v;
};

/* Who sees packets inside the tunnel while somebody wants to; numbers as official clients have them (net/packet of v1.102.5).
 * From it nothing of the plane may be called. */
enum plane_captured {
	PLANE_FROM_LOCAL, /* this machine sends it; before the rules */
	PLANE_FROM_PEER,  /* opened; before the rules */
	PLANE_TO_LOCAL,	  /* the node's own word to this machine */
	PLANE_TO_PEER,	  /* and to a peer */
};
struct plane_capture {
	void (*packet)(void *arg, unsigned how, const uint8_t *p,
		size_t len); /* enum plane_captured; NULL: nobody */
	void *arg;
};

/* Of a relay's: a flow's super-packets are whole at the TUN but where this is full. */
enum { PLANE_RELAYED = 4 * PKT_BATCH };

struct plane {
	struct plane_io io;
	struct wg *wg;	   /* owned */
	struct path *path; /* borrowed */

	/* The snapshot: who the peers are and what they may. Replaced whole, never edited. */
	struct netmap *map;   /* a reference; NULL: no peer is known, and nothing leaves */
	struct filter *rules; /* owned; NULL: `shut` is in force */

	struct filter *shut;	    /* owned; lets nothing in: before the first rules, and where they fail */
	struct filter_flows *flows; /* outlives snapshots: what we asked may be answered */
	struct via *via;	    /* owned; so does this: networks of 4via6 behind us */
	bool server_up;		    /* the server tells peers our disco key */
	bool shields_up;	    /* why nothing is let in; told to who tries */
	uint16_t peer_api4, peer_api6; /* ports, 0: none; told to who pings */
	uint64_t echo_mark;	       /* in ICMP echoes of ours: answers to them are not the machine's */
	struct pkt *relayed; /* owned, PLANE_RELAYED: opened, waiting for the end of the relay's turn */
	size_t n_relayed;
	struct plane_arrival run; /* of that turn; from.region 0: none, the next packet begins one */
	uint64_t run_ms;	  /* when it began */
	struct plane_capture capture;
	struct plane_drops drops;
	struct plane_traffic in[PLANE_PATHS], out[PLANE_PATHS];
	struct filter_drops filter_drops;
	struct log_limit rejections;  /* told by peers */
	struct log_limit stale_looks; /* for who may have sent data of an unknown session */
};

static inline const struct netmap_peer *plane_peer(const struct plane *d, uint64_t id)
{
	return d->map ? netmap_peer_by_id(d->map, (int64_t)id) : NULL;
}
static inline enum plane_path plane_path_of(const struct addr *at)
{
	return addr_is_v4(at) ? PLANE_DIRECT4 : PLANE_DIRECT6;
}
static inline uint64_t plane_now(const struct plane *d)
{
	return d->io.now_ms(d->io.arg);
}

static inline void plane_captured(const struct plane *d, enum plane_captured how, struct pkt *p)
{
	if (d->capture.packet)
		d->capture.packet(d->capture.arg, how, pkt_data(p), p->len);
}

#endif
