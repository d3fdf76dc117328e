#include "mesh/node/host/around.h"

enum { ADDRESSES_MAX = 256 };

size_t around_list(struct nl *nl, int but, struct prefix *out, size_t cap)
{
	struct nl_addr all[ADDRESSES_MAX];
	int n = nl_addr_list(nl, all, ADDRESSES_MAX, NULL);
	size_t count = 0;
	for (int k = 0; k < n && k < ADDRESSES_MAX && count < cap; k++) {
		struct prefix p = all[k].p;
		bool single = p.bits == (addr_is_v4(&p.ip) ? 32 : 128);
		if (!all[k].up || all[k].ifindex == but || single || addr_is_loopback(&p.ip) ||
			addr_is_link_local(&p.ip))
			continue;
		prefix_mask(&p);
		out[count++] = p;
	}
	return count;
}
