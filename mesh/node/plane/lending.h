/* Which packets from the TUN another thread may send by itself, and on what terms: flows that have been through all of
 * dataplane.c once, to peers that are reached by UDP alone, under a session whose sending half is lent (wg.h). Pure. All of it is
 * either the loop's or the other thread's at a time; who has it is outward.c's affair. */
#ifndef RW_NODE_PLANE_LENDING_H
#define RW_NODE_PLANE_LENDING_H

#include "mesh/base/ip.h"
#include "mesh/node/plane/plane.h"

enum { LENDING_PEERS = 16, LENDING_SETS = 64, LENDING_WAYS = 4 };

struct lending_peer {
	uint64_t id;
	struct path_way way; /* udp alone */
	struct wg_loan loan;
	struct plane_traffic sent; /* since told */
};
struct lending_flow {
	struct ip_view v; /* of a packet of it */
	uint8_t peer;	  /* number + 1; 0: no flow */
	bool used;	  /* since told */
};
struct lending {
	struct lending_peer peers[LENDING_PEERS];
	size_t n_peers;
	struct lending_flow flows[LENDING_SETS][LENDING_WAYS];
	uint8_t next;  /* way of a full set to be used next */
	uint64_t ways; /* path_ways when the first was lent */
};

/* --- the loop's --- */

/* Lends what this packet needs. false: it goes by dataplane_tun_received. Nothing is counted, and it is not sent. */
bool lending_grant(struct plane *d, struct lending *l, uint64_t now_ms, struct pkt *p);
/* No longer what the cores would say now: all is to be taken back. */
bool lending_is_stale(const struct plane *d, const struct lending *l);

/* What was sent since it was told last, as a copy that needs no lock: lending_note takes it, lending_tell says it to the cores.
 * Between the two the other thread may go on. */
struct lending_account {
	struct lending_peer peers[LENDING_PEERS];
	size_t n_peers, n_flows;
	struct ip_view flows[LENDING_SETS * LENDING_WAYS];
	uint64_t until_ms[LENDING_PEERS];
};
void lending_note(struct lending *l, struct lending_account *a);
void lending_tell(struct plane *d, uint64_t now_ms, struct lending_account *a); /* fills until_ms */
/* The loans go on until then; nothing was granted or taken back since lending_note. */
void lending_extend(struct lending *l, const struct lending_account *a);
/* Nothing is lent any more. For between the two: what was noted goes back by lending_give_back. */
void lending_forget(struct lending *l);
void lending_give_back(struct plane *d, uint64_t now_ms, struct lending_account *a);

/* --- the other thread's --- */

/* NULL: this one is the loop's. */
struct lending_peer *lending_find(struct lending *l, uint64_t now_ms, const struct pkt *p);

#endif
