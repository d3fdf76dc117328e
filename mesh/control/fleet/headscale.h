/* What Headscale keeps in SQLite, since 0.23, taken over: users, nodes, auth keys, routes, tags. Numbers, keys and
 * addresses stay what they are, so that nodes notice nothing. Its schemas are told apart by the columns they have. */
#ifndef RW_CONTROL_FLEET_HEADSCALE_H
#define RW_CONTROL_FLEET_HEADSCALE_H

#include "mesh/base/buf.h"
#include "mesh/control/fleet/store.h"

struct headscale_taken {
	unsigned users, nodes, keys;
	unsigned lost_keys, lost_api_keys; /* of which Headscale has but a hash that is of no use here */
	unsigned renamed;		   /* users and nodes whose name is none here */
	struct buf policy;		   /* the newest one of its database; empty = none */
};
/* All of it into an empty store, or nothing. `from` is read only. out->policy is the caller's to free, always. */
int headscale_take(const char *from, struct store *to, struct headscale_taken *out, struct errbuf *eb);

#endif
