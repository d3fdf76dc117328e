#include "simnet/scenario/nptv6.h"

#include "mesh/base/wire.h"

enum { PREFIX_BYTES = 6, SUBNET_AT = PREFIX_BYTES };

bool nptv6_is_there(const struct nptv6 *n)
{
	return !addr_is_unspecified(&n->inside);
}

bool nptv6_is_inside(const struct nptv6 *n, const struct addr *a)
{
	return nptv6_is_there(n) && !memcmp(a->b, n->inside.b, PREFIX_BYTES);
}

bool nptv6_is_outside(const struct nptv6 *n, const struct addr *a)
{
	return nptv6_is_there(n) && !memcmp(a->b, n->outside.b, PREFIX_BYTES);
}

static uint32_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t sum_of(const struct addr *prefix)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < PREFIX_BYTES; i += 2)
		sum += (uint32_t)be_get(prefix->b + i, 2);
	return folded(sum);
}

/* All in ones' complement, where a - b is a + ~b. */
static struct addr exchange(const struct addr *a, const struct addr *was, const struct addr *is)
{
	struct addr out = *a;
	uint32_t subnet = (uint32_t)be_get(a->b + SUBNET_AT, 2);
	subnet = folded(subnet + sum_of(was) + (uint16_t)~sum_of(is));
	memcpy(out.b, is->b, PREFIX_BYTES);
	be_put(out.b + SUBNET_AT, 2, subnet == 0xffff ? 0 : subnet);
	return out;
}

struct addr nptv6_out(const struct nptv6 *n, const struct addr *inside)
{
	return exchange(inside, &n->inside, &n->outside);
}

struct addr nptv6_in(const struct nptv6 *n, const struct addr *outside)
{
	return exchange(outside, &n->outside, &n->inside);
}
