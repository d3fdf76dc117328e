#include "mesh/control/config/config_value.h"

#include "mesh/base/text.h"
#include <string.h>
#include <strings.h>

bool config_value_bool(const char *text, bool *out)
{
	*out = !strcasecmp(text, "true") || !strcasecmp(text, "yes") || !strcasecmp(text, "on");
	return *out || !strcasecmp(text, "false") || !strcasecmp(text, "no") || !strcasecmp(text, "off");
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
