#include "mesh/control/http/asked.h"

#include "mesh/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_TEXT = 64 };
#define LIFETIME_MAX_MS (UINT64_C(100) * 366 * 24 * 3600 * 1000)

json_t *made_nothing(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)a;
	(void)res;
	(void)text;
	return json_object();
}

/* "aclTags" as "acl_tags". */
static const char *snake(const char *name, char out[static NAME_MAX_TEXT])
{
	size_t n = 0;
	for (; *name && n + 2 < NAME_MAX_TEXT; name++) {
		if (isupper((unsigned char)*name))
			out[n++] = '_';
		out[n++] = (char)tolower((unsigned char)*name);
	}
	out[n] = 0;
	return out;
}

static const json_t *member_of(const struct api_call *c, const char *name)
{
	char text[NAME_MAX_TEXT];
	const json_t *v = json_object_get(c->args, name);
	return v ? v : json_object_get(c->args, snake(name, text));
}

static enum http_value find_query(const struct api_call *c, const char *name, char *out, size_t cap)
{
	char text[NAME_MAX_TEXT];
	enum http_value found = c->head ? http_target_find(c->head, name, out, cap) : HTTP_VALUE_NONE;
	return c->head && found == HTTP_VALUE_NONE ? http_target_find(c->head, snake(name, text), out, cap)
						   : found;
}

static bool query(const struct api_call *c, const char *name, char *out, size_t cap)
{
	return find_query(c, name, out, cap) == HTTP_VALUE_GOOD;
}

bool asked_text(const struct api_call *c, const char *name, char *out, size_t cap)
{
	const json_t *v = member_of(c, name);
	if (json_is_string(v))
		snprintf(out, cap, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(out, cap, "%lld", (long long)json_integer_value(v));
	else
		return query(c, name, out, cap);
	return true;
}

bool asked_flag(const struct api_call *c, const char *name)
{
	char text[8];
	return json_is_true(member_of(c, name)) ||
	       (query(c, name, text, sizeof(text)) && !strcmp(text, "true"));
}

bool asked_list(const struct api_call *c, const char *name, char *out, size_t cap)
{
	const json_t *v = member_of(c, name), *item;
	size_t i, len = 0;
	out[0] = 0;
	if (!json_is_array(v))
		return asked_text(c, name, out, cap) || true;
	json_array_foreach(v, i, item)
	{
		const char *text = json_string_value(item);
		if (text && *text)
			len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? "," : "", text);
		if (len >= cap)
			return false;
	}
	return true;
}

bool asked_whole_list(struct api_call *c, const char *name, char *out, size_t cap)
{
	char say[128];
	bool there = member_of(c, name) || find_query(c, name, out, cap) != HTTP_VALUE_NONE;
	if (there && asked_list(c, name, out, cap))
		return true;
	snprintf(say, sizeof(say),
		there ? "%s: too many for one machine" : "%s: a list is wanted; [] is none", name);
	api_reply_error(&c->way, 400, say);
	return false;
}

int64_t asked_number(const struct api_call *c, const char *name)
{
	char text[32];
	uint64_t n;
	return asked_text(c, name, text, sizeof(text)) && text_u64(text, 1, INT64_MAX, &n) ? (int64_t)n : 0;
}

bool asked_when(struct api_call *c, const char *name, int64_t none, int64_t *out)
{
	char text[64], say[128];
	*out = none;
	if (!asked_text(c, name, text, sizeof(text)) || text_time_ms(text, out))
		return true;
	snprintf(say, sizeof(say), "%s: \"%.40s\" is no time: write it as 2026-01-31T12:00:00Z", name, text);
	api_reply_error(&c->way, 400, say);
	return false;
}

bool asked_lifetime(struct api_call *c, const char *name, uint64_t none, uint64_t *out)
{
	const json_t *v = member_of(c, name);
	const char *said = json_string_value(v);
	char text[32] = "", say[128];
	*out = none;
	if (json_is_integer(v))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	else if ((!v || json_is_null(v)) && find_query(c, name, text, sizeof(text)) == HTTP_VALUE_NONE)
		return true;
	if (text_u64(said ? said : text, 0, LIFETIME_MAX_MS, out))
		return true;
	snprintf(say, sizeof(say), "%s: a number of milliseconds is wanted, up to 100 years; 0 is for ever",
		name);
	api_reply_error(&c->way, 400, say);
	return false;
}

bool asked_part_id(struct api_call *c, size_t i, int64_t *out)
{
	char say[128];
	uint64_t n;
	if (text_u64(c->part[i], 1, INT64_MAX, &n)) {
		*out = (int64_t)n;
		return true;
	}
	snprintf(say, sizeof(say), "\"%.40s\" is no number: lists show them as \"id\"", c->part[i]);
	api_reply_error(&c->way, 400, say);
	return false;
}
