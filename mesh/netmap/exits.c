#include "mesh/netmap/exits.h"
#include <string.h>
#include <strings.h>

bool netmap_is_exit(const struct ctl_node *c)
{
	bool v4 = false, v6 = false;
	for (size_t i = 0; i < c->allowed_ips.n; i++)
		if (c->allowed_ips.v[i].bits == 0)
			*(addr_is_v4(&c->allowed_ips.v[i].ip) ? &v4 : &v6) = true;
	return v4 && v6;
}

static bool is_name(const struct ctl_node *c, const char *who)
{
	size_t len = strlen(who), label = strcspn(c->name, ".");
	if (len && who[len - 1] == '.')
		len--;
	return len && strncasecmp(c->name, who, len) == 0 &&
	       (len == label || strcmp(c->name + len, ".") == 0 || !c->name[len]);
}

const struct netmap_peer *netmap_exit_find(const struct netmap *m, const char *who)
{
	struct addr ip;
	bool by_address = addr_parse(who, &ip);
	for (size_t i = 0; *who && i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (by_address ? ctl_node_has(c, &ip) : strcmp(c->stable_id, who) == 0 || is_name(c, who))
			return m->peers[i];
	}
	return NULL;
}
