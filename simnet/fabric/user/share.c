#include "simnet/fabric/user/share.h"

enum { PCP_PORT = 5351, SEARCH_PORT = 1900, WEB_PORT = 5000 };

static bool is_own(const struct router_foot *lan, const struct addr *a)
{
	return addr_equal(a, &lan->v4) || (!addr_is_unspecified(&lan->v6) && addr_equal(a, &lan->v6));
}

enum router_share share_of(const struct router_foot *lan, bool no_udp, const struct frame *f)
{
	static const struct addr group = { { [10] = 0xff, [11] = 0xff, 239, 255, 255, 250 } };
	struct eth_view v;
	struct eth_neighbour n;

	if (!eth_read(f->b, f->len, &v) || (!mac_equal(&v.dst, &lan->mac) && !(v.dst.b[0] & 1)))
		return ROUTER_SHARE_ROUTER;
	if (eth_read_neighbour(f->b, f->len, &v, &n))
		return n.request ? ROUTER_SHARE_ROUTER : ROUTER_SHARE_BOTH;
	if (!v.is_ip || (no_udp && v.ip.proto == IP_UDP))
		return ROUTER_SHARE_ROUTER;
	bool ours = is_own(lan, &v.ip.dst), asks = v.ip.proto == IP_UDP && v.ip.dport == PCP_PORT,
	     searches = v.ip.proto == IP_UDP && v.ip.dport == SEARCH_PORT,
	     calls = v.ip.proto == IP_TCP && v.ip.dport == WEB_PORT;
	if ((ours && (asks || searches || calls)) || (searches && addr_equal(&v.ip.dst, &group)))
		return ROUTER_SHARE_HOST;
	return ROUTER_SHARE_ROUTER;
}
