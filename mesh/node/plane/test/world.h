/* Two planes and what is between them: a UDP network and a relay, both of them queues; TUN devices that keep
 * what they are given; a clock of the test's. */
#ifndef RW_NODE_PLANE_TEST_WORLD_H
#define RW_NODE_PLANE_TEST_WORLD_H

#include "mesh/node/plane/dataplane.h"

/* Rules for world_map: everything, and one port. */
#define WORLD_ALL "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}"
#define WORLD_PORT_80 \
	"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":80,\"Last\":80}}]}"

enum { WORLD_FLIGHT = 256, WORLD_TUN_MAX = 512, WORLD_REGION = 7 };

struct world_echo { /* the last answer */
	size_t n;
	uint64_t peer, token;
	uint16_t port;
};
struct side {
	struct world *w;
	int self; /* 0, 1; the other's peer id is 2, 1 */
	struct plane d;
	struct path *path;
	struct node_private priv;
	struct node_key key;
	struct addr ip;
	struct endpoint at;
	struct pkt tun[WORLD_TUN_MAX]; /* what came out, in order */
	size_t n_tun, tun_writes, udp_sent, relay_sent, clock_asked;
	struct world_echo echo;
};
struct datagram {
	int to;
	bool relay;
	uint8_t ecn; /* what routers see and may set */
	size_t len;
	uint8_t b[PKT_SIZE];
};
struct world {
	struct side side[2];
	uint64_t now_ms, rng;
	bool no_udp, no_relay; /* swallowed */
	struct datagram flight[WORLD_FLIGHT];
	size_t first, n;
};

struct world *world_new(void);
void world_free(struct world *w);
/* A map for this side: the other one with its address, and these rules (JSON, the inside of PacketFilter's
 * []). */
void world_map(struct world *w, int self, const char *rules);
/* The same with other text in the peer's Addresses ("" = its own address) and further keys of the peer. */
void world_map_with(struct world *w, int self, const char *rules, const char *addresses);
/* A UDP packet from one side's program to the other's, out of its TUN. */
void world_send(struct world *w, int from, uint16_t sport, uint16_t dport, const char *text);
void world_send_packet(struct world *w, int from, const uint8_t *p, size_t len);
void world_run(struct world *w, uint64_t ms); /* delivers, ticks */
/* The i-th packet out of its TUN is world_send's of this text. */
void world_assert_tun(const struct side *s, size_t i, const char *text);

#endif
