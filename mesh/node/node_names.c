#include "mesh/node/node_names.h"

enum { NAMESERVERS_MAX = 16 };

void node_tell_nameservers(struct node *n)
{
	struct endpoint base[NAMESERVERS_MAX];
	struct addr ip[NAMESERVERS_MAX];
	if (!engine_is_open(&n->engine))
		return;
	size_t count = os_dns_base(n->os_dns, base, NAMESERVERS_MAX);
	for (size_t i = 0; i < count; i++)
		ip[i] = base[i].ip;
	iface_nameservers_set(n->engine.iface, ip, count);
}

void node_names_again(void *node)
{
	struct node *n = node;
	node_tell_nameservers(n);
	apply_again(&n->apply, APPLY_NAMES);
}
