/* Any bytes as packets in and out, under a few rules. Input: a direction byte, then packets of u16 length and
 * bytes. A packet of length CROWD is no packet: more flows begin than there is room for. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/filter/filter.h"
#include "mesh/filter/flows.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CROWD = 0xffff };

/* Ours, then some that a rule lets in. */
static void crowd(struct filter *f, struct filter_flows *t, uint64_t now_ms, struct filter_drops *drops)
{
	for (uint32_t i = 0; i < 3 * FLOWS_MAX; i++) {
		bool theirs = i >= 2 * FLOWS_MAX;
		struct addr we = addr_v4(0x0a000001), they = addr_v4(0x0a400000 + i);
		struct ip_view v = { .version = 4,
			.proto = IP_UDP,
			.src = theirs ? they : we,
			.dst = theirs ? we : they,
			.sport = 1000,
			.dport = 53 };
		(void)(theirs ? filter_in(f, t, now_ms, &v, drops) : filter_out(t, now_ms, &v, drops));
	}
}

static struct filter *build(void)
{
	static const uint8_t protos[] = { IP_TCP, IP_SCTP, 47 };
	const struct filter_range src[] = { { addr_v4(0x0a000000), addr_v4(0x0affffff), false },
		{ addr_v4(0x0aff0000), addr_v4(0x0b00ffff), false }, { .any = true } };
	const struct filter_dst dst[] = { { { addr_v4(0x0a000000), 8 }, false, 0, 65535 },
		{ .any = true, .first = 53, .last = 443 } };
	const struct filter_rule rules[] = { { src, 2, dst, 1, protos, 3 }, { src, 3, dst, 2, NULL, 0 } };
	const struct prefix local[] = { { addr_v4(0x0a000000), 24 }, { { { 0xfd, 0x7a, [15] = 2 } }, 127 } };
	return filter_build(rules, 2, &(struct filter_local) { .v = local, .n = 2 });
}

static void filter_target(const uint8_t *data, size_t len)
{
	trouble_begin();
	struct filter *f = build();
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops drops = { 0 };
	struct rd r = rd_of(data, len);
	uint8_t out = rd_u8(&r);
	bool crowded = false;
	if ((!f || !t) && !trouble_happened())
		abort();
	if (!f || !t) {
		filter_flows_free(t);
		filter_free(f);
		return;
	}
	for (int i = 0; i < 64 && r.left; i++) {
		uint16_t n = rd_u16(&r);
		if (n == CROWD) {
			if (!crowded)
				crowd(f, t, (uint64_t)i * 1000, &drops);
			crowded = true;
			continue;
		}
		struct rd p = rd_sub(&r, n);
		struct ip_view v;
		if (p.bad)
			break;
		if (!ip_parse(p.p, p.left, &v))
			continue;
		if (v.total_len > p.left || v.l4_at > v.total_len)
			abort();
		(void)filter_wants_reject(&v);
		if (out >> i % 8 & 1)
			(void)filter_out(t, (uint64_t)i * 1000, &v, &drops);
		else
			(void)filter_in(f, t, (uint64_t)i * 1000, &v, &drops);
	}
	filter_flows_free(t);
	filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(filter_target, data, len);
}
