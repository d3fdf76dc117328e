#include "mesh/node/links/server_place.h"

bool server_place(const struct nat64 *prefix, const struct url *u, struct endpoint *out)
{
	struct addr ip;
	if (!prefix->bits || !addr_parse(u->host, &ip) || !addr_is_v4(&ip))
		return false;
	*out = (struct endpoint) { .ip = nat64_embed(prefix, &ip), .port = u->port };
	return true;
}
