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
bool addr_set_has(const struct addr_set *s, const struct addr *a);
bool addr_set_equal(const struct addr_set *a, const struct addr_set *b);
void addr_set_free(struct addr_set *s); /* empty and usable afterwards */

/* One of a few: each moves what stands behind it. add: false when memory is short; one that is there stays. */
bool addr_set_add(struct addr_set *s, const struct addr *a);
void addr_set_remove(struct addr_set *s, const struct addr *a); /* one that is not there is fine */

/* As a set, but each address as often as it was put in: two peers may be said to have the same. */
struct addr_bag {
	struct addr *v; /* owned; ascending by bytes */
	size_t n;
};
bool addr_bag_assign(struct addr_bag *b, const struct addr *v, size_t n);
bool addr_bag_add(struct addr_bag *b, const struct addr *a);
void addr_bag_remove(struct addr_bag *b, const struct addr *a); /* once */
bool addr_bag_has(const struct addr_bag *b, const struct addr *a);
void addr_bag_free(struct addr_bag *b);

#endif
