#include "mesh/control/fleet/alloc.h"

#include <errno.h>
#include <string.h>

enum { POOL_BITS_MAX = 22 }; /* a search is never longer than 100.64.0.0/10 */

static struct addr address_at(const struct prefix *p, uint64_t offset)
{
	struct prefix net = *p;
	prefix_mask(&net);
	for (size_t i = 16; i-- > 8 && offset; offset >>= 8)
		net.ip.b[i] = (uint8_t)(net.ip.b[i] | (uint8_t)offset);
	return net.ip;
}

static unsigned host_bits(const struct prefix *p)
{
	unsigned bits = (addr_is_v4(&p->ip) ? 32U : 128U) - p->bits;
	return bits > POOL_BITS_MAX ? POOL_BITS_MAX : bits;
}

static bool is_v4_edge(const struct prefix *p, const struct addr *a)
{
	if (p->bits >= 31)
		return false;
	uint32_t mask = (uint32_t)((UINT64_C(1) << (32 - p->bits)) - 1);
	uint32_t host = addr_v4_get(a) & mask;
	return host == 0 || host == mask;
}

bool alloc_is_reserved(const struct alloc_pool *p, const struct addr *a)
{
	static const char *const v4_nets[] = { "100.115.92.0/23", "100.100.100.100/32" };
	struct prefix net;
	if (addr_is_v4(a)) {
		for (size_t i = 0; i < ARRAY_LEN(v4_nets); i++)
			if (prefix_parse(v4_nets[i], &net) && prefix_contains(&net, a))
				return true;
		return p->has_v4 && is_v4_edge(&p->v4, a);
	}
	struct addr first = p->v6.ip;
	return (prefix_parse("fd7a:115c:a1e0::53/128", &net) && addr_equal(&net.ip, a)) ||
	       (p->has_v6 && p->v6.bits < 127 && addr_equal(&first, a));
}

static bool is_free(const struct alloc_pool *p, const struct addr *a,
	bool (*used)(void *, const struct addr *), void *arg)
{
	return !alloc_is_reserved(p, a) && !used(arg, a);
}

int alloc_pick(const struct alloc_pool *p, uint64_t start, bool (*used)(void *arg, const struct addr *a),
	void *arg, struct alloc_pair *out, struct errbuf *eb)
{
	unsigned bits = POOL_BITS_MAX;
	if (p->has_v4 && host_bits(&p->v4) < bits)
		bits = host_bits(&p->v4);
	if (p->has_v6 && host_bits(&p->v6) < bits)
		bits = host_bits(&p->v6);
	uint64_t size = UINT64_C(1) << bits;
	for (uint64_t tried = 0; tried < size; tried++) {
		struct alloc_pair pair = { .offset = (start + tried) % size };
		if (p->has_v4)
			pair.v4 = address_at(&p->v4, pair.offset);
		if (p->has_v6)
			pair.v6 = address_at(&p->v6, pair.offset);
		if ((p->has_v4 && !is_free(p, &pair.v4, used, arg)) ||
			(p->has_v6 && !is_free(p, &pair.v6, used, arg)))
			continue;
		*out = pair;
		return 0;
	}
	return err_say(eb, -EADDRNOTAVAIL,
		"every address of the prefixes is in use: delete nodes or widen `prefixes`");
}
