/* The zone of this node's resolver, from map to map: changed in place where little changed, else a new one in the place of
 * the old. A big one is made on a thread, and the old one ends on a thread: meanwhile the old one answers. One is being
 * made at most, and what comes meanwhile is seen when it is there. */
#ifndef RW_NODE_ZONE_KEEPER_H
#define RW_NODE_ZONE_KEEPER_H

#include "mesh/node/name_zone.h"
#include "mesh/os/loop.h"
#include "resolver/resolver.h"

/* Embedded in its owner, who sets the first three and leaves the rest at zero. */
struct zone_keeper {
	struct loop *loop;
	void (*made)(
		void *arg); /* from the loop: what was made on a thread is in its place, or could not be made.
				  * zone_keeper_follow is to be called, with the newest map */
	void *arg;
	struct resolver *core;	    /* that has the zone; NULL: closed */
	struct addr_set outside;    /* peers' addresses that no name leads to */
	struct zone *zone;	    /* a reference of our own; NULL: none yet */
	struct netmap *map;	    /* what it was made from, a reference of our own; NULL: no zone */
	char odd[ZONE_ODD_TEXT];    /* the first of that map that could not be used; "" = nothing */
	bool astray;		    /* no step leads on from it */
	bool moved;		    /* it answers other than it did; for the owner to take away */
	int err;		    /* why what a thread made is not there, until somebody is told */
	struct zone_making *making; /* NULL: nothing */
};

/* The resolver that is to have the zone, as long as it is open; NULL: before it closes. */
void zone_keeper_serve(struct zone_keeper *k, struct resolver *core);
/* Copied. false: memory is short, nothing has changed. */
bool zone_keeper_outside_set(struct zone_keeper *k, const struct addr_set *outside);
/* The zone says what m says, or will: then k->making, and `made` comes. The first zone is there at once. -ENOMEM: the names
 * stay as they were, of this map or, where one was being made, of that. */
int zone_keeper_follow(struct zone_keeper *k, struct netmap *m, struct errbuf *eb);
/* The DNS settings that go with the zone that answers, of which m's are the newest: questions for a domain that becomes ours
 * do not go elsewhere while its names are not there. */
const struct ctl_dns *zone_keeper_settings(const struct zone_keeper *k, const struct netmap *m);
void zone_keeper_fini(struct zone_keeper *k); /* no zone, no map; `made` does not come. What it set stays */

#endif
