/* Exits: peers that carry all that has no better way. Pure. */
#ifndef RW_NETMAP_EXITS_H
#define RW_NETMAP_EXITS_H

#include "mesh/netmap/netmap.h"

bool netmap_is_exit(const struct ctl_node *c); /* it may carry both families: half an exit is none */
/* The peer that a person means: by StableID, an address of its own, its name, or the first label of it,
 * whether it is an exit or not. NULL: there is none. */
const struct netmap_peer *netmap_exit_find(const struct netmap *m, const char *who);

/* How far this machine is from relays, as it has measured. */
struct netmap_nearness {
	int32_t home; /* of this machine; 0: none */
	struct netmap_region_rtt {
		int32_t region;
		double seconds; /* 0: nothing came back */
	} * rtts;
	size_t n;
};
/* The exit to take where none is named, of those that are online and, where the network marks some to be suggested, are among
 * these: the one whose home relay is nearest. One that has no relay stands behind all that have: of those the nearest to
 * this machine's home relay, as their places on the map are, give or take 100 km, and of these the one of the highest
 * priority. Of equals the first by name. NULL: there is none. What official clients do (seen in their source, v1.102.5),
 * who choose among equals by chance, and suggest none that is not marked. */
const struct ctl_node *netmap_exit_suggest(const struct netmap *m, const struct netmap_nearness *near);

#endif
