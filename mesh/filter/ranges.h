/* Sorted address ranges that lie apart: whether an address is in one costs the logarithm of their number. */
#ifndef RW_FILTER_RANGES_H
#define RW_FILTER_RANGES_H

#include "mesh/base/addr.h"
#include <stdbool.h>
#include <stddef.h>

enum family { V4, V6, FAMILIES };
struct range {
	struct addr first, last; /* of one family */
};
struct ranges { /* of one family; v is the maker's */
	struct range *v;
	size_t n;
};

static inline enum family family_of(const struct addr *a)
{
	return addr_is_v4(a) ? V4 : V6;
}
/* As memcmp of their bytes. */
int ranges_compare(const struct addr *a, const struct addr *b);
struct range ranges_whole(enum family f);
/* In place, in any order before; returns how many are left. */
size_t ranges_merge(struct range *v, size_t n);
/* a is of the family of r. */
bool ranges_have(const struct ranges *r, const struct addr *a);

#endif
