#include "mesh/control/login/proxy.h"

#include <string.h>

static bool is_trusted(const struct ctl_prefixes *trusted, const struct addr *a)
{
	for (size_t i = 0; i < trusted->n; i++)
		if (prefix_contains(&trusted->v[i], a))
			return true;
	return false;
}

/* "192.0.2.1", "[2001:db8::1]:4711", with spaces around it. */
static bool parse_hop(const char *text, size_t len, struct addr *out)
{
	char one[ENDPOINT_TEXT];
	struct endpoint e;
	while (len && (text[0] == ' ' || text[0] == '\t')) {
		text++;
		len--;
	}
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len >= sizeof(one))
		return false;
	memcpy(one, text, len);
	one[len] = 0;
	if (addr_parse(one, out))
		return true;
	if (!endpoint_parse(one, &e))
		return false;
	*out = e.ip;
	return true;
}

bool proxy_step(const struct ctl_prefixes *trusted, const char *value, struct addr *at)
{
	size_t end = strlen(value);
	while (is_trusted(trusted, at)) {
		size_t begin = end;
		while (begin && value[begin - 1] != ',')
			begin--;
		if (!parse_hop(value + begin, end - begin, at))
			return false; /* the last one that can be believed */
		if (!begin)
			return is_trusted(trusted, at);
		end = begin - 1;
	}
	return false;
}
