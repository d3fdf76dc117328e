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

/* One of a few: it moves what stands behind it. false: memory is short. One that is there stays. */
bool addr_set_add(struct addr_set *s, const struct addr *a);
void addr_set_remove(struct addr_set *s, const struct addr *a); /* one that is not there is fine */

/* As a set, but each address as often as it was put in: two peers may be said to have the same. What is changed one by one
 * waits beside the many and goes among them with others, so that one of a big mesh costs no walk through all. */
enum { ADDR_BAG_LATE = 64 };
struct addr_bag {
	struct addr *v; /* owned; ascending by bytes */
	size_t n, cap;
	struct addr_late {
		struct addr a;
		int more;      /* so many more, or less, than among the many; not 0 */
	} late[ADDR_BAG_LATE]; /* ascending */
	size_t n_late, n_more; /* n_more: how many will come, without those that will go */
};
bool addr_bag_assign(struct addr_bag *b, const struct addr *v, size_t n);
bool addr_bag_add(struct addr_bag *b, const struct addr *a);
void addr_bag_remove(struct addr_bag *b, const struct addr *a); /* once */
bool addr_bag_has(const struct addr_bag *b, const struct addr *a);
/* All of them in a row, the bag's, until it is changed: a set where each was put in once. */
struct addr_set addr_bag_all(struct addr_bag *b);
void addr_bag_free(struct addr_bag *b);

#endif
