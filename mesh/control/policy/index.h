/* Which rules a node is a source or a destination of, found by what it is instead of rule by rule: by its user, its
 * tags, its addresses. Says what match_from and match_to say. */
#ifndef RW_CONTROL_POLICY_INDEX_H
#define RW_CONTROL_POLICY_INDEX_H

#include "mesh/control/policy/rules.h"

struct policy_index;
/* Of the rules of p, which stay as they are. NULL: memory is short. */
struct policy_index *policy_index_new(const struct policy *p);
void policy_index_free(struct policy_index *x); /* NULL is fine */

/* One bit for each rule, all set or cleared. named: m is a source by what it is, not by an address or a net. */
struct index_bits {
	uint64_t *from, *to, *named;
};
void policy_index_find(
	const struct policy *p, const struct fleet *f, const struct member *m, const struct index_bits *out);

#endif
