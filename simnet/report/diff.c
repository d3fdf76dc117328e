#include "simnet/report/runs_in.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Two runs of one file are compared step by step: the verdict, then what happened in the step, in the order of what matters most.
 * Times, and what the kernel chooses (ports, ids of processes, numbers of frames), are no difference, so numbers are left out; what
 * happens in another order is none either, since steps do not order what runs beside them. */
enum { ITEM_MAX = 300 };

struct items { /* sorted lines */
	char (*v)[ITEM_MAX];
	size_t n;
};

static void without_numbers(const char *s, char *out, size_t cap)
{
	size_t n = 0;
	while (*s && n + 2 < cap) {
		if (!isdigit((unsigned char)*s)) {
			out[n++] = *s++;
			continue;
		}
		s += strspn(s, "0123456789.");
		out[n++] = '#';
	}
	out[n] = '\0';
}

static void add_item(struct items *all, const char *text)
{
	char(*more)[ITEM_MAX] = reallocarray(all->v, all->n + 1, sizeof(*more));
	if (!more)
		return;
	all->v = more;
	without_numbers(text, all->v[all->n], ITEM_MAX);
	for (size_t i = 0; i < all->n; i++) /* once is enough: how often is a matter of time */
		if (!strcmp(all->v[i], all->v[all->n]))
			return;
	all->n++;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct items items_of(const struct run *run, unsigned step, const char *const *kinds)
{
	struct items all = { 0 };
	size_t from, to;
	char text[ITEM_MAX];

	if (!run_step_range(run, step, &from, &to))
		return all;
	for (size_t i = from; i < to; i++) {
		const json_t *r = json_array_get(run->records, i);
		bool wanted = false;
		for (const char *const *k = kinds; *k && !wanted; k++)
			wanted = record_is(r, *k);
		if (!wanted)
			continue;
		if (record_is(r, "drop"))
			snprintf(text, sizeof(text), "%s died at %s: %s", record_text(r, "proto"),
				record_text(r, "where"), record_text(r, "rule"));
		else if (record_is(r, "program"))
			snprintf(
				text, sizeof(text), "%s %s", record_text(r, "node"), record_text(r, "state"));
		else
			snprintf(text, sizeof(text), "%s", record_text(r, "text"));
		add_item(&all, text);
	}
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_text);
	return all;
}

static const char *only_in(const struct items *a, const struct items *b)
{
	for (size_t i = 0; i < a->n; i++) {
		bool found = false;
		for (size_t k = 0; k < b->n && !found; k++)
			found = !strcmp(a->v[i], b->v[k]);
		if (!found)
			return a->v[i];
	}
	return NULL;
}

static void put_sides(FILE *out, const char *a, const char *b)
{
	fputs("\n  A: ", out);
	put_clean(out, a);
	fputs("\n  B: ", out);
	put_clean(out, b);
	fputc('\n', out);
}

/* What happened in one run's step alone, of these kinds. */
static bool items_differ(const struct run *a, const struct run *b, unsigned step, const char *const *kinds,
	const char *what, const struct runs_look *look)
{
	struct items in_a = items_of(a, step, kinds), in_b = items_of(b, step, kinds);
	const char *one = only_in(&in_a, &in_b), *other = only_in(&in_b, &in_a);

	if (one || other) {
		fprintf(look->out, "step %u: %s differ", step, what);
		put_sides(look->out, one ? one : "(nothing else)", other ? other : "(nothing else)");
	}
	free(in_a.v);
	free(in_b.v);
	return one || other;
}

static bool texts_differ(
	const char *what, unsigned step, const char *a, const char *b, const struct runs_look *look)
{
	char one[ITEM_MAX], other[ITEM_MAX];

	without_numbers(a, one, sizeof(one));
	without_numbers(b, other, sizeof(other));
	if (!strcmp(one, other))
		return false;
	fprintf(look->out, "step %u: %s", step, what);
	put_sides(look->out, *a ? a : "(nothing)", *b ? b : "(nothing)");
	return true;
}

static const char *verdict_of(const struct run *run, unsigned step)
{
	const json_t *end = run_find(run, "step-end", step);
	return end			     ? record_text(end, "verdict")
	       : run_find(run, "step", step) ? "did not end"
					     : "not reached";
}

static bool step_differs(
	const struct run *a, const struct run *b, unsigned step, const struct runs_look *look)
{
	static const char *const causes[] = { "cause", NULL }, *const paths[] = { "path", NULL },
				 *const drops[] = { "drop", NULL }, *const programs[] = { "program", NULL },
				 *const said[] = { "ping", "resolve", "expect", "run", "spawn", "kill", "cut",
					 "heal", "reset", "mark", NULL };

	if (step &&
		texts_differ("the verdicts differ", step, verdict_of(a, step), verdict_of(b, step), look)) {
		(void)items_differ(a, b, step, causes, "the causes", look);
		return true;
	}
	if (step && texts_differ("it failed in another way", step,
			    record_text(run_find(a, "step-end", step), "text"),
			    record_text(run_find(b, "step-end", step), "text"), look))
		return true;
	return items_differ(a, b, step, programs, "the states of programs", look) ||
	       items_differ(a, b, step, paths, "the paths", look) ||
	       items_differ(a, b, step, drops, "the packets that died", look) ||
	       items_differ(a, b, step, said, "the stories", look);
}

int runs_diff(const struct runs *a, const struct runs *b, size_t run, const struct runs_look *look)
{
	unsigned n = runs_steps(a, run), m = runs_steps(b, run);

	for (unsigned i = 1; i <= (n > m ? n : m); i++)
		if (texts_differ("the files ask for different things", i,
			    record_text(run_find(&a->list[run], "plan", i), "text"),
			    record_text(run_find(&b->list[run], "plan", i), "text"), look))
			return 1;
	for (unsigned i = 0; i <= (n > m ? n : m); i++)
		if (step_differs(&a->list[run], &b->list[run], i, look))
			return 1;
	fprintf(look->out, "no difference in %u step%s: verdicts, programs, paths, packets that died\n", n,
		n == 1 ? "" : "s");
	return 0;
}
