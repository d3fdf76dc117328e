#include "mesh/node/nameservers.h"

enum { NAMESERVERS_MAX = 16 };

void nameservers_tell(struct engine *e, struct os_dns *dns)
{
	struct endpoint base[NAMESERVERS_MAX];
	struct addr ip[NAMESERVERS_MAX];
	if (!engine_is_open(e))
		return;
	size_t count = os_dns_base(dns, base, NAMESERVERS_MAX);
	for (size_t i = 0; i < count; i++)
		ip[i] = base[i].ip;
	iface_nameservers_set(e->iface, ip, count);
}
