#include "mesh/control/hujson.h"

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
