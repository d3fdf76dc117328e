#include "mesh/base/yaml_fault.h"
#include <stdio.h>
#include <string.h>

static bool is_continued(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static bool is_tab(const struct yaml_fault *f, const char *text, size_t len)
{
	size_t at = 0;
	for (size_t line = f->line; line && at < len; at++)
		line -= text[at] == '\n';
	for (size_t column = f->column; column && at < len;)
		for (column--, at++; at < len && is_continued(text[at]);)
			at++;
	return at < len && text[at] == '\t';
}

/* libyaml counts bytes, not lines, where it cannot even read characters. */
static void place_of_byte(struct yaml_fault *f, const char *text, size_t len)
{
	f->line = f->column = 0;
	for (size_t i = 0; i < len && i < f->offset; i++) {
		f->column += !is_continued(text[i]);
		if (text[i] == '\n') {
			f->line++;
			f->column = 0;
		}
	}
}

void yaml_fault_say(struct yaml_fault *f, const char *text, size_t len, char out[YAML_FAULT_TEXT])
{
	const char *what = f->problem ? f->problem : "not readable as YAML";
	const size_t line = f->line;
	if (f->is_reader)
		place_of_byte(f, text, len);
	if (f->is_scanner && is_tab(f, text, len))
		snprintf(
			out, YAML_FAULT_TEXT, "a tab: YAML indents by spaces alone; put spaces in its place");
	else if (!f->is_reader && f->context && f->context_line != line)
		snprintf(out, YAML_FAULT_TEXT, "%s, %s that begins at line %zu", what, f->context,
			f->context_line + 1);
	else
		snprintf(out, YAML_FAULT_TEXT, "%s", what);
	f->line++;
	f->column++;
}
