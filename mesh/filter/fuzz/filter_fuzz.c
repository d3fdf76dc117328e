/* Any bytes as packets in and out, under a few rules. Input: a direction byte, then packets of u16 length and
 * bytes. */
#include "mesh/base/wire.h"
#include "mesh/filter/filter.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct filter *build(void)
{
	static const uint8_t protos[] = { IP_TCP, IP_SCTP, 47 };
	const struct filter_range src[] = { { addr_v4(0x0a000000), addr_v4(0x0affffff), false },
		{ .any = true } };
	const struct filter_dst dst[] = { { { addr_v4(0x0a000000), 8 }, false, 0, 65535 },
		{ .any = true, .first = 53, .last = 443 } };
	const struct filter_rule rules[] = { { src, 1, dst, 1, protos, 3 }, { src, 2, dst, 2, NULL, 0 } };
	const struct prefix local[] = { { addr_v4(0x0a000000), 8 }, { addr_any6, 0 } };
	return filter_build(rules, 2, local, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct filter *f = build();
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops drops = { 0 };
	struct rd r = rd_of(data, len);
	uint8_t out = rd_u8(&r);
	if (!f || !t)
		abort();
	for (int i = 0; i < 64 && r.left; i++) {
		struct rd p = rd_sub(&r, rd_u16(&r));
		struct ip_view v;
		if (p.bad)
			break;
		if (!ip_parse(p.p, p.left, &v))
			continue;
		if (v.total_len > p.left || v.l4_at > v.total_len)
			abort();
		if (out >> i % 8 & 1)
			(void)filter_out(t, (uint64_t)i * 1000, &v, &drops);
		else
			(void)filter_in(f, t, (uint64_t)i * 1000, &v, &drops);
	}
	filter_flows_free(t);
	filter_free(f);
	return 0;
}
