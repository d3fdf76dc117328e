/* The mesh interface as the machine sees it: addresses, link state, MTU, the routes that lead to it, and the
 * guard that keeps mesh addresses to it. Everything is told as it shall be; only differences go to the
 * kernel. What other programs take away is put back. One thread: all calls, and the callbacks, are the loop's.
 */
#ifndef RW_NODE_HOST_IFACE_H
#define RW_NODE_HOST_IFACE_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/node/host/addr_set.h"
#include "mesh/node/host/guard_rules.h"
#include "mesh/node/host/journal.h"
#include "mesh/os/loop.h"

bool iface_service_taken(void); /* a node of this machine has the resolver's address now */

struct iface;
struct iface_options {
	const char *name;
	uint32_t mtu;
	struct journal *journal; /* borrowed; NULL: nothing is noted */
	/* Links, addresses, routes or rules of this machine changed, and not by us; or whether it is guarded. */
	void (*changed)(void *arg);
	/* What iface_peers_change began is done; why->code is not 0: the kernel did not take all of it. */
	void (*routed)(void *arg, const struct errbuf *why);
	void *arg;
};
struct iface *iface_open(struct loop *l, const struct iface_options *o, struct errbuf *eb);
/* Rules and guard go; addresses and routes end with the TUN device. NULL is fine. */
void iface_close(struct iface *i);
void iface_guard_stays(struct iface *i); /* at that: guard_leave */

/* Exactly these addresses (the resolver's are never chosen as a source; none: nothing is set up and guarded),
 * and routes to exactly these peers, in any order. The guard is in force before the first address is. A
 * failure is returned; what failed is tried again by the next call. */
int iface_apply(struct iface *i, const struct prefix *addrs, size_t n_addrs, const struct addr *peers,
	size_t n_peers, struct errbuf *eb);
enum { IFACE_CHANGE_MAX = 64, IFACE_BEGUN = 1 };
/* From the peers of the last iface_apply: those leave and these come, IFACE_CHANGE_MAX in all; an address that two
 * peers had stays for the other. Costs what changes, and does not wait for the kernel: IFACE_BEGUN says that `routed` will
 * be told, soon or when another call of this header has waited for it; 0 that all is done. After a failure, told here or
 * there, iface_apply. */
int iface_peers_change(struct iface *i, const struct addr *gone, size_t n_gone, const struct addr *come,
	size_t n_come, struct errbuf *eb);
/* Exactly these networks behind peers, which own addresses of a family are needed for. A network that this
 * machine is in itself stays outside, and so does what lies in it, unless they come before it. */
struct iface_nets {
	const struct prefix *v; /* borrowed; masked */
	size_t n;
	bool before_own;
	bool exit_keeps_own; /* under an exit, private networks around stay outside */
};
/* The networks that this machine is in by other interfaces; returns the count, at most cap. */
size_t iface_around(struct iface *i, struct prefix *out, size_t cap);
int iface_nets_set(struct iface *i, const struct iface_nets *w, struct errbuf *eb);
/* Whether rules of nftables may be made: guard_allow. */
void iface_rules_allow(struct iface *i, bool allowed);
/* What this machine carries for the mesh (guard_rules.h), copied. false: memory is short, as guard_serve. */
bool iface_serve(struct iface *i, const struct guard_service *s);
/* What somebody took away is put back, as it is when the kernel tells of it. */
void iface_repair(struct iface *i);
/* The machine's own nameservers: those, its gateways and its other addresses are reached as without a mesh,
 * also where a peer has the same address. */
void iface_nameservers_set(struct iface *i, const struct addr *v, size_t n);

/* Peers' addresses that this machine needs outside: whoever uses one of them meets somebody else. Lives until
 * the next call of any other function here, and changes with the map and with the machine. */
const struct addr_set *iface_outside(const struct iface *i);

/* Addresses of the machine's other interfaces that are up, for direct paths; at most cap; returns the count.
 */
size_t iface_local(struct iface *i, struct addr *out, size_t cap);

/* Sentences for `status`, "" when there is nothing to say: what is not guarded; which peers have an address
 * that this machine needs outside. */
const char *iface_unguarded(const struct iface *i);
const char *iface_conflict(const struct iface *i);
const char *iface_overlap(const struct iface *i); /* a network behind a peer that this machine is in itself */

#endif
