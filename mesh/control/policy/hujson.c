#include "mesh/control/policy/hujson.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Index behind the string that begins at i. */
static size_t skip_string(const char *t, size_t len, size_t i)
{
	for (i++; i < len && t[i] != '"'; i++)
		if (t[i] == '\\' && i + 1 < len)
			i++;
	return i < len ? i + 1 : len;
}

/* Index behind the comment at i, which is blanked but for its line ends; i when there is none (or it never
 * ends). */
static size_t blank_comment(char *t, size_t len, size_t i)
{
	size_t end = i;
	if (i + 1 >= len || t[i] != '/')
		return i;
	if (t[i + 1] == '/') {
		while (end < len && t[end] != '\n')
			end++;
	} else if (t[i + 1] == '*') {
		for (end = i + 2; end + 1 < len && !(t[end] == '*' && t[end + 1] == '/'); end++)
			;
		if (end + 1 >= len)
			return i;
		end += 2;
	}
	for (size_t k = i; k < end; k++)
		if (t[k] != '\n' && t[k] != '\r')
			t[k] = ' ';
	return end;
}

void hujson_blank(char *text, size_t len)
{
	size_t comma = len; /* the last comma with only blanks behind it so far */
	for (size_t i = 0; i < len;) {
		size_t behind = blank_comment(text, len, i);
		if (behind > i) {
			i = behind;
			continue;
		}
		if (text[i] == '"') {
			i = skip_string(text, len, i);
			comma = len;
			continue;
		}
		if ((text[i] == '}' || text[i] == ']') && comma < len)
			text[comma] = ' ';
		if (text[i] == ',')
			comma = i;
		else if (!strchr(" \t\r\n", text[i]) || !text[i])
			comma = len;
		i++;
	}
}

static size_t skip_blanks(const char *t, size_t len, size_t i)
{
	while (i < len && strchr(" \t\r\n", t[i]) && t[i])
		i++;
	return i;
}

/* Index of the comma or bracket behind the value at i. */
static size_t skip_value(const char *t, size_t len, size_t i)
{
	size_t depth = 0;
	while (i < len) {
		if (t[i] == '"') {
			i = skip_string(t, len, i);
			continue;
		}
		bool closes = t[i] == '}' || t[i] == ']';
		if (!depth && (closes || t[i] == ','))
			break;
		depth += t[i] == '{' || t[i] == '[';
		depth -= closes;
		i++;
	}
	return i;
}

/* The key at i is the first step of the path: its length, else 0. */
static size_t match_key(const char *t, size_t i, size_t end, const char *path)
{
	size_t n = end - i >= 2 ? end - i - 2 : 0;
	return n && !strncmp(t + i + 1, path, n) && (!path[n] || strchr(".[", path[n])) ? n : 0;
}

/* One step down the path from the value at *i. false: there is none. */
static bool step(const char *t, size_t len, size_t *i, const char **path)
{
	bool object = t[*i] == '{';
	char *after = NULL;
	unsigned long left = !object && **path == '[' ? strtoul(*path + 1, &after, 10) : 0;
	if (!object && (t[*i] != '[' || !after || *after != ']'))
		return false;
	for (size_t at = skip_blanks(t, len, *i + 1); at < len; at = skip_blanks(t, len, at + 1)) {
		size_t key = at, end = object && t[at] == '"' ? skip_string(t, len, at) : at, n = 0;
		if (object) {
			n = match_key(t, key, end, *path);
			at = skip_blanks(t, len, skip_blanks(t, len, end) + 1);
		}
		if (object ? n > 0 : left-- == 0) {
			*i = at;
			*path = object ? *path + n : after + 1;
			*path += **path == '.';
			return at < len;
		}
		at = skip_value(t, len, at);
		if (at >= len || t[at] != ',')
			return false;
	}
	return false;
}

/* place is that of text[from]; it becomes that of text[to]. */
static void advance_place(struct hujson_place *place, const char *text, size_t from, size_t to)
{
	for (size_t k = from; k < to; k++) {
		place->column = text[k] == '\n' ? 1 : place->column + 1;
		place->line += text[k] == '\n';
	}
}

struct hujson_place hujson_find(const char *text, size_t len, const char *path)
{
	struct hujson_place p = { 1, 1 };
	size_t i = skip_blanks(text, len, 0);
	while (*path && i < len && step(text, len, &i, &path))
		;
	advance_place(&p, text, 0, i < len ? i : len);
	return p;
}

void hujson_find_items(const char *text, size_t len, const char *key, struct hujson_place *out, size_t n)
{
	struct hujson_place p = { 1, 1 };
	size_t at = skip_blanks(text, len, 0), before = 0;
	if (at >= len || !step(text, len, &at, &key))
		return;
	for (size_t k = 0; k < n && at < len; k++) {
		at = skip_blanks(text, len, at + 1); /* behind the bracket, or a comma */
		advance_place(&p, text, before, at);
		out[k] = p;
		before = at;
		at = skip_value(text, len, at);
	}
}
