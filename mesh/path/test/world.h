/* A small deterministic internet for tests of path: hosts, NATs of every mapping x filtering class behind
 * each other, STUN servers, relays, a control server that passes endpoints on, and a probe stream between
 * nodes. Virtual time. */
#ifndef RW_PATH_TEST_WORLD_H
#define RW_PATH_TEST_WORLD_H

#include "mesh/path/path.h"

enum nat_map { MAP_EIM, MAP_ADM, MAP_APDM };
enum nat_filter { FILTER_EIF, FILTER_ADF, FILTER_APDF };
enum { NODES_MAX = 4, ROUTERS_MAX = 8, REGIONS_MAX = 3, NETS_MAX = 12, INTERNET = 0, SESSIONS_MAX = 256 };

struct nat_session {
	struct endpoint in, remote, alias;
	uint16_t port;
	bool used, out, own; /* own: the box itself is the inside */
	bool given;	     /* asked for from inside: everybody may send to it */
	bool answered;	     /* packets went both ways */
	uint64_t used_ms;
};
struct router {
	int inside, outside; /* nets */
	struct addr address; /* outside */
	enum nat_map map;
	enum nat_filter filter;
	bool hairpin, udp_blocked;
	/* It filters nothing of its own: what is for nobody inside is its own, and takes the outer flow. */
	bool open;
	struct nat_session sessions[SESSIONS_MAX];
	size_t n_sessions;
};
struct stats {
	uint64_t sent, answered, last_answer_ms, longest_gap_ms, first_answer_ms;
};
struct node {
	struct world *w;
	int index, net;
	struct endpoint at, spare; /* its sockets; spare.port 0: not open */
	struct path *path;
	struct node_key key;
	bool connected[REGIONS_MAX], connecting[REGIONS_MAX], started;
	uint64_t probes_out; /* disco datagrams by UDP */
	uint64_t questions;  /* for proof that data passes */
	uint64_t spare_asked;
	uint64_t relay_out, ways_changed, self_changes, ticks;
	uint32_t seq, seen_request[NODES_MAX], seen_answer[NODES_MAX];
	struct stats to[NODES_MAX];
	uint64_t ping_token;
	int32_t ping_region;
};
struct event;
struct world {
	uint64_t now_ms, seq, rng, delay_ms;
	struct event *heap;
	size_t n_events, events_size;
	struct router routers[ROUTERS_MAX];
	size_t n_routers;
	struct node nodes[NODES_MAX];
	size_t n_nodes;
	size_t n_nets, n_regions;
	bool relay_dead[REGIONS_MAX], stun_dead[REGIONS_MAX];
	uint64_t relay_delay_ms[REGIONS_MAX];
	uint64_t calls_from_ms; /* before, relays lose disco messages */
	bool control_dead, direct_cut, one_way_cut,
		data_cut;  /* cuts: on the internet, STUN and relays left alone */
	int data_cut_from; /* only what this node sends, index + 1; 0 = none */
	bool no_near;	   /* nodes cannot bound how far a datagram goes */
	bool neighbours;   /* the internet is one link */
	uint8_t between;   /* so many routers lie on the way through it; 0 = more than any life says */
	bool no_spare;	   /* nodes cannot open a second socket */
	bool no_questions; /* nodes do not ask for proof that data passes */
	uint64_t control_delay_ms;
	unsigned loss_percent;
	size_t most;	   /* larger datagrams are swallowed on the internet; 0 = none */
	uint64_t stranger; /* datagrams to nobody */
};

struct world *world_new(uint64_t seed, size_t regions);
void world_free(struct world *w);
int world_net(struct world *w);
/* A router from a new inside net (returned) to outside. */
int world_router(struct world *w, int outside, const char *address, enum nat_map map, enum nat_filter filter);
struct router *world_router_of(struct world *w, int inside);
struct node *world_node(struct world *w, int net, const char *address);
void world_start(struct node *n);
void world_stop(struct node *n);     /* the daemon is gone; world_start begins anew with a new disco key */
void world_announce(struct node *n); /* control tells everyone about n, and n about everyone */
void world_run(struct world *w, uint64_t ms);
/* Sends a request from a to b every interval for ms; answers are counted in a->to[b]. */
void world_talk(struct world *w, struct node *a, struct node *b, uint64_t ms, uint64_t interval);
bool world_direct(struct node *a, struct node *b);
/* Talks until both are direct; the time it took, or UINT64_MAX after limit. */
uint64_t world_until_direct(struct world *w, struct node *a, struct node *b, uint64_t limit);
void world_move(struct node *n, int net, const char *address);
uint32_t world_random(struct world *w, uint32_t bound);

#endif
