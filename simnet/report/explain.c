#include "simnet/report/runs_in.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A run in a terminal: its steps, one step with all that happened in it, how things stood at some time. */
enum { PACKETS_SHOWN = 40, LINES_SHOWN = 40 };
enum { C_PLAIN, C_GOOD, C_BAD, C_EVENT, C_NOTE, C_FRAME };

static const char *colour(const struct runs_look *look, int which)
{
	static const char *const codes[] = { "", "\033[32m", "\033[31m", "\033[1m", "\033[2m", "\033[36m" };
	return look->colour ? codes[which] : "";
}

static const char *plain(const struct runs_look *look)
{
	return look->colour ? "\033[0m" : "";
}

/* Filled up to width, and a blank. */
static void put_column(FILE *out, const json_t *r, const char *key, int width)
{
	int n = (int)strnlen(record_text(r, key), (size_t)width);
	put_field(out, r, key);
	fprintf(out, "%*s", width - n + 1, "");
}

static int colour_of(const json_t *r)
{
	static const char *const marks[] = { [C_PLAIN] = "plain",
		[C_GOOD] = "good",
		[C_BAD] = "bad",
		[C_EVENT] = "event",
		[C_NOTE] = "note" };
	const char *mark = record_text(r, "mark");
	for (int i = 0; i <= C_NOTE; i++)
		if (!strcmp(mark, marks[i]))
			return i;
	return C_PLAIN;
}

static void put_told(const json_t *r, const struct runs_look *look)
{
	static const char signs[] = {
		[C_PLAIN] = ' ', [C_GOOD] = '+', [C_BAD] = '!', [C_EVENT] = '*', [C_NOTE] = ' '
	};
	int c = colour_of(r);
	fprintf(look->out, "%9.3f %c %s", record_number(r, "t"), signs[c], colour(look, c));
	put_field(look->out, r, "text");
	fprintf(look->out, "%s\n", plain(look));
}

static void put_drop(const json_t *r, const struct runs_look *look)
{
	fprintf(look->out, "%9.3f x %s%g ", record_number(r, "t"), colour(look, C_NOTE),
		record_number(r, "count"));
	put_field(look->out, r, "proto");
	fputc(' ', look->out);
	put_field(look->out, r, "src");
	fputs(" -> ", look->out);
	put_field(look->out, r, "dst");
	fputs(" died at ", look->out);
	put_field(look->out, r, "where");
	fputs(": ", look->out);
	put_field(look->out, r, "rule");
	fprintf(look->out, "%s\n", plain(look));
}

static void put_line(const json_t *r, const struct runs_look *look)
{
	fprintf(look->out, "%9.3f | %s", record_number(r, "t"), colour(look, C_NOTE));
	put_field(look->out, r, "node");
	fputs(": ", look->out);
	put_field(look->out, r, "text");
	fprintf(look->out, "%s\n", plain(look));
}

static void put_packet(const json_t *r, const struct runs_look *look)
{
	const char *comment = record_text(r, "comment");
	fprintf(look->out, "%9.3f # %s%-6.0f%s ", record_number(r, "t"), colour(look, C_FRAME),
		record_number(r, "frame"), plain(look));
	put_column(look->out, r, "link", 14);
	put_column(look->out, r, "proto", 4);
	put_field(look->out, r, "src");
	fputs(" > ", look->out);
	put_field(look->out, r, "dst");
	fprintf(look->out, "  %g bytes  ", record_number(r, "bytes"));
	put_field(look->out, r, "info");
	if (*comment) {
		fprintf(look->out, "  %s", colour(look, C_BAD));
		put_clean(look->out, comment);
		fputs(plain(look), look->out);
	}
	fputc('\n', look->out);
}

static bool is_told(const json_t *r)
{
	return json_object_get(r, "mark") != NULL;
}

/* ---- the whole ---- */

