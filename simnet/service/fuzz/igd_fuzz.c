#include "simnet/service/igd.h"

#include "mesh/base/wire.h"
#include "simnet/service/http_head.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A datagram or a request by HTTP, each after a byte of who asks (128 and more: a datagram; else 120 and more: by IPv6) and
 * two of its length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct faults kinds[] = { { 0 }, { .v1 = true, .permanent = true },
		{ .ppp = true, .roots = true, .other_port = true } };
	static struct portmap map;
	struct rd r = rd_of(data, len);
	const struct faults *f = &kinds[len % ARRAY_LEN(kinds)];
	struct addr own = addr_v4(0x0a000001);
	uint64_t now_ms = 1000;

	map = (struct portmap) { .outer = addr_v4(1) };
	while (r.left && !r.bad) {
		uint8_t who = rd_u8(&r);
		size_t n = rd_u16(&r);
		struct rd msg = rd_sub(&r, n < r.left ? n : r.left);
		struct endpoint from = { .ip = addr_v4(0x0a000000u + (who & 7)), .port = 9 };
		if (who >= 120 && who < 128)
			from.ip = (struct addr) { { 0x20, [15] = who & 7 } };
		char out[IGD_ANSWERS_MAX][IGD_ANSWER_MAX];
		static struct igd_reply reply;
		struct http_head h;
		bool changed;
		if (who >= 128) {
			for (size_t i = igd_search(f, &own, msg.p, msg.left, out); i-- > 0;)
				if (strlen(out[i]) >= IGD_ANSWER_MAX - 1)
					abort();
			continue;
		}
		if (http_head_read((const char *)msg.p, msg.left, &h) != HTTP_HEAD_DONE ||
			h.body_len > msg.left - h.len)
			continue;
		struct igd_request rq = { h.method, h.target, h.action, (const char *)msg.p + h.len,
			h.body_len };
		igd_answer(&map, now_ms, f, &from, &own, &rq, &reply, &changed);
		if (strlen(reply.body) >= IGD_REPLY_MAX - 1 || map.n > PORTMAP_MAX)
			abort();
		(void)portmap_expire(&map, now_ms += 1000);
	}
	for (size_t i = 0; i < map.n; i++)
		for (size_t k = 0; k < i; k++)
			if (map.v[i].proto == map.v[k].proto && map.v[i].outer == map.v[k].outer &&
				addr_is_v4(&map.v[i].inner.ip) && addr_is_v4(&map.v[k].inner.ip))
				abort();
	return 0;
}
