#include "simnet/report/story.h"

#include <jansson.h>
#include <string.h>

/* One scenario's end, with the lines of its story before it. */
struct outcome {
	const json_t *end; /* the record of kind pass, fail, skip or error */
	json_t *all;	   /* every record */
	size_t from, to;   /* its records in all: [from, to) */
};

static const char *text_of(const json_t *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r, key));
	return s ? s : "";
}

static bool is_end(const json_t *r)
{
	static const char *const kinds[] = { "pass", "fail", "error", "skip" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(text_of(r, "kind"), kinds[i]))
			return true;
	return false;
}

static json_t *read_records(const char *text, size_t len)
{
	json_t *all = json_array();

	while (len) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		json_t *r = json_loadb(text, n, 0, NULL);
		if (r)
			json_array_append_new(all, r);
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return all;
}

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

static void name_of(const json_t *end, char *buf, size_t cap)
{
	const char *variant = text_of(end, "variant");
	snprintf(buf, cap, "%s%s%s%s", text_of(end, "scenario"), *variant ? "[" : "", variant,
		*variant ? "]" : "");
}

/* The sentence of a failure: what the end record carries for it, or its own text. */
static const char *message_of(const json_t *end)
{
	const char *m = text_of(end, "message");
	return *m ? m : text_of(end, "text");
}

static void story_lines(FILE *out, const struct outcome *o, void (*put)(FILE *, const char *))
{
	for (size_t i = o->from; i < o->to; i++) {
		const json_t *r = json_array_get(o->all, i);
		fprintf(out, "%8.2f ", json_number_value(json_object_get(r, "t")));
		put(out, text_of(r, "text"));
		fputc('\n', out);
	}
}

static void junit_case(FILE *out, const struct outcome *o, unsigned number)
{
	const char *kind = text_of(o->end, "kind");
	char name[256];
	(void)number;

	name_of(o->end, name, sizeof(name));
	fputs("  <testcase classname=\"simnet\" name=\"", out);
	xml(out, name);
	fputs("\" file=\"", out);
	xml(out, text_of(o->end, "file"));
	fprintf(out, "\" time=\"%.3f\">\n", json_number_value(json_object_get(o->end, "seconds")));
	if (strcmp(kind, "pass") != 0) {
		fprintf(out, "    <%s message=\"",
			!strcmp(kind, "fail")	? "failure"
			: !strcmp(kind, "skip") ? "skipped"
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

static void tap_case(FILE *out, const struct outcome *o, unsigned number)
{
	const char *kind = text_of(o->end, "kind");
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
	fputs("  ---\n  message: |2\n    ", out);
	tap_lines(out, message_of(o->end));
	fputs("\n  at: {file: ", out);
	tap_quoted(out, text_of(o->end, "file"));
	fprintf(out, ", line: %d}\n  story: |2\n", (int)json_integer_value(json_object_get(o->end, "line")));
	for (size_t i = o->from; i < o->to; i++) {
		const json_t *r = json_array_get(o->all, i);
		fprintf(out, "    %8.2f ", json_number_value(json_object_get(r, "t")));
		tap_lines(out, text_of(r, "text"));
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

static void github_case(FILE *out, const struct outcome *o, unsigned number)
{
	static const char in_message[] = "%\r\n", in_property[] = "%\r\n:,";
	const char *kind = text_of(o->end, "kind");
	char name[256];
	(void)number;

	if (!strcmp(kind, "pass"))
		return;
	name_of(o->end, name, sizeof(name));
	fprintf(out, "::%s file=", strcmp(kind, "skip") != 0 ? "error" : "notice");
	github_text(out, text_of(o->end, "file"), in_property);
	fprintf(out, ",line=%d,title=", (int)json_integer_value(json_object_get(o->end, "line")));
	github_text(out, name, in_property);
	fputs("::", out);
	github_text(out, message_of(o->end), in_message);
	fputc('\n', out);
}

static unsigned each_outcome(
	json_t *all, FILE *out, void (*put)(FILE *, const struct outcome *, unsigned), const char *only)
{
	struct outcome o = { .all = all };
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *r = json_array_get(all, i);
		if (!is_end(r))
			continue;
		o.end = r;
		o.to = i;
		if (!only || !strcmp(text_of(r, "kind"), only)) {
			n++;
			if (put)
				put(out, &o, n);
		}
		o.from = i + 1;
	}
	return n;
}

int report_write(enum report_kind kind, const char *records, size_t len, FILE *out, struct errbuf *eb)
{
	json_t *all = read_records(records, len);
	unsigned n = each_outcome(all, out, NULL, NULL);

	switch (kind) {
	case REPORT_JUNIT:
		fprintf(out,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"simnet\" tests=\"%u\" "
			"failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n",
			n, each_outcome(all, out, NULL, "fail"), each_outcome(all, out, NULL, "error"),
			each_outcome(all, out, NULL, "skip"));
		each_outcome(all, out, junit_case, NULL);
		fputs("</testsuite>\n", out);
		break;
	case REPORT_TAP:
		fprintf(out, "TAP version 14\n1..%u\n", n);
		each_outcome(all, out, tap_case, NULL);
		break;
	case REPORT_GITHUB: each_outcome(all, out, github_case, NULL); break;
	}
	json_decref(all);
	return ferror(out) ? err_say(eb, ERR_REFUSED, "the report cannot be written") : 0;
}
