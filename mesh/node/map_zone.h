/* The zone of this node's resolver, from map to map: changed in place where little changed, else a new one in the place of
 * the old. A big one is made on a thread, and the old one ends on a thread: meanwhile the old one answers. One is being
 * made at most, and what comes meanwhile is seen when it is there. */
#ifndef RW_NODE_MAP_ZONE_H
#define RW_NODE_MAP_ZONE_H

#include "mesh/node/name_zone.h"
#include "mesh/os/loop.h"
#include "resolver/resolver.h"

/* Embedded in its owner, who sets the first three and leaves the rest at zero. */
struct map_zone {
	struct loop *loop;
	void (*made)(
		void *arg); /* from the loop: what was made on a thread is in its place, or could not be made.
				  * map_zone_follow is to be called, with the newest map */
	void *arg;
	struct resolver *core;	 /* that has the zone; NULL: closed */
	struct addr_set outside; /* peers' addresses that no name leads to */
	struct zone *zone;  /* NULL: none yet. Ours and core's, kept by nobody else: a thread may end it */
	struct netmap *map; /* what it was made from, a reference of our own; NULL: no zone */
	char odd[ZONE_ODD_TEXT];    /* the first of that map that could not be used; "" = nothing */
	bool astray;		    /* no step leads on from it */
	bool moved;		    /* it answers other than it did; for the owner to take away */
	int err;		    /* why what a thread made is not there, until somebody is told */
	struct zone_making *making; /* NULL: nothing */
};

/* The resolver that is to have the zone, as long as it is open; NULL: before it closes. */
void map_zone_serve(struct map_zone *k, struct resolver *core);
/* Copied. false: memory is short, nothing has changed. */
bool map_zone_outside_set(struct map_zone *k, const struct addr_set *outside);
/* The zone says what m says, or will: then k->making, and `made` comes. The first zone is there at once. -ENOMEM: the names
 * stay as they were, of this map or, where one was being made, of that. */
int map_zone_follow(struct map_zone *k, struct netmap *m, struct errbuf *eb);
/* The DNS settings that go with the zone that answers, of which m's are the newest: questions for a domain that becomes ours
 * do not go elsewhere while its names are not there. */
const struct ctl_dns *map_zone_settings(const struct map_zone *k, const struct netmap *m);
void map_zone_fini(struct map_zone *k); /* no zone, no map; `made` does not come. What it set stays */

#endif
