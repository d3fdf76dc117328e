#include "mesh/node/host/addr_set.h"
#include "mesh/base/sorted.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Two loads each instead of a call: sets of a big mesh are gone through on the loop's thread. */
static int compare_addr(const struct addr *a, const struct addr *b)
{
	for (size_t at = 0; at < sizeof(a->b); at += sizeof(uint64_t)) {
		uint64_t x, y;
		memcpy(&x, a->b + at, sizeof(x));
		memcpy(&y, b->b + at, sizeof(y));
		x = be64toh(x);
		y = be64toh(y);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return compare_addr(a, b);
}

/* A sorted copy; NULL when memory is short. */
static struct addr *sorted_copy(const struct addr *v, size_t n)
{
	struct addr *copy = malloc((n ? n : 1) * sizeof(*copy));
	bool sorted = true;
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = v[i];
		sorted = sorted && (!i || compare_addr(&v[i - 1], &v[i]) <= 0);
	}
	if (copy && !sorted)
		qsort(copy, n, sizeof(*copy), compare);
	return copy;
}

bool addr_set_assign(struct addr_set *s, const struct addr *v, size_t n)
{
	struct addr *copy = sorted_copy(v, n);
	size_t k = 0;
	if (!copy)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!k || compare_addr(&copy[k - 1], &copy[i]) != 0)
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
		while (j < b->n && compare_addr(&b->v[j], &a->v[i]) < 0)
			j++;
		bool both = j < b->n && compare_addr(&b->v[j], &a->v[i]) == 0;
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

bool addr_set_has(const struct addr_set *s, const struct addr *a)
{
	return s->n && bsearch(a, s->v, s->n, sizeof(*s->v), compare);
}

bool addr_set_equal(const struct addr_set *a, const struct addr_set *b)
{
	return a->n == b->n && (!a->n || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

static bool addr_before(const void *v, size_t i, const void *a)
{
	return compare_addr(&((const struct addr *)v)[i], a) < 0;
}

/* Index of the first that is not less than a; *there: it is a. */
static size_t place_of(const struct addr *v, size_t n, const struct addr *a, bool *there)
{
	size_t at = sorted_before(v, n, a, addr_before);
	*there = at < n && compare_addr(&v[at], a) == 0;
	return at;
}

static bool insert_at(struct addr **v, size_t *n, size_t at, const struct addr *a)
{
	struct addr *room = realloc(*v, (*n + 1) * sizeof(*room));
	if (!room)
		return false;
	memmove(&room[at + 1], &room[at], (*n - at) * sizeof(*room));
	room[at] = *a;
	*v = room;
	++*n;
	return true;
}

static void remove_at(struct addr *v, size_t *n, size_t at)
{
	--*n;
	memmove(&v[at], &v[at + 1], (*n - at) * sizeof(*v));
}

bool addr_set_add(struct addr_set *s, const struct addr *a)
{
	bool there;
	size_t at = place_of(s->v, s->n, a, &there);
	return there || insert_at(&s->v, &s->n, at, a);
}

void addr_set_remove(struct addr_set *s, const struct addr *a)
{
	bool there;
	size_t at = place_of(s->v, s->n, a, &there);
	if (there)
		remove_at(s->v, &s->n, at);
}

void addr_set_free(struct addr_set *s)
{
	free(s->v);
	*s = (struct addr_set) { 0 };
}

/* --- bags --- */

bool addr_bag_assign(struct addr_bag *b, const struct addr *v, size_t n)
{
	struct addr *copy = sorted_copy(v, n);
	if (!copy)
		return false;
	free(b->v);
	*b = (struct addr_bag) { .v = copy, .n = n };
	return true;
}

bool addr_bag_add(struct addr_bag *b, const struct addr *a)
{
	bool there;
	size_t at = place_of(b->v, b->n, a, &there);
	return insert_at(&b->v, &b->n, at, a);
}

void addr_bag_remove(struct addr_bag *b, const struct addr *a)
{
	bool there;
	size_t at = place_of(b->v, b->n, a, &there);
	if (there)
		remove_at(b->v, &b->n, at);
}

bool addr_bag_has(const struct addr_bag *b, const struct addr *a)
{
	bool there;
	(void)place_of(b->v, b->n, a, &there);
	return there;
}

void addr_bag_free(struct addr_bag *b)
{
	free(b->v);
	*b = (struct addr_bag) { 0 };
}
