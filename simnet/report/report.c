#include "simnet/report/story.h"

#include "simnet/report/runs_in.h"
#include <string.h>

static void xml(FILE *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '&')
			fputs("&amp;", out);
		else if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else if (c == '\n' || c == '\t') /* plain ones become spaces in an attribute */
			fprintf(out, "&#%d;", c);
		else if (c >= 0x20)
			fputc(c, out);
	}
}

/* As scenario_title has it, so that `run -k` finds it by what a report says. */
static void name_of(const json_t *end, char *buf, size_t cap)
{
	const char *variant = record_text(end, "variant");
	snprintf(buf, cap, "%s%s%s%s", record_text(end, "scenario"), *variant ? " [" : "", variant,
		*variant ? "]" : "");
}

/* It passed in the place of a run that was inconclusive. */
static bool was_slow(const json_t *end)
{
	return record_is(end, "pass") && *record_text(end, "earlier");
}

/* The sentence of a failure: what the end record carries for it, or its own text. */
static const char *message_of(const json_t *end)
{
	const char *m = record_text(end, "message");
	return *m ? m : record_text(end, "text");
}

static void story_lines(FILE *out, const struct run *o, void (*put)(FILE *, const char *))
{
	for (size_t i = 0; i < json_array_size(o->records); i++) {
		const json_t *r = json_array_get(o->records, i);
		if (!json_object_get(r, "mark") || r == o->end)
			continue;
		fprintf(out, "%8.2f ", record_number(r, "t"));
		put(out, record_text(r, "text"));
		fputc('\n', out);
	}
}

static void junit_case(FILE *out, const struct run *o, unsigned number)
{
	const char *kind = record_text(o->end, "kind");
	char name[256];
	(void)number;

	name_of(o->end, name, sizeof(name));
	fputs("  <testcase classname=\"simnet\" name=\"", out);
	xml(out, name);
	fputs("\" file=\"", out);
	xml(out, record_text(o->end, "file"));
	fprintf(out, "\" time=\"%.3f\">\n", json_number_value(json_object_get(o->end, "seconds")));
	if (was_slow(o->end))
		fputs("    <properties><property name=\"slow-at-first\" value=\"true\"/></properties>\n",
			out);
	if (strcmp(kind, "pass") != 0) {
		fprintf(out, "    <%s message=\"",
			!strcmp(kind, "fail")				   ? "failure"
			: !strcmp(kind, "skip") || !strcmp(kind, "unsure") ? "skipped"
									   : "error");
		xml(out, message_of(o->end));
		fprintf(out, "\"/>\n");
	}
	fputs("    <system-out>", out);
	story_lines(out, o, xml);
	fputs("</system-out>\n  </testcase>\n", out);
}

/* In a test's description '#' begins a directive (TAP 14). */
static void tap_name(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '#' || *s == '\\')
			fputc('\\', out);
		fputc(*s == '\n' ? ' ' : *s, out);
	}
}

/* Lines of a YAML block, indented. */
static void tap_lines(FILE *out, const char *s)
{
	for (; *s; s++) {
		fputc(*s, out);
		if (*s == '\n')
			fputs("    ", out);
	}
}

static void tap_quoted(FILE *out, const char *s)
{
	fputc('\'', out);
	for (; *s; s++)
		fputs(*s == '\'' ? "''" : (const char[]) { *s == '\n' ? ' ' : *s, '\0' }, out);
	fputc('\'', out);
}

static void tap_case(FILE *out, const struct run *o, unsigned number)
{
	const char *kind = record_text(o->end, "kind");
	bool pass = !strcmp(kind, "pass"), skipped = !strcmp(kind, "skip");
	char name[256];

	name_of(o->end, name, sizeof(name));
	fprintf(out, "%sok %u - ", pass || skipped ? "" : "not ", number);
	tap_name(out, name);
	if (skipped) {
		fputs(" # SKIP ", out);
		tap_name(out, message_of(o->end));
	}
	fputc('\n', out);
	if (pass || skipped)
		return;
	fprintf(out, "  ---\n%s  message: |2\n    ",
		strcmp(kind, "unsure") != 0 ? "" : "  inconclusive: true\n");
	tap_lines(out, message_of(o->end));
	fputs("\n  at: {file: ", out);
	tap_quoted(out, record_text(o->end, "file"));
	fprintf(out, ", line: %d}\n  story: |2\n", (int)json_integer_value(json_object_get(o->end, "line")));
	for (size_t i = 0; i < json_array_size(o->records); i++) {
		const json_t *r = json_array_get(o->records, i);
		if (!json_object_get(r, "mark") || r == o->end)
			continue;
		fprintf(out, "    %8.2f ", record_number(r, "t"));
		tap_lines(out, record_text(r, "text"));
		fputc('\n', out);
	}
	fputs("  ...\n", out);
}

