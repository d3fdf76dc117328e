#include "mesh/node/host/addr_set.h"
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct addr));
}

bool addr_set_assign(struct addr_set *s, const struct addr *v, size_t n)
{
	struct addr *copy = malloc((n ? n : 1) * sizeof(*copy));
	bool sorted = true;
	size_t k = 0;
	if (!copy)
		return false;
	for (size_t i = 0; i < n; i++) {
		copy[i] = v[i];
		sorted = sorted && (!i || compare(&v[i - 1], &v[i]) < 0);
	}
	if (!sorted)
		qsort(copy, n, sizeof(*copy), compare);
	for (size_t i = 0; i < n; i++)
		if (!k || compare(&copy[k - 1], &copy[i]) != 0)
			copy[k++] = copy[i];
	free(s->v);
	*s = (struct addr_set) { .v = copy, .n = k };
	return true;
}

/* Those of a that are, or are not, in b. */
static bool pick(const struct addr_set *a, const struct addr_set *b, bool in_both, struct addr_set *out)
{
	struct addr *v = malloc((a->n ? a->n : 1) * sizeof(*v));
	size_t j = 0, k = 0;
	if (!v)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		while (j < b->n && compare(&b->v[j], &a->v[i]) < 0)
			j++;
		bool both = j < b->n && compare(&b->v[j], &a->v[i]) == 0;
		if (both == in_both)
			v[k++] = a->v[i];
	}
	*out = (struct addr_set) { .v = v, .n = k };
	return true;
}

bool addr_set_minus(const struct addr_set *a, const struct addr_set *b, struct addr_set *out)
{
	return pick(a, b, false, out);
}

bool addr_set_common(const struct addr_set *a, const struct addr_set *b, struct addr_set *out)
{
	return pick(a, b, true, out);
}

bool addr_set_equal(const struct addr_set *a, const struct addr_set *b)
{
	return a->n == b->n && (!a->n || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

void addr_set_free(struct addr_set *s)
{
	free(s->v);
	*s = (struct addr_set) { 0 };
}
