#include "mesh/control/view/journal.h"
#include "mesh/base/sorted.h"

#include <stdlib.h>
#include <string.h>

struct journal_entry {
	uint64_t number;
	int64_t id;
	const struct member *old; /* counted */
	bool identity;
};

/* Room for one more at the end; what was dropped at the front is used again first. */
static struct journal_entry *next_entry(struct journal *j)
{
	if (j->at + j->n == j->size && j->at > j->n) {
		memmove(j->v, j->v + j->at, j->n * sizeof(*j->v));
		j->at = 0;
	}
	if (j->at + j->n == j->size) {
		size_t size = j->size ? j->size * 2 : 16;
		struct journal_entry *v = reallocarray(j->v, size, sizeof(*v));
		if (!v)
			return NULL;
		j->v = v;
		j->size = size;
	}
	return &j->v[j->at + j->n++];
}

bool journal_add(struct journal *j, int64_t id, const struct member *old, bool identity)
{
	struct journal_entry *e = next_entry(j);
	j->now++;
	if (!e)
		return false;
	*e = (struct journal_entry) { j->now, id, old ? member_get(old) : NULL, identity };
	return true;
}

void journal_touch(struct journal *j)
{
	j->now++;
}

void journal_drop(struct journal *j, uint64_t told)
{
	while (j->n && j->v[j->at].number <= told) {
		member_put(j->v[j->at].old);
		j->at++;
		j->n--;
	}
	if (!j->n) {
		free(j->v);
		j->v = NULL;
		j->at = j->size = 0;
	}
}

/* By member, the oldest change first. */
static int by_id(const void *a, const void *b)
{
	const struct journal_entry *x = *(const struct journal_entry *const *)a,
				   *y = *(const struct journal_entry *const *)b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static bool journal_make_room(struct journal_since *s, size_t n)
{
	if (n <= s->size)
		return true;
	struct journal_pair *v = reallocarray(s->v, n, sizeof(*v));
	if (!v)
		return false;
	s->v = v;
	s->size = n;
	return true;
}

static bool journal_collect(struct journal *j, uint64_t told, struct journal_since *s)
{
	size_t first = j->at, n;
	while (first < j->at + j->n && j->v[first].number <= told)
		first++;
	n = j->at + j->n - first;
	const struct journal_entry **order = calloc(n ? n : 1, sizeof(const struct journal_entry *));
	if (!order || !journal_make_room(s, n)) {
		free(order);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		order[i] = &j->v[first + i];
	qsort(order, n, sizeof(const struct journal_entry *), by_id);
	s->n = 0;
	s->identity = false;
	for (size_t i = 0; i < n; i++) {
		s->identity = s->identity || order[i]->identity;
		if (!s->n || s->v[s->n - 1].id != order[i]->id)
			s->v[s->n++] = (struct journal_pair) { order[i]->id, order[i]->old };
	}
	free(order);
	return true;
}

const struct journal_since *journal_since(struct journal *j, uint64_t told)
{
	struct journal_since *s = &j->since;
	if (s->from == told && s->to == j->now && s->to)
		return s;
	s->to = 0;
	if (!journal_collect(j, told, s))
		return NULL;
	s->from = told;
	s->to = j->now;
	return s;
}

static bool pair_before(const void *v, size_t i, const void *id)
{
	return ((const struct journal_pair *)v)[i].id < *(const int64_t *)id;
}

const struct journal_pair *journal_find(const struct journal_since *s, int64_t id)
{
	size_t i = sorted_before(s->v, s->n, &id, pair_before);
	return i < s->n && s->v[i].id == id ? &s->v[i] : NULL;
}

void journal_free(struct journal *j)
{
	journal_drop(j, UINT64_MAX);
	free(j->since.v);
	*j = (struct journal) { 0 };
}
