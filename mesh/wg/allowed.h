/* Allowed-ips: longest-prefix match from addresses to peers. Single addresses, which nearly all of a mesh are, in a hash
 * table; networks in path-compressed binary tries, one per family. */
#ifndef RW_WG_ALLOWED_H
#define RW_WG_ALLOWED_H

#include "mesh/base/addr.h"
#include "mesh/base/table.h"

struct allowed_node;
struct allowed {		      /* all zero = empty */
	struct allowed_node *root[2]; /* v4, v6: ::/0 must not catch IPv4 */
	struct table hosts;	      /* by address: one here is the longest match there can be */
	uint64_t changes;	      /* grows with every change: what was looked up before may be stale */
};

void allowed_fini(struct allowed *a);
/* Replaces the owner of an equal prefix; host bits are ignored. false: bits out of range or no memory. */
bool allowed_put(struct allowed *a, const struct prefix *p, void *owner);
/* Nobody has an address of it by a shorter prefix; longer ones, and p itself, may be put all the same. false: bits out of range
 * or no memory. */
bool allowed_reserve(struct allowed *a, const struct prefix *p);
/* Nothing happens when the prefix belongs to someone else. */
void allowed_remove(struct allowed *a, const struct prefix *p, const void *owner);
void *allowed_get(const struct allowed *a, const struct addr *ip); /* NULL when none */

#endif
