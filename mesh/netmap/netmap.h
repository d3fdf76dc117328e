/* The node's map as an immutable, counted snapshot; a map response applied to one gives the next; two can be
 * compared. tailscale-protocol.md 1.8. Pure.
 *
 * A server names the nodes of the mesh, it does not own the machine: of Node's and of peers' Addresses only
 * single ones of the mesh's ranges are taken into a snapshot, none of the service addresses, and of a peer
 * none that is our own; of AllowedIPs no network inside those ranges. What was refused, and what the reader
 * left out, is in `problems` until the server says that part anew.
 *
 * An address is one peer's: of several that are told to have it only the one with the highest id, which the
 * server gave away last, has it in the snapshot, and so for everyone who reads that. `problems` names the
 * others; who is alone with it has it again. */
#ifndef RW_NETMAP_NETMAP_H
#define RW_NETMAP_NETMAP_H

#include "mesh/netmap/peers.h"

struct netmap_part; /* counted: relays, DNS, filters, ... that a response leaves alone */
enum {
	NETMAP_DERP,
	NETMAP_DNS,
	NETMAP_FILTERS,
	NETMAP_USERS,
	NETMAP_DOMAIN,
	NETMAP_HEALTH,
	NETMAP_PROBLEMS,
	NETMAP_DOUBLES,
	NETMAP_SHORN,
	NETMAP_PARTS
};
struct netmap { /* const for everyone but netmap.c */
	unsigned refs;
	uint64_t version;			 /* 1, 2, ... */
	struct netmap_part *parts[NETMAP_PARTS]; /* what the pointers below live in */
	const struct netmap_peer *self;
	const struct netmap_peer **peers;
	size_t n_peers;			 /* sorted by id */
	struct netmap_chunks chunks;	 /* the same, for chunks.c and walk.c */
	const struct ctl_derp_map *derp; /* NULL = none yet */
	const struct ctl_dns *dns;	 /* NULL = none yet */
	const struct ctl_filter *filters;
	size_t n_filters; /* sorted by name */
	bool block_all;	  /* no filter known yet, or no rule in any that lets a packet in */
	const struct ctl_user *users;
	size_t n_users; /* sorted by id */
	const char *domain;
	const char **health;
	size_t n_health;
	const struct ctl_problem *problems; /* what is not used of it, and why */
	size_t n_problems, more_problems;   /* more: beyond those named */
	size_t more_found;		    /* of those: what is looked for in each map, as doubles */
	const int64_t *doubles;		    /* peers whose node key is also that of a peer with a higher id */
	size_t n_doubles;		    /* sorted */
	const int64_t *shorn; /* peers without an address that they are told to have (owners.h) */
	size_t n_shorn;	      /* sorted */
};
/* old may be NULL (start of a stream: then m must contain Node, else NULL + sentence). What changes nothing
 * (keep-alives, pings) returns the old snapshot with a new reference. A peer equal to the old one keeps its
 * pointer. NULL when memory is short too: old stands. unix_ms: the server's clock,
 * server_clock.h. */
struct netmap *netmap_apply(
	const struct netmap *old, const struct ctl_map_response *m, int64_t unix_ms, struct errbuf *eb);
struct netmap *netmap_get(struct netmap *m);
void netmap_put(struct netmap *m); /* NULL is fine */
const struct netmap_peer *netmap_peer_by_id(const struct netmap *m, int64_t id);
/* The one that has the address for its own; NULL: none, or m is NULL. */
const struct netmap_peer *netmap_peer_by_address(const struct netmap *m, const struct addr *a);
/* A node key is one machine: of peers that have the same only the one with the highest id, which the server gave
 * away last, is reached by it. True of the others; `problems` names them. */
bool netmap_peer_is_double(const struct netmap *m, int64_t id);
/* server_ms: the server's clock, server_clock.h. */
bool netmap_peer_expired(const struct netmap_peer *p, int64_t server_ms);

/* The whole snapshot as one map response's JSON (for state on disk); reading it back is ctl_map_response_read
 * + apply. */
bool netmap_write(const struct netmap *m, struct buf *out);

struct netmap_diff { /* sorted by id; borrowed from a and b, valid while both are held */
	const struct netmap_peer **added, **removed, **changed; /* changed: the new one */
	size_t n_added, n_removed, n_changed;
	bool self, derp, dns, filters, users, health; /* differ */
	bool names, addresses; /* any of self or a peer differs; names: or an address */
	bool nets;	       /* a peer that carries more than itself differs, or doubles do */
	bool doubles;	       /* differ: a peer may be reached, or not, without being changed itself */
};
/* a may be NULL (everything is added). false: memory short. */
bool netmap_compare(const struct netmap *a, const struct netmap *b, struct netmap_diff *out);
void netmap_diff_fini(struct netmap_diff *d);

#endif
