/* The guard of the mesh interface: a table of nftables of our own, in which mesh addresses are sources and
 * destinations nowhere but on that interface. Made whole, removed whole, put back when another program
 * flushes it. */
#ifndef RW_NODE_HOST_GUARD_H
#define RW_NODE_HOST_GUARD_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/node/host/guard_rules.h"
#include "mesh/node/host/journal.h"
#include "mesh/os/loop.h"
#include "mesh/os/netlink.h"

struct guard;
/* nl and journal are borrowed; the journal (NULL is fine) notes the table. Nothing is in force before
 * guard_own, but what guard_leave left of this interface, which it takes over. */
struct guard *guard_open(struct loop *l, struct nl *nl, const char *ifname, struct journal *j);
void guard_close(struct guard *g); /* removes the table; NULL is fine */
/* Closes it, and the table stays in force while the interface is made anew: for the next guard of that name, or guard_drop. */
void guard_leave(struct guard *g);
void guard_drop(const char *ifname, struct journal *j);

/* The next four: false where memory is short; then it is to be said again, and what is in force is what was before. */
/* This machine's addresses of the mesh, and its resolver's: in force when this returns, so call it before
 * they are set. Waits for nft, some milliseconds, when they are others than before. A failure is kept for
 * guard_problem, and tried again. */
bool guard_own(struct guard *g, const struct addr *own, size_t n);
/* All peers' addresses; in force soon, beside the loop. */
bool guard_peers(struct guard *g, const struct addr *peers, size_t n);
/* A few peers' addresses that come and go, from what guard_peers said; in force soon. One that is our own stays. */
bool guard_peers_change(struct guard *g, const struct addr_set *come, const struct addr_set *gone);
/* What this machine carries for the mesh, copied; in force when this returns, so that no packet of the mesh goes on with
 * an address that nobody there answers. Waits for nft, as guard_own does, when it is other than before. */
bool guard_serve(struct guard *g, const struct guard_service *s);
/* Whether there may be a table at all (at first it may). Not: it is gone when this returns, guard_problem says that the
 * network around is not kept out, and none is made until it may be again; then what was said meanwhile is in force. */
void guard_allow(struct guard *g, bool allowed);
/* Interfaces came or went: bridges of containers may be others. */
void guard_links_changed(struct guard *g);

/* Told from the loop when guard_problem became empty, or is so no more; guard_close is not to be called from it. */
void guard_watch(struct guard *g, void (*turned)(void *arg), void *arg);
/* Why the network around is not kept out, and what to do; "" when it is. */
const char *guard_problem(const struct guard *g);

#endif
