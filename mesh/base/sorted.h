/* Looking things up in a sorted array. */
#ifndef RW_BASE_SORTED_H
#define RW_BASE_SORTED_H

#include <stdbool.h>
#include <stddef.h>

/* How many of v's n elements stand before `key`: the index of the first that does not, where the key is or would stand.
 * `before` is asked of the element with index i; once it says no, it says no for all that follow. Inline, so that it is not
 * called through a pointer. */
static inline size_t sorted_before(
	const void *v, size_t n, const void *key, bool (*before)(const void *v, size_t i, const void *key))
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (before(v, mid, key))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

#endif
