#include "mesh/control/config/config_env.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "HEADSCALE_"

static void name_of(const char *key, char *out, size_t cap)
{
	size_t n = strlen(PREFIX);
	memcpy(out, PREFIX, n);
	for (; *key && n + 1 < cap; key++)
		out[n++] = *key == '.' ? '_' : (char)toupper((unsigned char)*key);
	out[n] = 0;
}

/* A text as JSON has it, which YAML takes for a text and nothing else. */
static bool put_quoted(struct buf *out, const char *text, size_t len)
{
	bool ok = buf_append(out, "\"", 1);
	for (size_t i = 0; i < len && ok; i++)
		if ((unsigned char)text[i] < ' ')
			ok = buf_printf(out, "\\u%04x", (unsigned)text[i]);
		else
			ok = ((text[i] != '"' && text[i] != '\\') || buf_append(out, "\\", 1)) &&
			     buf_append(out, text + i, 1);
	return ok && buf_append(out, "\"", 1);
}

static bool put_list(struct buf *out, const char *text)
{
	bool ok = buf_append(out, "[", 1), first = true;
	for (text += strspn(text, " ,"); *text && ok; first = false) {
		size_t len = strcspn(text, " ,");
		ok = (first || buf_append(out, ",", 1)) && put_quoted(out, text, len);
		text += len;
		text += strspn(text, " ,");
	}
	return ok && buf_append(out, "]", 1);
}

/* {"member": "value"}, or one more of them. */
static bool put_member(struct buf *out, const char *member, size_t len, const char *value)
{
	return buf_append(out, out->len ? ", " : "{", out->len ? 2 : 1) && put_quoted(out, member, len) &&
	       buf_append(out, ": ", 2) && put_quoted(out, value, strlen(value));
}

/* section: HEADSCALE_..., of which all that follows is a member. */
static bool put_below(struct config_env_item *out, const char *section)
{
	const size_t len = strlen(section);
	bool ok = true;
	for (char **e = environ; e && *e && ok; e++) {
		char low[sizeof(out->name)];
		const size_t whole = strcspn(*e, "=");
		if (strncmp(*e, section, len) != 0 || (*e)[len] != '_' || whole <= len + 1 ||
			whole >= sizeof(low) || !(*e)[whole] || !(*e)[whole + 1])
			continue;
		for (size_t i = 0; i < whole; i++)
			low[i] = (char)tolower((unsigned char)(*e)[i]);
		if (!out->text.len) {
			memcpy(out->name, *e, whole);
			out->name[whole] = 0;
		}
		ok = put_member(&out->text, low + len + 1, whole - len - 1, *e + whole + 1);
	}
	return ok && (!out->text.len || buf_append(&out->text, "}", 1));
}

static bool put_value(struct config_env_item *out, enum config_env_form form)
{
	if (form == CONFIG_ENV_BELOW) {
		char section[sizeof(out->name)];
		memcpy(section, out->name, sizeof(section));
		return put_below(out, section);
	}
	const char *value = getenv(out->name);
	if (!value || !*value)
		return true;
	if (form == CONFIG_ENV_JSON)
		return buf_append(&out->text, value, strlen(value));
	return form == CONFIG_ENV_LIST ? put_list(&out->text, value)
				       : put_quoted(&out->text, value, strlen(value));
}

int config_env_get(const char *key, enum config_env_form form, struct config_env_item *out, struct errbuf *eb)
{
	*out = (struct config_env_item) { .name = "" };
	name_of(key, out->name, sizeof(out->name));
	return put_value(out, form) ? 0 : err_set(eb, -ENOMEM, "%s", out->name);
}

int config_env_member(const char *section, const char *member, struct config_env_item *out, struct errbuf *eb)
{
	char key[sizeof(out->name)];
	*out = (struct config_env_item) { .name = "" };
	snprintf(key, sizeof(key), "%s.%s", section, member);
	name_of(key, out->name, sizeof(out->name));
	const char *value = getenv(out->name);
	bool ok = !value || !*value ||
		  (put_member(&out->text, member, strlen(member), value) && buf_append(&out->text, "}", 1));
	return ok ? 0 : err_set(eb, -ENOMEM, "%s", out->name);
}
