#include "simnet/story.h"

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
	static const char *const kinds[] = { "pass", "fail", "error" };
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
		else if (c >= 0x20 || c == '\n' || c == '\t')
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
		fprintf(out, "    <%s message=\"", strcmp(kind, "fail") != 0 ? "error" : "failure");
		xml(out, message_of(o->end));
		fprintf(out, "\"/>\n");
	}
	fputs("    <system-out>", out);
	story_lines(out, o, xml);
	fputs("</system-out>\n  </testcase>\n", out);
}

static void raw(FILE *out, const char *s)
{
	fputs(s, out);
}

static void tap_case(FILE *out, const struct outcome *o, unsigned number)
{
	bool pass = !strcmp(text_of(o->end, "kind"), "pass");
	char name[256];

	name_of(o->end, name, sizeof(name));
	fprintf(out, "%sok %u - %s\n", pass ? "" : "not ", number, name);
	if (pass)
		return;
	fputs("  ---\n  message: |\n    ", out);
	raw(out, message_of(o->end));
	fprintf(out, "\n  at: {file: '%s', line: %d}\n  story: |\n", text_of(o->end, "file"),
		(int)json_integer_value(json_object_get(o->end, "line")));
	for (size_t i = o->from; i < o->to; i++) {
		const json_t *r = json_array_get(o->all, i);
		fprintf(out, "    %8.2f %s\n", json_number_value(json_object_get(r, "t")),
			text_of(r, "text"));
	}
	fputs("  ...\n", out);
}

static void github_case(FILE *out, const struct outcome *o, unsigned number)
{
	char name[256];
	(void)number;

	if (!strcmp(text_of(o->end, "kind"), "pass"))
		return;
	name_of(o->end, name, sizeof(name));
	fprintf(out, "::error file=%s,line=%d,title=%s::%s\n", text_of(o->end, "file"),
		(int)json_integer_value(json_object_get(o->end, "line")), name, message_of(o->end));
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
			"failures=\"%u\" errors=\"%u\">\n",
			n, each_outcome(all, out, NULL, "fail"), each_outcome(all, out, NULL, "error"));
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
