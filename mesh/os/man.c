#include "mesh/os/man.h"
#include <ctype.h>
#include <string.h>

enum { HELP_WIDTH = 92, LEFT_WIDTH = 28 };

/* --- plain text --- */

/* Words of text from column `at`, wrapped, later lines indented. An empty line stays one. */
static void wrap(const char *text, int at, int indent, FILE *to)
{
	int column = at;
	for (const char *p = text; *p;) {
		if (p[0] == '\n' && p[1] == '\n') {
			fprintf(to, "\n\n%*s", indent, "");
			column = indent;
			p += 2;
			continue;
		}
		size_t n = strcspn(p, " \n");
		if (n && column > indent && column + 1 + (int)n > HELP_WIDTH) {
			fprintf(to, "\n%*s", indent, "");
			column = indent;
		} else if (n && column > indent) {
			fputc(' ', to);
			column++;
		}
		fwrite(p, 1, n, to);
		column += (int)n;
		p += n + (p[n] == ' ' || (p[n] == '\n' && p[n + 1] != '\n'));
	}
	fputc('\n', to);
}

/* "  NAME WORDS  text", of which what is too long for its column goes on below. */
static void help_line(const char *name, const char *words, const char *text, FILE *to)
{
	int at = 2 + (int)strlen(name) + (*words ? 1 : 0), end = at + (int)strlen(words);
	fprintf(to, "  %s%s", name, *words ? " " : "");
	if (end <= LEFT_WIDTH - 2) {
		fprintf(to, "%s%*s", words, LEFT_WIDTH - end, "");
	} else {
		wrap(words, at, at, to);
		fprintf(to, "%*s", LEFT_WIDTH, "");
	}
	wrap(text, LEFT_WIDTH, LEFT_WIDTH, to);
}

/* A second spelling of one letter is shown before the name; longer ones are only understood. */
static bool has_letter(const struct opt_row *r)
{
	return r->alias && !r->alias[1];
}

static void help_option(const struct opt_row *r, const char *help, FILE *to)
{
	char name[80];
	bool letter = has_letter(r);
	snprintf(name, sizeof(name), "%s%s%s%s%s", letter ? "-" : "", letter ? r->alias : "",
		letter ? ", " : "", r->name[1] ? "--" : "-", r->name);
	help_line(name, r->arg ? r->arg : "", help, to);
}

static void help_options(const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++)
		help_option(r, r->help, to);
}

/* What behind "one verb, another: " the help of r says, if v is among them; else NULL. */
static const char *help_for(const struct opt_row *r, const struct man_verb *v)
{
	const char *end = strstr(r->help, ": ");
	size_t n = strlen(v->name);
	for (const char *at = r->help; end && at < end;) {
		size_t len = strcspn(at, ",:");
		if (len == n && memcmp(at, v->name, n) == 0)
			return end + 2;
		at += len + strspn(at + len, ", ");
		if (*at == ':')
			break;
	}
	return NULL;
}

/* Of a program whose verbs have no options of their own, those that are for v. */
static void help_shared(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	bool any = false;
	for (const struct opt_row *r = p->options; r && r->name; r++) {
		const char *help = help_for(r, v);
		if (!help)
			continue;
		if (!any)
			fputs("\nOptions:\n", to);
		any = true;
		help_option(r, help, to);
	}
	if (p->options)
		fprintf(to, "\n%s --help has the options of all verbs.\n", p->name);
}

static void help_items(const char *title, const struct man_item *items, FILE *to)
{
	if (!items)
		return;
	fprintf(to, "\n%s:\n", title);
	for (const struct man_item *i = items; i->name; i++)
		help_line(i->name, "", i->text, to);
}

void man_help(const struct man_program *p, FILE *to)
{
	fprintf(to, "%s: %s\n\nUsage: %s %s\n", p->name, p->summary, p->name, p->words ? p->words : "");
	if (p->verbs) {
		fputs("\nVerbs:\n", to);
		for (const struct man_verb *const *v = p->verbs; *v; v++)
			help_line((*v)->name, (*v)->words, (*v)->summary, to);
	}
	if (p->options) {
		fputs("\nOptions:\n", to);
		help_options(p->options, to);
	}
	help_items("Environment", p->environment, to);
	help_items("Exit status", p->exits, to);
	if (p->verbs)
		fprintf(to, "\n%s VERB --help says more.\n", p->name);
}

void man_help_verb(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	fprintf(to, "%s %s: %s\n\n", p->name, v->name, v->summary);
	int at = fprintf(to, "Usage: %s %s%s%s", p->name, v->name,
		v->options || p->options ? " [OPTIONS]" : "", *v->words ? " " : "");
	wrap(v->words, at, at, to);
	if (v->text) {
		fputc('\n', to);
		wrap(v->text, 0, 0, to);
	}
	if (v->options) {
		fputs("\nOptions:\n", to);
		help_options(v->options, to);
	} else {
		help_shared(p, v, to);
	}
}

