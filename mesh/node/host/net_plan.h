/* Which routes lead to the networks behind peers, on a machine that is in networks of its own. Pure. */
#ifndef RW_NODE_HOST_NET_PLAN_H
#define RW_NODE_HOST_NET_PLAN_H

#include "mesh/os/netlink.h"

struct net_plan {		   /* all borrowed */
	const struct prefix *nets; /* behind peers, masked; bits 0: an exit */
	size_t n_nets;
	const struct prefix *around; /* of this machine's other interfaces, masked */
	size_t n_around;
	int ifindex; /* of the mesh */
	struct addr src4,
		src6;	 /* sources that packets get; unspecified: this machine has none of the family */
	bool before_own; /* nets come before those around */
	bool keep_own;	 /* under an exit, private networks around, and multicast, stay outside */
	bool nowhere;	 /* the nets are refused instead */
};
/* Freed by the caller; NULL: memory is short. Where one of the networks stays outside, *left_out is the first
 * of them, else its bits are 255. */
struct nl_route *net_plan_routes(const struct net_plan *p, size_t *n, struct prefix *left_out);

#endif
