#include "mesh/control/config/config_env.h"

#include <ctype.h>
#include <errno.h>
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

/* {"dns": {"base_domain": VALUE}} */
static bool put_document(struct buf *out, const char *key, const char *value, bool list)
{
	size_t depth = 0;
	bool ok = true;
	for (size_t len; ok; key += len + 1, depth++) {
		len = strcspn(key, ".");
		ok = buf_append(out, "{", 1) && put_quoted(out, key, len) && buf_append(out, ": ", 2);
		if (!key[len]) {
			depth++;
			break;
		}
	}
	ok = ok && (list ? put_list(out, value) : put_quoted(out, value, strlen(value)));
	while (ok && depth--)
		ok = buf_append(out, "}", 1);
	return ok;
}

static int refuse_section(const char *name, const char *key, struct errbuf *eb)
{
	size_t len = strlen(name);
	for (char **e = environ; e && *e; e++)
		if (!strncmp(*e, name, len) && (*e)[len] == '_')
			return err_say(eb, -EINVAL,
				"%.*s: the settings below %s are taken from the file alone: put it there",
				(int)strcspn(*e, "="), *e, key);
	return 0;
}

int config_env_get(const char *key, enum config_env_form form, struct config_env_item *out, struct errbuf *eb)
{
	*out = (struct config_env_item) { .name = "" };
	if (form == CONFIG_ENV_NOT)
		return 0;
	name_of(key, out->name, sizeof(out->name));
	if (form == CONFIG_ENV_SECTION)
		return refuse_section(out->name, key, eb);
	const char *value = getenv(out->name);
	if (!value || put_document(&out->text, key, value, form == CONFIG_ENV_LIST))
		return 0;
	return err_set(eb, -ENOMEM, "%s", out->name);
}