/* --- roff --- */

/* Text with roff's own characters made harmless: backslashes, hyphens that must stay hyphens, dots in front.
 */
static void roff_text(const char *text, FILE *to)
{
	bool line_start = true;
	for (const char *p = text; *p; p++) {
		if (p[0] == '\n' && p[1] == '\n') {
			fputs("\n.PP\n", to);
			line_start = true;
			p++;
			continue;
		}
		if (line_start && (*p == '.' || *p == '\''))
			fputs("\\&", to);
		if (*p == '\\')
			fputs("\\e", to);
		else if (*p == '-')
			fputs("\\-", to);
		else
			fputc(*p, to);
		line_start = *p == '\n';
	}
}

static void roff_paragraph(const char *text, FILE *to)
{
	if (!text)
		return;
	roff_text(text, to);
	fputc('\n', to);
}

static void roff_options(const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++) {
		fputs(".TP\n", to);
		if (has_letter(r))
			fprintf(to, "\\fB\\-%s\\fR, ", r->alias);
		fprintf(to, "\\fB%s", r->name[1] ? "\\-\\-" : "\\-");
		roff_text(r->name, to);
		fputs("\\fR", to);
		if (r->arg) {
			fputs(" \\fI", to);
			roff_text(r->arg, to);
			fputs("\\fR", to);
		}
		fputc('\n', to);
		roff_paragraph(r->help, to);
	}
}

static void roff_items(const char *title, const struct man_item *items, FILE *to)
{
	if (!items)
		return;
	fprintf(to, ".SH %s\n", title);
	for (const struct man_item *i = items; i->name; i++) {
		fputs(".TP\n\\fB", to);
		roff_text(i->name, to);
		fputs("\\fR\n", to);
		roff_paragraph(i->text, to);
	}
}

static void roff_head(const struct man_program *p, const char *verb, const char *summary, FILE *to)
{
	fputs(".TH ", to);
	for (const char *c = p->name; *c; c++)
		fputc(toupper((unsigned char)*c), to);
	if (verb)
		fputc('-', to);
	for (const char *c = verb; c && *c; c++)
		fputc(toupper((unsigned char)*c), to);
	fprintf(to, " %d \"\" \"ropewalk %s\"\n.SH NAME\n", p->section, RW_VERSION);
	roff_text(p->name, to);
	if (verb)
		fprintf(to, "\\-%s", verb);
	fputs(" \\- ", to);
	roff_paragraph(summary, to);
	fputs(".SH SYNOPSIS\n\\fB", to);
	roff_text(p->name, to);
	fputs("\\fR ", to);
}

static void roff_tail(const struct man_program *p, FILE *to)
{
	roff_items("EXIT STATUS", p->exits, to);
	roff_items("FILES", p->files, to);
	roff_items("ENVIRONMENT", p->environment, to);
	if (!p->see_also)
		return;
	fputs(".SH SEE ALSO\n", to);
	roff_paragraph(p->see_also, to);
}

static void roff_verb(const struct man_verb *v, FILE *to)
{
	fputs(".SS ", to);
	roff_text(v->name, to);
	fputc(' ', to);
	roff_paragraph(v->words, to);
	fputc(toupper((unsigned char)v->summary[0]), to);
	roff_text(v->summary + 1, to);
	fputs(".\n", to);
	if (v->text)
		fputs(".PP\n", to);
	roff_paragraph(v->text, to);
	roff_options(v->options, to);
}

void man_page(const struct man_program *p, FILE *to)
{
	roff_head(p, NULL, p->summary, to);
	roff_paragraph(p->words ? p->words : "", to);
	fputs(".SH DESCRIPTION\n", to);
	roff_paragraph(p->text ? p->text : p->summary, to);
	if (p->options) {
		fputs(".SH OPTIONS\n", to);
		roff_options(p->options, to);
	}
	if (p->verbs)
		fputs(".SH VERBS\n", to);
	for (const struct man_verb *const *v = p->verbs; v && *v; v++)
		roff_verb(*v, to);
	roff_tail(p, to);
}

void man_page_verb(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	roff_head(p, v->name, v->summary, to);
	roff_text(v->name, to);
	fprintf(to, "%s ", v->options ? " [OPTIONS]" : "");
	roff_paragraph(v->words, to);
	fputs(".SH DESCRIPTION\n", to);
	roff_paragraph(v->text ? v->text : v->summary, to);
	if (v->options) {
		fputs(".SH OPTIONS\n", to);
		roff_options(v->options, to);
	}
	roff_tail(p, to);
}
