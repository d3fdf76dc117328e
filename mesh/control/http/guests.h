/* Who is connected, and what those cost whom nobody knows: one budget for all strangers together, in
 * connections and in bytes (bodies, requests, registrations that wait), and a share of it for one address.
 * Whoever comes is let in; the oldest goes. Nodes are counted apart, so that strangers never take their
 * place: few links for one machine, the newest of them, and a limit for all that leaves descriptors for the
 * database, the admin and those who come to join. */
#ifndef RW_CONTROL_HTTP_GUESTS_H
#define RW_CONTROL_HTTP_GUESTS_H

#include "mesh/base/addr.h"
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include <stddef.h>

enum guest_kind {
	GUEST_VISIT,	/* an HTTP connection; no key was shown */
	GUEST_STRANGER, /* a Noise link of a machine that has no node */
	GUEST_NODE,	/* a Noise link of a node's machine */
	GUEST_ADMIN,	/* on the admin socket */
	GUEST_KINDS
};
enum { GUEST_LINKS_PER_MACHINE = 4, GUEST_BYTES_MAX = 16 * 1024 * 1024 };

/* First in its owner's struct. */
struct guest {
	struct guest *next, **at; /* of its kind, oldest first */
	struct guests *all;
	enum guest_kind kind;
	struct addr net;	    /* its address; of IPv6 the /64 */
	struct machine_key machine; /* GUEST_NODE */
	struct guest *same;	    /* the next older link of that machine */
	size_t bytes;		    /* charged */
	/* Closes the connection and frees the owner, who has called guest_leave. */
	void (*turn_away)(struct guest *g);
};
struct guests {
	struct guest_list {
		struct guest *first, **end;
		size_t n, most;
	} kinds[GUEST_KINDS];
	struct table by_machine; /* -> the newest link of each; at most GUEST_LINKS_PER_MACHINE in a chain */
	size_t bytes;		 /* of visits and strangers */
	size_t per_net;		 /* visits, and strangers, of one address */
	uint64_t turned_away;
	uint64_t paused; /* a door, for want of descriptors or memory */
	struct log_limit said;
};

/* descriptors: how many the process may have. */
void guests_init(struct guests *all, size_t descriptors, uint64_t seed);
void guests_fini(struct guests *all); /* when all have left */
/* Adds g after making room; kind and turn_away are set by the caller, peer may be NULL. now_ms: monotonic. */
void guest_arrive(struct guests *all, struct guest *g, const struct endpoint *peer, uint64_t now_ms);
void guest_leave(struct guest *g); /* and what it was charged */
/* Its machine has a node: it counts as one from now on. */
void guest_is_node(struct guest *g, const struct machine_key *machine, uint64_t now_ms);
/* Memory held for it, more or (negative) less. false: there is none for it, though the oldest strangers have
 * gone; it itself stays. Nodes are not charged. */
bool guest_charge(struct guest *g, long bytes, uint64_t now_ms);

#endif
