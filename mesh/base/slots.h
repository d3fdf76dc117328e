/* Places for connections of strangers: so many for all, and so many for one address, of IPv6 for its /64. Where there is
 * none, whoever is owed nothing and has been so the longest goes: who opens connections and says nothing keeps nobody out. */
#ifndef RW_SLOTS_H
#define RW_SLOTS_H

#include "mesh/base/addr.h"

struct slot_holder {
	const struct addr *ip; /* NULL: the slot is free */
	bool owed;	       /* an answer: it stays */
	uint64_t used;	       /* in the order of last questions */
};
struct slots {
	unsigned n, each; /* for all, and for one address */
	bool apart;	  /* who has one address of IPv6 has no other of its /64, as in a mesh */
	struct slot_holder (*look)(const void *arg, unsigned slot);
	const void *arg;
};

/* The slot for a connection from ip, free or with one in it that has to go first; n: there is none. */
unsigned slots_choose(const struct slots *s, const struct addr *ip);

#endif