static void put_head(const struct run *run, const struct runs_look *look)
{
	const json_t *head = run_find(run, "run", 0), *first = json_array_get(run->records, 0);
	const char *variant = record_text(first, "variant"), *about = record_text(head, "text");

	fputs(colour(look, C_EVENT), look->out);
	put_field(look->out, first, "scenario");
	fputs(*variant ? " [" : "", look->out);
	put_clean(look->out, variant);
	fprintf(look->out, "%s%s   ", *variant ? "]" : "", plain(look));
	put_field(look->out, first, "file");
	if (head) {
		fprintf(look->out, ", seed %.0f, ", record_number(head, "seed"));
		put_field(look->out, head, "engine");
		fputs(" engine", look->out);
	}
	fputc('\n', look->out);
	if (*about) {
		put_clean(look->out, about);
		fputc('\n', look->out);
	}
}

static void put_steps(const struct run *run, unsigned n, unsigned shown, const struct runs_look *look)
{
	for (unsigned i = 1; i <= n; i++) {
		const json_t *plan = run_find(run, "plan", i), *begin = run_find(run, "step", i),
			     *end = run_find(run, "step-end", i);
		const json_t *what = plan ? plan : begin;
		const char *verdict = record_text(end, "verdict");
		int c = !strcmp(verdict, "pass") ? C_GOOD : !strcmp(verdict, "fail") ? C_BAD : C_NOTE;
		fprintf(look->out, "%s%3u %c %s", i == shown ? ">" : " ", i,
			c == C_GOOD  ? '+'
			: c == C_BAD ? '!'
				     : '.',
			colour(look, c));
		put_column(look->out, what, "what", 8);
		put_field(look->out, what, "text");
		if (end)
			fprintf(look->out, "   %.2f s", record_number(end, "seconds"));
		else
			fprintf(look->out, "   %s", begin ? "did not end" : "not reached");
		fprintf(look->out, "%s\n", plain(look));
	}
}

/* ---- one step ---- */

static bool within(const json_t *r, double from, double to)
{
	double t = record_number(r, "t");
	return t >= from && t < to;
}

/* Packets are written at the end of a run: they are a step's by their time. */
static void put_packets(const struct run *run, double from, double to, const struct runs_look *look)
{
	size_t i, n = 0, died = 0, shown = 0;
	json_t *r;

	json_array_foreach(run->records, i, r)
	{
		if (record_is(r, "packet") && within(r, from, to)) {
			n++;
			died += *record_text(r, "comment") != '\0';
		}
	}
	if (!n)
		return;
	fprintf(look->out, "packets, %zu; died: %zu\n", n, died);
	json_array_foreach(run->records, i, r)
	{
		bool is = record_is(r, "packet") && within(r, from, to);
		bool matters = n <= PACKETS_SHOWN || *record_text(r, "comment");
		if (is && matters && shown++ < PACKETS_SHOWN)
			put_packet(r, look);
	}
	if (shown < n)
		fprintf(look->out, "%10s %zu more; they are in net.pcapng\n", "",
			n - (shown < PACKETS_SHOWN ? shown : PACKETS_SHOWN));
}

static void put_range(const struct run *run, size_t from, size_t to, const struct runs_look *look)
{
	size_t lines = 0, said = 0;

	for (size_t i = from; i < to; i++)
		lines += record_is(json_array_get(run->records, i), "line");
	for (size_t i = from; i < to; i++) {
		const json_t *r = json_array_get(run->records, i);
		if (is_told(r))
			put_told(r, look);
		else if (record_is(r, "drop"))
			put_drop(r, look);
		else if (record_is(r, "line") && lines - said++ <= LINES_SHOWN)
			put_line(r, look);
	}
}

static void step_times(const struct run *run, unsigned step, double *from, double *to)
{
	const json_t *begin = run_find(run, "step", step), *next = run_find(run, "step", step + 1);
	*from = step && begin ? record_number(begin, "t") : -INFINITY;
	*to = next ? record_number(next, "t") : INFINITY;
}

int runs_explain(
	const struct runs *r, size_t run, unsigned step, const struct runs_look *look, struct errbuf *eb)
{
	const struct run *one = &r->list[run];
	unsigned n = runs_steps(r, run), shown = step;
	size_t from, to;
	double since, until;

	for (unsigned i = 1; !shown && i <= n; i++)
		if (!strcmp(record_text(run_find(one, "step-end", i), "verdict"), "fail") ||
			(run_find(one, "step", i) && !run_find(one, "step-end", i)))
			shown = i;
	if (step && !run_step_range(one, step, &from, &to))
		return err_say(eb, ERR_REFUSED, "step %u did not run; the file has %u", step, n);
	put_head(one, look);
	put_steps(one, n, shown, look);
	if (!shown && one->end && record_is(one->end, "pass")) {
		fprintf(look->out, "all passed; a step's number after the folder shows that step\n");
		return 0;
	}
	fputc('\n', look->out);
	if (!run_step_range(one, shown, &from, &to))
		return 0;
	put_range(one, from, to, look);
	step_times(one, shown, &since, &until);
	put_packets(one, since, until, look);
	return 0;
}

