#include "mesh/node/links/server_place.h"

bool server_place(
	const struct nat64 *prefix, const struct addr *seen, const struct url *u, struct endpoint *out)
{
	struct addr ip;
	bool literal = addr_parse(u->host, &ip);
	if (!literal && !seen)
		return false;
	if (literal && (!prefix->bits || !addr_is_v4(&ip)))
		return false;
	*out = (struct endpoint) { .ip = literal ? nat64_embed(prefix, &ip) : *seen, .port = u->port };
	return true;
}
