/* Addresses for new nodes: the same offset in both prefixes, the next free one after the last given, so that
 * an address freed by a removed node is not given to another while maps that name it are still cached. */
#ifndef RW_CONTROL_FLEET_ALLOC_H
#define RW_CONTROL_FLEET_ALLOC_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"

struct alloc_pool {
	bool has_v4, has_v6;
	struct prefix v4, v6;
};
struct alloc_pair {
	struct addr v4, v6; /* those the pool has */
	uint64_t offset;    /* hand offset + 1 to the next call */
};

/* Addresses that are not given to nodes: network and service addresses, 100.115.92.0/23 (used inside
 * ChromeOS). */
bool alloc_is_reserved(const struct alloc_pool *p, const struct addr *a);
/* 0, or -EADDRNOTAVAIL with a sentence when every address is in use. */
int alloc_pick(const struct alloc_pool *p, uint64_t start, bool (*used)(void *arg, const struct addr *a),
	void *arg, struct alloc_pair *out, struct errbuf *eb);

#endif
