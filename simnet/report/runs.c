#include "simnet/report/runs_in.h"

#include "mesh/base/text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_MAX = 2000000, LINE_MAX_BYTES = 1 << 20, KIND_MAX = 32, OPEN_MAX = 64, STEPS_MAX = 2000 };

const char *record_text(const json_t *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r, key));
	return s ? s : "";
}

void put_clean(FILE *out, const char *s)
{
	const uint8_t *at = (const uint8_t *)s, *end = at + strlen(s);
	while (at < end) {
		uint32_t v = 0;
		size_t n = text_utf8(at, (size_t)(end - at), &v);
		if (n && !text_is_harmful(v))
			fwrite(at, n, 1, out);
		else
			fputc(' ', out);
		at += n ? n : 1;
	}
}

void put_field(FILE *out, const json_t *r, const char *key)
{
	put_clean(out, record_text(r, key));
}

double record_number(const json_t *r, const char *key)
{
	return json_number_value(json_object_get(r, key));
}

bool record_is(const json_t *r, const char *kind)
{
	return !strcmp(record_text(r, "kind"), kind);
}

static bool ends_run(const json_t *r)
{
	return record_is(r, "pass") || record_is(r, "fail") || record_is(r, "error") ||
	       record_is(r, "skip") || record_is(r, "unsure");
}

/* ---- reading ---- */

static bool is_record(const json_t *r)
{
	const json_t *t = json_object_get(r, "t");
	double at = json_number_value(t);
	size_t kind = strlen(record_text(r, "kind"));

	return json_is_number(t) && isfinite(at) && at > -1e9 && at < 1e9 && kind && kind <= KIND_MAX;
}

/* Runs whose records are being gathered: several may be written at once. */
struct gathering {
	struct runs *out;
	struct run open[OPEN_MAX];
	size_t n_open;
};

static bool same_run(const struct run *run, const json_t *r)
{
	const json_t *first = json_array_get(run->records, 0);
	return !strcmp(record_text(first, "scenario"), record_text(r, "scenario")) &&
	       !strcmp(record_text(first, "variant"), record_text(r, "variant"));
}

static struct run *run_of(struct gathering *g, const json_t *r)
{
	for (size_t i = 0; i < g->n_open; i++)
		if (same_run(&g->open[i], r))
			return &g->open[i];
	if (g->n_open == OPEN_MAX)
		return NULL;
	struct run *run = &g->open[g->n_open];
	*run = (struct run) { .records = json_array() };
	g->n_open += run->records != NULL;
	return run->records ? run : NULL;
}

static int close_one(struct gathering *g, struct run *run)
{
	struct runs *out = g->out;
	struct run *more = reallocarray(out->list, out->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	out->list = more;
	out->list[out->n++] = *run;
	*run = g->open[--g->n_open];
	return 0;
}

static int gather(struct gathering *g, json_t *r, struct errbuf *eb)
{
	struct run *run = run_of(g, r);

	if (!run)
		json_decref(r);
	if (!run || json_array_append_new(run->records, r))
		return err_say(
			eb, ERR_TOO_LARGE, "more than %d runs at once, or no memory for them", OPEN_MAX);
	if (!ends_run(r))
		return 0;
	run->end = r;
	return close_one(g, run) ? err_set(eb, -ENOMEM, "read a run") : 0;
}

static int read_line(struct gathering *g, const char *line, size_t len, size_t number, struct errbuf *eb)
{
	json_error_t why;
	json_t *r = len <= LINE_MAX_BYTES ? json_loadb(line, len, JSON_REJECT_DUPLICATES, &why) : NULL;

	if (r && is_record(r))
		return gather(g, r, eb);
	int err = err_say(eb, ERR_MALFORMED, "line %zu is no record of a run: %.120s", number,
		len > LINE_MAX_BYTES ? "it is too long"
		: !r		     ? why.text
				     : "it lacks a number 't' or a word 'kind'");
	json_decref(r);
	return err;
}

static int read_lines(struct gathering *g, const char *text, size_t len, struct errbuf *eb)
{
	size_t number = 0;
	const char *nl;

	while (len && (nl = memchr(text, '\n', len))) {
		size_t n = (size_t)(nl - text);
		int err = ++number > RECORDS_MAX
				  ? err_say(eb, ERR_TOO_LARGE, "more than %d records", RECORDS_MAX)
				  : read_line(g, text, n, number, eb);
		if (err)
			return err;
		text += n + 1;
		len -= n + 1;
	}
	return 0;
}

int runs_read(const char *text, size_t len, struct runs **out, struct errbuf *eb)
{
	struct runs *all = calloc(1, sizeof(*all));
	struct gathering g = { .out = all };

	if (!all)
		return err_set(eb, -ENOMEM, "read a run");
	int err = read_lines(&g, text, len, eb);
	while (!err && !all->n && g.n_open) /* killed before its end */
		err = close_one(&g, &g.open[0]);
	for (size_t i = 0; i < g.n_open; i++)
		json_decref(g.open[i].records);
	if (!err && !all->n)
		err = err_say(eb, ERR_MALFORMED, "there is no record of a run in it");
	if (err)
		runs_free(all);
	else
		*out = all;
	return err;
}

void runs_free(struct runs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		json_decref(r->list[i].records);
	free(r->list);
	free(r);
}

size_t runs_count(const struct runs *r)
{
	return r->n;
}

/* ---- steps ---- */

unsigned runs_steps(const struct runs *r, size_t run)
{
	unsigned most = 0;
	size_t i;
	json_t *one;

	json_array_foreach(r->list[run].records, i, one)
	{
		double n = record_is(one, "plan") || record_is(one, "step") ? record_number(one, "step") : 0;
		most = n > most && n <= STEPS_MAX ? (unsigned)n : most;
	}
	return most;
}

const json_t *run_find(const struct run *run, const char *kind, unsigned step)
{
	size_t i;
	json_t *one;

	json_array_foreach(run->records, i, one)
	{
		if (record_is(one, kind) && (!step || record_number(one, "step") == step))
			return one;
	}
	return NULL;
}

bool run_step_range(const struct run *run, unsigned step, size_t *from, size_t *to)
{
	size_t i, n = json_array_size(run->records);
	json_t *one;
	bool found = !step;

	*from = 0;
	*to = n;
	json_array_foreach(run->records, i, one)
	{
		if (!record_is(one, "step"))
			continue;
		if (found) {
			*to = i;
			return true;
		}
		if (record_number(one, "step") == step) {
			found = true;
			*from = i;
		}
	}
	return found;
}
