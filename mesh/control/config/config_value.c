#include "mesh/control/config/config_value.h"

#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As YAML has them, and as Headscale reads a text (strconv.ParseBool of Go). */
bool config_value_bool(const char *text, bool *out)
{
	static const char *const words[][6] = { { "false", "no", "off", "f", "0" },
		{ "true", "yes", "on", "t", "1" } };
	for (size_t on = 0; on < ARRAY_LEN(words); on++)
		for (size_t i = 0; words[on][i]; i++)
			if (!strcasecmp(text, words[on][i])) {
				*out = on;
				return true;
			}
	return false;
}

bool config_value_name(const char *text)
{
	enum { NAME_MAX_WIDTH = 63, NAME_BYTES = 4 * NAME_MAX_WIDTH + 1 };
	char clean[NAME_BYTES];
	if (!*text || strlen(text) >= sizeof(clean))
		return false;
	strcpy(clean, text);
	text_clean(clean);
	return !strcmp(clean, text) && text_width(text) <= NAME_MAX_WIDTH;
}

bool config_value_listen(const char *text, struct endpoint *out)
{
	uint64_t port = !strcmp(text, ":http") ? 80 : 443;
	if (!strcmp(text, ":http") || !strcmp(text, ":https") ||
		(text[0] == ':' && text_u64(text + 1, 0, 65535, &port))) {
		*out = (struct endpoint) { .ip = addr_any6, .port = (uint16_t)port };
		return true;
	}
	return endpoint_parse(text, out);
}

bool config_value_duration(const char *text, uint64_t *out)
{
	if (strcmp(text, "0") != 0)
		return text_duration_ms(text, out);
	*out = 0;
	return true;
}

bool config_value_mode(const char *text, uint32_t *out)
{
	char *end;
	const char *digits = !strncmp(text, "0o", 2) ? text + 2 : text;
	unsigned long v = strtoul(digits, &end, 8);
	*out = (uint32_t)v;
	return !*end && *digits >= '0' && *digits <= '7' && v <= 0777;
}

bool config_value_level(const char *text, enum log_level *out)
{
	static const struct {
		const char *name;
		enum log_level level;
	} more[] = { { "trace", LOG_DEBUG }, { "fatal", LOG_ERROR }, { "panic", LOG_ERROR } };
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		if (!strcmp(text, more[i].name)) {
			*out = more[i].level;
			return true;
		}
	return log_level_parse(text, out);
}

void config_value_host(const char *url, char host[static CONFIG_HOST_TEXT], uint16_t *port)
{
	const char *at = strstr(url, "://") + 3;
	bool bracket = *at == '[';
	size_t len = bracket ? strcspn(++at, "]") : strcspn(at, ":/");
	const char *rest = at + len + (bracket && at[len]);
	char digits[8] = "";
	uint64_t n;
	snprintf(host, CONFIG_HOST_TEXT, "%.*s", (int)len, at);
	if (*rest == ':')
		snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(rest + 1, "/"), rest + 1);
	*port = text_u64(digits, 1, UINT16_MAX, &n) ? (uint16_t)n : 0;
}

bool config_value_domain(const char *text, char out[static CONFIG_DOMAIN_TEXT])
{
	enum { LABEL_MAX = 63 };
	size_t len = strlen(text);
	while (len && text[len - 1] == '.')
		len--;
	if (!len || len >= CONFIG_DOMAIN_TEXT)
		return false;
	memcpy(out, text, len);
	out[len] = 0;
	(void)text_lower(out, out, CONFIG_DOMAIN_TEXT);
	for (const char *p = out;; p++) {
		size_t n = strcspn(p, ".");
		if (!n || n > LABEL_MAX)
			return false;
		p += n;
		if (!*p)
			break;
	}
	return strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}
