#include "simnet/service/portmap.h"

#include "mesh/base/wire.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Requests, each after a byte of who asks and a byte of its length. No two mappings share a port. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct faults none;
	static struct portmap map;
	struct rd r = rd_of(data, len);
	uint64_t now_ms = 1000;

	map = (struct portmap) { .outer = addr_v4(1) };
	while (r.left) {
		uint8_t who = rd_u8(&r); /* 192 and more: with IPv6 */
		struct endpoint from = { .ip = addr_v4(0x0a000000u + who), .port = 5350 };
		if (who >= 192)
			from.ip = (struct addr) { { 0x20, [15] = who } };
		uint8_t out[PORTMAP_REPLY_MAX];
		size_t n = rd_u8(&r);
		struct rd msg = rd_sub(&r, n < r.left ? n : r.left);
		bool changed;
		if (portmap_answer(&map, now_ms, &none, &from, msg.p, msg.left, out, &changed) >
			PORTMAP_REPLY_MAX)
			abort();
		(void)portmap_expire(&map, now_ms += 1000);
	}
	for (size_t i = 0; i < map.n; i++)
		for (size_t k = 0; k < i; k++)
			if (map.v[i].proto == map.v[k].proto && map.v[i].outer == map.v[k].outer &&
				addr_is_v4(&map.v[i].inner.ip) && addr_is_v4(&map.v[k].inner.ip))
				abort();
	return map.n > PORTMAP_MAX ? abort(), 0 : 0;
}