/* A workflow command is one line; its properties have separators of their own. */
static void github_text(FILE *out, const char *s, const char *escaped)
{
	for (; *s; s++)
		if (strchr(escaped, *s))
			fprintf(out, "%%%02X", (unsigned char)*s);
		else
			fputc(*s, out);
}

static void github_case(FILE *out, const struct run *o, unsigned number)
{
	static const char in_message[] = "%\r\n", in_property[] = "%\r\n:,";
	const char *kind = record_text(o->end, "kind");
	char name[256];
	(void)number;

	if (!strcmp(kind, "pass") && !was_slow(o->end))
		return;
	name_of(o->end, name, sizeof(name));
	bool mild = was_slow(o->end) || !strcmp(kind, "skip") || !strcmp(kind, "unsure");
	fprintf(out, "::%s file=", mild ? "notice" : "error");
	github_text(out, record_text(o->end, "file"), in_property);
	fprintf(out, ",line=%d,title=", (int)json_integer_value(json_object_get(o->end, "line")));
	github_text(out, name, in_property);
	fputs("::", out);
	github_text(out, message_of(o->end), in_message);
	fputc('\n', out);
}

/* A cell of a Markdown table. */
static void summary_cell(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '|' || *s == '<')
			fputc('\\', out);
		fputc(*s == '\n' ? ' ' : *s, out);
	}
}

static void summary_row(FILE *out, const struct run *o, unsigned number)
{
	const char *kind = record_text(o->end, "kind");
	char name[256];
	(void)number;

	name_of(o->end, name, sizeof(name));
	fputs("| ", out);
	summary_cell(out, name);
	fprintf(out, " | %s | %.1f s | %lld | ",
		was_slow(o->end)	  ? "passed, slow at first"
		: !strcmp(kind, "pass")	  ? "passed"
		: !strcmp(kind, "fail")	  ? "**failed**"
		: !strcmp(kind, "skip")	  ? "skipped"
		: !strcmp(kind, "unsure") ? "inconclusive"
					  : "**error**",
		json_number_value(json_object_get(o->end, "seconds")),
		(long long)json_integer_value(json_object_get(o->end, "seed")));
	summary_cell(out, strcmp(kind, "pass") != 0 ? message_of(o->end) : "");
	fputs(" |\n", out);
}

/* No line of it may end the block that it stands in. */
static void put_chart(FILE *out, const char *chart)
{
	if (!*chart || strchr(chart, '`'))
		return;
	fputs("```mermaid\n", out);
	fputs(chart, out);
	fputs("```\n\n", out);
}

/* The network and the story of what failed, folded. */
static void summary_story(FILE *out, const struct run *o, unsigned number)
{
	const char *kind = record_text(o->end, "kind");
	char name[256];
	(void)number;

	if (strcmp(kind, "fail") != 0 && strcmp(kind, "error") != 0)
		return;
	name_of(o->end, name, sizeof(name));
	fputs("\n<details><summary>", out);
	xml(out, name);
	fputs("</summary>\n\n", out);
	put_chart(out, record_text(o->end, "chart"));
	fputs("<pre>", out);
	story_lines(out, o, xml);
	fputs("</pre>\n</details>\n", out);
}

/* ---- what was skipped, by reason ---- */

/* A program that is not here is one reason, whoever needs it. */
static void reason_of(const json_t *end, char *buf, size_t cap)
{
	const char *lacks = record_text(end, "lacks");
	snprintf(buf, cap, "%s%s", *lacks ? "no " : "", *lacks ? lacks : message_of(end));
}

/* The next one from `from` on that was skipped for this reason. */
static size_t next_of(const struct runs *all, size_t from, const char *reason)
{
	char other[300];

	for (; from < all->n; from++) {
		const json_t *end = all->list[from].end;
		if (!end || !record_is(end, "skip"))
			continue;
		reason_of(end, other, sizeof(other));
		if (!strcmp(other, reason))
			break;
	}
	return from;
}

/* Its name, unless it stands there already: runs may be repeated. */
static void put_name(FILE *out, const struct runs *all, size_t i, const char *reason, const char *before)
{
	char name[256], other[256];

	name_of(all->list[i].end, name, sizeof(name));
	for (size_t k = next_of(all, 0, reason); k < i; k = next_of(all, k + 1, reason)) {
		name_of(all->list[k].end, other, sizeof(other));
		if (!strcmp(name, other))
			return;
	}
	fputs(before, out);
	put_clean(out, name);
}

