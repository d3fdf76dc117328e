#include "mesh/filter/ranges.h"
#include "mesh/base/sorted.h"

#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t half_of(const struct addr *a, size_t at)
{
	uint64_t v;
	memcpy(&v, a->b + at, sizeof(v));
	return be64toh(v);
}

/* Inline where it is asked again and again: two loads instead of a call. */
static inline int compare(const struct addr *a, const struct addr *b)
{
	uint64_t x = half_of(a, 0), y = half_of(b, 0);
	if (x == y) {
		x = half_of(a, 8);
		y = half_of(b, 8);
	}
	return (x > y) - (x < y);
}

int ranges_compare(const struct addr *a, const struct addr *b)
{
	return compare(a, b);
}

static int compare_range(const void *a, const void *b)
{
	return compare(&((const struct range *)a)->first, &((const struct range *)b)->first);
}

struct range ranges_whole(enum family f)
{
	struct range r;
	memset(r.first.b, 0, sizeof(r.first.b));
	memset(r.last.b, 0xff, sizeof(r.last.b));
	if (f == V4)
		r = (struct range) { addr_v4(0), addr_v4(UINT32_MAX) };
	return r;
}

size_t ranges_merge(struct range *v, size_t n)
{
	size_t kept = 0;
	if (n)
		qsort(v, n, sizeof(*v), compare_range);
	for (size_t i = 0; i < n; i++) {
		struct range *last = kept ? &v[kept - 1] : NULL;
		if (!last || compare(&v[i].first, &last->last) > 0)
			v[kept++] = v[i];
		else if (compare(&v[i].last, &last->last) > 0)
			last->last = v[i].last;
	}
	return kept;
}

static bool range_begins(const void *v, size_t i, const void *a)
{
	return compare(&((const struct range *)v)[i].first, a) <= 0;
}

bool ranges_have(const struct ranges *r, const struct addr *a)
{
	size_t n = sorted_before(r->v, r->n, a, range_begins); /* those that begin at or before a */
	return n && compare(a, &r->v[n - 1].last) <= 0;
}
