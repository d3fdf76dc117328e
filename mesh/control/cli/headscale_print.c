/* What Headscale's command prints: JSON, YAML, and tables. */
#include "mesh/control/cli/headscale.h"

#include "mesh/base/key.h"
#include "mesh/os/loop.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CELL_MAX = 512, COLUMNS_MAX = 16, NAME_MAX_TEXT = 48, YAML_DEPTH = 16 };

/* --- YAML: texts as in JSON, which it is --- */

static void yaml_print(const json_t *v, int depth, bool in_list)
{
	const char *name;
	json_t *item;
	size_t i;
	if (depth > YAML_DEPTH || (!json_is_array(v) && !json_is_object(v)) ||
		!(json_array_size(v) + json_object_size(v))) {
		char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		printf(" %s\n", text ? text : "null");
		free(text);
		return;
	}
	if (!in_list && depth)
		printf("\n");
	bool first = in_list;
	json_object_foreach((json_t *)v, name, item)
	{
		printf("%*s%s:", first ? 1 : 2 * depth, first ? " " : "", name);
		first = false;
		yaml_print(item, depth + 1, false);
	}
	json_array_foreach(v, i, item)
	{
		printf("%*s-", 2 * depth, "");
		yaml_print(item, depth + 1, true);
	}
}

void headscale_print(const char *format, const json_t *v)
{
	if (!strcmp(format, "yaml")) {
		yaml_print(v, 0, false);
		return;
	}
	char *text =
		json_dumps(v, JSON_ENCODE_ANY | (strcmp(format, "json") ? JSON_COMPACT : JSON_INDENT(2)));
	printf("%s\n", text ? text : "null");
	free(text);
}

/* --- tables --- */

static const json_t *member_at(const json_t *row, const char *path)
{
	char name[NAME_MAX_TEXT];
	for (size_t len; row && *path; path += len + (path[len] == '.')) {
		len = strcspn(path, ".");
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		row = json_object_get(row, name);
	}
	return row;
}

static void time_cell(const char *text, bool judge, char out[static CELL_MAX])
{
	int64_t ms;
	bool is = text && text_time_ms(text, &ms);
	time_t s = is ? (time_t)(ms / 1000) : 0;
	struct tm tm;
	if (judge)
		snprintf(out, CELL_MAX, "%s", is && ms > 0 && ms <= clock_unix_ms() ? "yes" : "no");
	else if (!is || !gmtime_r(&s, &tm) || !strftime(out, CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, CELL_MAX, "%s", "N/A");
}

static void plain_cell(const json_t *v, char out[static CELL_MAX])
{
	const json_t *item;
	size_t i, len = 0;
	json_array_foreach(v, i, item)
	{
		len += (size_t)snprintf(
			out + len, CELL_MAX - len, "%s%s", i ? ", " : "", json_string_value(item));
		if (len >= CELL_MAX)
			return;
	}
	if (json_is_string(v))
		snprintf(out, CELL_MAX, "%s", json_string_value(v));
	else if (json_is_boolean(v) || json_is_null(v) || !v)
		snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "");
}

/* "mkey:..." as the official programs write it: in short. */
static void key_cell(const char *text, char out[static CELL_MAX])
{
	const char *colon = text ? strchr(text, ':') : NULL;
	uint8_t key[KEY_LEN];
	char word[KEY_SHORT];
	if (colon && hex_decode(colon + 1, strlen(colon + 1), key, sizeof(key)))
		snprintf(out, CELL_MAX, "[%s]", key_short(key, word));
}

static void cell(const json_t *row, const char *what, char out[static CELL_MAX])
{
	const json_t *v = member_at(row, what + strspn(what, "@#~!"));
	out[0] = 0;
	if (*what == '@' || *what == '!')
		time_cell(json_string_value(v), *what == '!', out);
	else if (*what == '#')
		key_cell(json_string_value(v), out);
	else if (*what == '~')
		snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "online" : "offline");
	else
		plain_cell(v, out);
	text_clean(out); /* nodes choose their names */
}

static void print_cell(const char *text, size_t width, bool last)
{
	size_t have = text_width(text);
	printf("%s%*s%s", text, last || have >= width ? 0 : (int)(width - have), "", last ? "\n" : " | ");
}

void headscale_print_table(const json_t *list, const char *columns)
{
	char titles[COLUMNS_MAX][NAME_MAX_TEXT], members[COLUMNS_MAX][NAME_MAX_TEXT], text[CELL_MAX];
	size_t widths[COLUMNS_MAX], n = 0, i;
	json_t *row;
	for (int used;
		n < COLUMNS_MAX && sscanf(columns, "%47[^:]:%47s %n", titles[n], members[n], &used) == 2;
		columns += used, n++) {
		for (char *p = titles[n]; (p = strchr(p, '_'));)
			*p = ' ';
		widths[n] = strlen(titles[n]);
	}
	for (size_t k = 0; k < n; k++)
		json_array_foreach(list, i, row)
		{
			cell(row, members[k], text);
			widths[k] = text_width(text) > widths[k] ? text_width(text) : widths[k];
		}
	for (size_t k = 0; k < n; k++)
		print_cell(titles[k], widths[k], k + 1 == n);
	json_array_foreach(list, i, row) for (size_t k = 0; k < n; k++)
	{
		cell(row, members[k], text);
		print_cell(text, widths[k], k + 1 == n);
	}
}
