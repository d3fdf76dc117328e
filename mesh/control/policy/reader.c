#include "mesh/control/policy/reader.h"

#include "mesh/base/text.h"
#include "mesh/control/policy/hujson.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool reader_refuse(struct reader *rd, const char *where, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct hujson_place at = hujson_find(rd->text, rd->len, where);
	err_say(rd->eb, ERR_MALFORMED, "%u:%u: %s: %s", at.line, at.column, where, text);
	return false;
}

struct rule_place *reader_places(struct reader *rd, const char *section, json_t *list)
{
	size_t n = json_array_size(list);
	struct hujson_place *at = arena_array(&rd->p->mem, n, sizeof(*at));
	struct rule_place *places = arena_array(&rd->p->mem, n, sizeof(*places));
	if (!at || !places) {
		reader_no_memory(rd);
		return NULL;
	}
	hujson_find_items(rd->text, rd->len, section, at, n);
	for (size_t i = 0; i < n; i++)
		places[i] = (struct rule_place) { section, (unsigned)i, at[i].line, at[i].column };
	return places;
}

bool reader_no_memory(struct reader *rd)
{
	err_set(rd->eb, -ENOMEM, "policy");
	return false;
}

/* Of the official service's language, and not here: refused by name, not as a slip of the pen. */
static const char *const absent[] = { "postures", "defaultSrcPosture", "srcPosture", "srcPostureAttrs",
	"derpMap", "disableIPv4", "OneCGNATRoute" };

bool reader_keys(struct reader *rd, json_t *o, const char *const *names, const char *where)
{
	const char *key;
	json_t *value;
	if (!json_is_object(o))
		return reader_refuse(rd, where, "must be an object");
	json_object_foreach(o, key, value)
	{
		size_t i = 0;
		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (names[i])
			continue;
		const char *near = text_nearest(key, names);
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s%s%.40s", where, *where ? "." : "", key);
		for (i = 0; i < ARRAY_LEN(absent); i++)
			if (!strcmp(key, absent[i]))
				return reader_refuse(rd, at, "is not supported by this server");
		return reader_refuse(rd, at, "no such field%s%s%s", near ? "; did you mean \"" : "",
			near ? near : "", near ? "\"?" : "");
	}
	return true;
}

bool reader_strings(
	struct reader *rd, json_t *o, const char *key, bool required, const char *where, json_t **out)
{
	json_t *list = json_object_get(o, key), *item;
	size_t i;
	*out = NULL;
	if ((!list || json_is_null(list)) && !required)
		return true;
	if (!json_is_array(list))
		return reader_refuse(rd, where, "\"%s\" must be a list of strings", key);
	json_array_foreach(list, i, item) if (!json_is_string(item)) return reader_refuse(
		rd, where, "\"%s\" must be a list of strings", key);
	*out = list;
	return true;
}

bool reader_objects(struct reader *rd, json_t *root, const char *key, json_t **out)
{
	json_t *list = json_object_get(root, key), *item;
	size_t i;
	*out = NULL;
	if (!list || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return reader_refuse(rd, key, "must be a list");
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "%s[%zu]", key, i);
		if (!json_is_object(item))
			return reader_refuse(rd, where, "must be an object");
	}
	*out = list;
	return true;
}

const char *reader_trimmed(struct reader *rd, const char *text)
{
	size_t len;
	text += strspn(text, " \t");
	for (len = strlen(text); len && (text[len - 1] == ' ' || text[len - 1] == '\t'); len--)
		;
	const char *copy = arena_strndup(&rd->p->mem, text, len);
	if (!copy)
		reader_no_memory(rd);
	return copy;
}

bool reader_copy_strings(struct reader *rd, json_t *list, struct ctl_strings *out)
{
	json_t *item;
	size_t i;
	out->v = arena_array(&rd->p->mem, json_array_size(list), sizeof(*out->v));
	if (!out->v)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		const char *text = reader_trimmed(rd, json_string_value(item));
		if (!text)
			return false;
		out->v[out->n++] = text;
	}
	return true;
}
