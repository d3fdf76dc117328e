#include "mesh/node/links/server_place.h"

bool server_place(const struct server_way *way, const struct url *u, struct endpoint *out)
{
	struct addr ip;
	bool literal = addr_parse(u->host, &ip);
	if (!literal && !way->seen)
		return false;
	if (literal && (!way->prefix.bits || !addr_is_v4(&ip)))
		return false;
	*out = (struct endpoint) { .ip = literal ? nat64_embed(&way->prefix, &ip) : *way->seen,
		.port = u->port };
	return true;
}

bool server_is_proxied(const struct proxies *p, const char *server_url)
{
	struct url u;
	return url_parse(server_url, &u) && proxies_for(p, u.https, u.host, u.port);
}
