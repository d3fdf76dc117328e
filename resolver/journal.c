#include "resolver/journal.h"

#include "mesh/base/table.h"
#include <stdlib.h>
#include <string.h>

struct counter {
	uint64_t hash;
	struct journal_count of;
};
struct top {
	size_t n;
	struct counter v[JOURNAL_TOP_MAX];
};
struct journal {
	uint64_t seed[2];
	uint64_t n; /* that ever came; the last is at (n - 1) % JOURNAL_QUESTIONS */
	struct journal_question questions[JOURNAL_QUESTIONS];
	struct top tops[JOURNAL_LISTS];
};

struct journal *journal_new(const uint64_t seed[2])
{
	struct journal *j = calloc(1, sizeof(*j));
	if (j)
		memcpy(j->seed, seed, sizeof(j->seed));
	return j;
}

void journal_free(struct journal *j)
{
	free(j);
}

/* The counter with this hash; else a new one; else the least, which gives way. */
static struct counter *counter_get(struct top *t, uint64_t hash)
{
	struct counter *least = &t->v[0];
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].hash == hash)
			return &t->v[i];
		if (t->v[i].of.n < least->of.n)
			least = &t->v[i];
	}
	if (t->n < JOURNAL_TOP_MAX) {
		least = &t->v[t->n++];
		*least = (struct counter) { .hash = hash };
		return least;
	}
	least->hash = hash;
	least->of.over = least->of.n;
	return least;
}

static void name_count(struct journal *j, enum journal_list list, const struct dns_name *name)
{
	struct counter *c =
		counter_get(&j->tops[list], hash_bytes(name->b, name->len, j->seed[0], j->seed[1]));
	c->of.n++;
	c->of.name = *name;
}

void journal_add(struct journal *j, const struct journal_question *q)
{
	j->questions[j->n++ % JOURNAL_QUESTIONS] = *q;
	name_count(j, q->source == RESOLVER_FROM_BLOCK ? JOURNAL_BLOCKED : JOURNAL_NAMES, &q->name);
	struct counter *c = counter_get(
		&j->tops[JOURNAL_CLIENTS], hash_bytes(&q->client, sizeof(q->client), j->seed[0], j->seed[1]));
	c->of.n++;
	c->of.client = q->client;
}

const struct journal_question *journal_next(const struct journal *j, uint64_t *number)
{
	uint64_t oldest = j->n > JOURNAL_QUESTIONS ? j->n - JOURNAL_QUESTIONS : 0;
	uint64_t at = *number > oldest ? *number : oldest;
	if (at >= j->n)
		return NULL;
	*number = at + 1;
	return &j->questions[at % JOURNAL_QUESTIONS];
}

static int by_count(const void *x, const void *y)
{
	const struct journal_count *a = x, *b = y;
	return (a->n < b->n) - (a->n > b->n);
}

size_t journal_top(const struct journal *j, enum journal_list list, struct journal_count *out, size_t cap)
{
	const struct top *t = &j->tops[list];
	struct journal_count *all = calloc(t->n + 1, sizeof(*all));
	size_t n = t->n < cap ? t->n : cap;
	if (!all)
		return 0;
	for (size_t i = 0; i < t->n; i++)
		all[i] = t->v[i].of;
	qsort(all, t->n, sizeof(*all), by_count);
	memcpy(out, all, n * sizeof(*out));
	free(all);
	return n;
}