/* ---- how things stood ---- */

/* Is the newest of all records with the same value of `key` (and key2) before t? */
static bool is_newest(const struct run *run, size_t at, double t, const char *key, const char *key2)
{
	const json_t *r = json_array_get(run->records, at);
	for (size_t i = at + 1; i < json_array_size(run->records); i++) {
		const json_t *later = json_array_get(run->records, i);
		if (record_is(later, record_text(r, "kind")) && record_number(later, "t") <= t &&
			!strcmp(record_text(later, key), record_text(r, key)) &&
			(!key2 || !strcmp(record_text(later, key2), record_text(r, key2))))
			return false;
	}
	return true;
}

static bool is_healed(const struct run *run, size_t at, double t)
{
	const char *cut = record_text(json_array_get(run->records, at), "text");
	size_t name = strcspn(cut, " ");
	for (size_t i = at + 1; i < json_array_size(run->records); i++) {
		const json_t *r = json_array_get(run->records, i);
		if (record_is(r, "heal") && record_number(r, "t") <= t &&
			!strncmp(record_text(r, "text"), cut, name + 1))
			return true;
	}
	return false;
}

static void put_state(FILE *out, const char *of, const char *what, const char *how)
{
	fprintf(out, "  %-9s", of);
	put_clean(out, what);
	fputs(*how ? " " : "", out);
	put_clean(out, how);
	fputc('\n', out);
}

void runs_state(const struct runs *r, size_t run, double t, const struct runs_look *look)
{
	const struct run *one = &r->list[run];
	const json_t *step = NULL;
	size_t i, drops = 0;
	json_t *at;

	json_array_foreach(one->records, i, at)
	{
		if (record_number(at, "t") > t)
			continue;
		if (record_is(at, "step"))
			step = at;
		drops += record_is(at, "drop");
	}
	fprintf(look->out, "at %.3f s: ", t == INFINITY ? record_number(one->end, "t") : t);
	if (step)
		fprintf(look->out, "step %g, ", record_number(step, "step"));
	put_clean(look->out, step ? record_text(step, "what") : "before the first step");
	fputc('\n', look->out);
	json_array_foreach(one->records, i, at)
	{
		if (record_number(at, "t") > t)
			continue;
		if (record_is(at, "program") && is_newest(one, i, t, "node", NULL))
			put_state(look->out, "program", record_text(at, "node"), record_text(at, "state"));
		else if (record_is(at, "path") && is_newest(one, i, t, "from", "to"))
			put_state(look->out, "path", record_text(at, "text"), "");
		else if (record_is(at, "cut") && !is_healed(one, i, t))
			put_state(look->out, "cut", record_text(at, "text"), "");
	}
	fprintf(look->out, "  died     %zu packets or bursts of them so far\n", drops);
}

void runs_replay(const struct runs *r, size_t run, unsigned step, const struct runs_look *look)
{
	const struct run *one = &r->list[run];
	size_t from, to;
	double since, until;

	if (!step)
		put_head(one, look);
	const json_t *plan = run_find(one, "plan", step ? step : UINT32_MAX);
	fprintf(look->out, "%sstep %u of %u  ", colour(look, C_EVENT), step, runs_steps(r, run));
	put_clean(look->out, step ? record_text(plan, "what") : "before the first");
	fputs("  ", look->out);
	put_field(look->out, plan, "text");
	fprintf(look->out, "%s\n", plain(look));
	if (!run_step_range(one, step, &from, &to)) {
		fprintf(look->out, "  not reached\n");
		return;
	}
	put_range(one, from, to, look);
	step_times(one, step, &since, &until);
	put_packets(one, since, until, look);
	runs_state(r, run, until - 1e-6, look);
}
