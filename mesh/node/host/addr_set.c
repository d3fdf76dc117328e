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
		memmove(&s->v[at], &s->v[at + 1], (--s->n - at) * sizeof(*s->v));
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
	b->v = copy;
	b->n = b->cap = n;
	b->n_late = b->n_more = 0;
	return true;
}

/* How often a stands among the many, from `at` on. */
static size_t times_at(const struct addr_bag *b, size_t at, const struct addr *a)
{
	size_t k = 0;
	while (at + k < b->n && compare_addr(&b->v[at + k], a) == 0)
		k++;
	return k;
}

static bool late_before(const void *v, size_t i, const void *a)
{
	return compare_addr(&((const struct addr_late *)v)[i].a, a) < 0;
}

/* Index of the first that is not less than a; *more: of a, 0 when it does not wait. */
static size_t late_place(const struct addr_bag *b, const struct addr *a, int *more)
{
	size_t i = sorted_before(b->late, b->n_late, a, late_before);
	*more = i < b->n_late && compare_addr(&b->late[i].a, a) == 0 ? b->late[i].more : 0;
	return i;
}

static size_t times(const struct addr_bag *b, const struct addr *a)
{
	bool there;
	int more;
	size_t at = place_of(b->v, b->n, a, &there);
	(void)late_place(b, a, &more);
	return (size_t)((ptrdiff_t)(there ? times_at(b, at, a) : 0) + more);
}

/* What stands between two that go moves once. */
static void take_out(struct addr_bag *b)
{
	size_t to = 0, from = 0;
	bool there;
	for (size_t i = 0; i < b->n_late; i++) {
		if (b->late[i].more > 0)
			continue;
		size_t at = place_of(b->v, b->n, &b->late[i].a, &there);
		memmove(&b->v[to], &b->v[from], (at - from) * sizeof(*b->v));
		to += at - from;
		from = at + (size_t)-b->late[i].more;
	}
	if (!from)
		return;
	memmove(&b->v[to], &b->v[from], (b->n - from) * sizeof(*b->v));
	b->n -= from - to;
}

/* From the end on: what stands behind one that comes moves once. There is room. */
static void put_in(struct addr_bag *b)
{
	size_t end = b->n, shift = b->n_more;
	bool there;
	b->n += shift;
	for (size_t i = b->n_late; shift && i-- > 0;) {
		if (b->late[i].more < 0)
			continue;
		size_t at = place_of(b->v, end, &b->late[i].a, &there);
		memmove(&b->v[at + shift], &b->v[at], (end - at) * sizeof(*b->v));
		for (int k = 0; k < b->late[i].more; k++)
			b->v[at + --shift] = b->late[i].a;
		end = at;
	}
}

struct addr_set addr_bag_all(struct addr_bag *b)
{
	if (b->n_late) {
		take_out(b);
		put_in(b);
		b->n_late = b->n_more = 0;
	}
	return (struct addr_set) { .v = b->v, .n = b->n };
}

/* Among the many there is room for all that wait and one more. */
static bool bag_reserve(struct addr_bag *b)
{
	size_t need = b->n + b->n_more + 1, cap = need + need / 8 + ADDR_BAG_LATE;
	if (need <= b->cap)
		return true;
	struct addr *v = realloc(b->v, cap * sizeof(*v));
	if (!v)
		return false;
	b->v = v;
	b->cap = cap;
	return true;
}

/* One more, or one less. */
static void bag_change(struct addr_bag *b, const struct addr *a, int by)
{
	int more;
	size_t i = late_place(b, a, &more);
	if (!more && b->n_late == ADDR_BAG_LATE) {
		(void)addr_bag_all(b);
		i = 0;
	}
	if (!more) {
		memmove(&b->late[i + 1], &b->late[i], (b->n_late - i) * sizeof(b->late[0]));
		b->late[i] = (struct addr_late) { .a = *a };
		b->n_late++;
	}
	b->late[i].more += by;
	if (by > 0 && more >= 0)
		b->n_more++;
	else if (by < 0 && more > 0)
		b->n_more--;
	if (b->late[i].more)
		return;
	b->n_late--;
	memmove(&b->late[i], &b->late[i + 1], (b->n_late - i) * sizeof(b->late[0]));
}

bool addr_bag_add(struct addr_bag *b, const struct addr *a)
{
	if (!bag_reserve(b))
		return false;
	bag_change(b, a, 1);
	return true;
}

void addr_bag_remove(struct addr_bag *b, const struct addr *a)
{
	if (times(b, a))
		bag_change(b, a, -1);
}

bool addr_bag_has(const struct addr_bag *b, const struct addr *a)
{
	return times(b, a) > 0;
}

void addr_bag_free(struct addr_bag *b)
{
	free(b->v);
	*b = (struct addr_bag) { 0 };
}