static void skipped_groups(FILE *out, const struct runs *all, const char *line)
{
	char reason[300];

	for (size_t i = 0; i < all->n; i++) {
		if (!all->list[i].end || !record_is(all->list[i].end, "skip"))
			continue;
		reason_of(all->list[i].end, reason, sizeof(reason));
		if (next_of(all, 0, reason) < i)
			continue;
		fputs(line, out);
		put_clean(out, reason);
		for (size_t k = i; k < all->n; k = next_of(all, k + 1, reason))
			put_name(out, all, k, reason, k == i ? ": " : ", ");
		fputc('\n', out);
	}
}

/* ---- what was inconclusive ---- */

static bool same_name(const json_t *a, const json_t *b)
{
	return !strcmp(record_text(a, "scenario"), record_text(b, "scenario")) &&
	       !strcmp(record_text(a, "variant"), record_text(b, "variant"));
}

/* Another run stands in its place: of those of one scenario the first is in that of the first, and so on. */
static bool is_replaced(const struct runs *all, size_t run)
{
	const json_t *end = all->list[run].end;
	size_t place = 0, runs = 0;

	if (!record_is(end, "unsure") || *record_text(end, "earlier"))
		return false;
	for (size_t i = 0; i < all->n; i++) {
		const json_t *other = all->list[i].end;
		if (!other || !same_name(end, other))
			continue;
		if (*record_text(other, "earlier"))
			runs++;
		else
			place += i < run && record_is(other, "unsure");
	}
	return runs > place;
}

static bool is_unsure(const struct runs *all, size_t run)
{
	return record_is(all->list[run].end, "unsure") && !is_replaced(all, run);
}

static bool is_slow(const struct runs *all, size_t run)
{
	return was_slow(all->list[run].end);
}

/* One line with the names of all such runs; none where there is none. */
static void put_names(
	FILE *out, const struct runs *all, const char *line, bool (*is)(const struct runs *all, size_t run))
{
	char name[256];
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		if (!all->list[i].end || !is(all, i))
			continue;
		name_of(all->list[i].end, name, sizeof(name));
		fputs(any ? ", " : line, out);
		put_clean(out, name);
		any = true;
	}
	fputs(any ? "\n" : "", out);
}

static void slow_groups(FILE *out, const struct runs *all, const char *before)
{
	char line[64];

	snprintf(line, sizeof(line), "%sslow at first: ", before);
	put_names(out, all, line, is_slow);
	snprintf(line, sizeof(line), "%sinconclusive: ", before);
	put_names(out, all, line, is_unsure);
}

static unsigned each_outcome(const struct runs *all, FILE *out,
	void (*put)(FILE *, const struct run *, unsigned), const char *only)
{
	unsigned n = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (!all->list[i].end || (only && !record_is(all->list[i].end, only)) || is_replaced(all, i))
			continue;
		n++;
		if (put)
			put(out, &all->list[i], n);
	}
	return n;
}

int report_write(enum report_kind kind, const char *records, size_t len, FILE *out, struct errbuf *eb)
{
	struct runs *all = NULL;
	int err = len ? runs_read(records, len, &all, eb) : 0;
	struct runs none = { 0 };
	const struct runs *have = all ? all : &none;

	if (err)
		return err;
	unsigned n = each_outcome(have, out, NULL, NULL);
	switch (kind) {
	case REPORT_JUNIT:
		fprintf(out,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"simnet\" tests=\"%u\" "
			"failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n",
			n, each_outcome(have, out, NULL, "fail"), each_outcome(have, out, NULL, "error"),
			each_outcome(have, out, NULL, "skip") + each_outcome(have, out, NULL, "unsure"));
		each_outcome(have, out, junit_case, NULL);
		fputs("</testsuite>\n", out);
		break;
	case REPORT_TAP:
		fprintf(out, "TAP version 14\n1..%u\n", n);
		each_outcome(have, out, tap_case, NULL);
		skipped_groups(out, have, "# skipped, ");
		slow_groups(out, have, "# ");
		break;
	case REPORT_SUMMARY:
		fprintf(out,
			"### simnet: %u of %u passed\n\n| scenario | | time | seed | "
			"|\n|---|---|---|---|---|\n",
			each_outcome(have, out, NULL, "pass"), n);
		each_outcome(have, out, summary_row, NULL);
		fputs(each_outcome(have, out, NULL, "skip") ? "\nSkipped:\n\n" : "", out);
		skipped_groups(out, have, "- ");
		each_outcome(have, out, summary_story, NULL);
		break;
	case REPORT_GITHUB: each_outcome(have, out, github_case, NULL); break;
	case REPORT_NOTES:
		skipped_groups(out, have, "skipped, ");
		slow_groups(out, have, "");
		break;
	}
	runs_free(all);
	return ferror(out) ? err_say(eb, ERR_REFUSED, "the report cannot be written") : 0;
}
