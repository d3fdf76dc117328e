/* The CNAMEs of an upstream's answer: where they lead, and where somebody else speaks. */
#ifndef RW_RESOLVER_CHAIN_H
#define RW_RESOLVER_CHAIN_H

#include "resolver/core.h"

struct chain {
	struct dns_name names[ANSWER_CHAIN_MAX + 2]; /* names[n] is where it stands */
	unsigned n;
	bool inward;   /* names[n] is ours: what the upstream says of it and beyond does not count */
	bool complete; /* names[n] has records of the type here */
};

/* type: of the question. */
void chain_walk(const struct resolver *r, const struct cache_item *item, uint16_t type, struct chain *c);
/* Does a record belong to a name of the chain before its end? */
bool chain_is_before_the_end(const struct cache_item *item, const struct dns_rr *rr, const struct chain *c);

#endif
