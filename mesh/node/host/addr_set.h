/* A sorted set of addresses: what is wanted against what is there, for thousands of peers. */
#ifndef RW_NODE_HOST_ADDR_SET_H
#define RW_NODE_HOST_ADDR_SET_H

#include "mesh/base/addr.h"

struct addr_set {
	struct addr *v; /* owned; ascending by bytes, each once */
	size_t n;
};

/* Replaced by these, in any order and perhaps twice. false: memory is short, nothing has changed. */
bool addr_set_assign(struct addr_set *s, const struct addr *v, size_t n);
/* out (empty before) gets what is in a and not in b. */
bool addr_set_minus(const struct addr_set *a, const struct addr_set *b, struct addr_set *out);
/* out (empty before) gets what is in both. */
bool addr_set_common(const struct addr_set *a, const struct addr_set *b, struct addr_set *out);
bool addr_set_equal(const struct addr_set *a, const struct addr_set *b);
void addr_set_free(struct addr_set *s); /* empty and usable afterwards */

#endif
