/* A router that says anything at any time. Input: pieces of a head byte (2 bits: socket; the rest: how long it has been
 * quiet, in quarters of a second), a length byte and bytes. */
#include "mesh/portmap/portmap.h"

#include "mesh/base/err.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void count_request(void *arg, const uint8_t *p, size_t len)
{
	(void)p;
	*(size_t *)arg += len;
}

static void begin_search(void *arg)
{
	(void)arg;
}

static void begin_unmap(void *arg, uint16_t outer)
{
	(void)arg;
	if (!outer)
		abort(); /* nothing was given */
}

static void begin_map(void *arg, const struct router_wish *w)
{
	(void)w;
	*(size_t *)arg += ROUTER_REQUEST_MAX;
}

static void play(const struct portmap_router *at, const uint8_t *data, size_t len)
{
	static const uint8_t nonce[ROUTER_NONCE] = "abcdefghijk";
	size_t sent = 0;
	uint64_t now = 1000, began = now;
	struct portmap m;
	struct portmap_ops ops = { .send = count_request,
		.upnp_search = begin_search,
		.upnp_map = begin_map,
		.upnp_unmap = begin_unmap,
		.arg = &sent };
	struct endpoint from = { .ip = at->gateway, .port = ROUTER_PORT };
	struct rd r = rd_of(data, len);
	unsigned pieces = 0;

	portmap_init(&m, &ops, nonce);
	portmap_router_set(&m, now, at);
	for (; r.left && !r.bad; pieces++) {
		uint8_t head = rd_u8(&r);
		struct rd piece = rd_sub(&r, rd_u8(&r));
		char why[128];
		now += (uint64_t)(head >> 2) * 250;
		if (portmap_deadline(&m) <= now)
			portmap_tick(&m, now);
		if (piece.bad)
			break;
		if ((head & 3) == 0)
			portmap_received(&m, now, &from, piece.p, piece.left);
		else if ((head & 3) == 1)
			(void)portmap_news_received(&m, now, &from, piece.p, piece.left);
		else if ((head & 3) == 2)
			portmap_doubt(&m, now);
		else if (piece.left)
			portmap_upnp_mapped(&m, now,
				&(struct router_reply) {
					.address = from.ip, .outer = piece.p[0], .lifetime_s = 1 },
				piece.p[0] ? NULL : "no");
		else
			portmap_upnp_found(&m, now);
		(void)portmap_take_news(&m);
		(void)portmap_explain(&m, why, sizeof(why));
		if (endpoint_is_set(&m.mapped) &&
			(addr_is_private(&m.mapped.ip) || addr_is_v4(&m.mapped.ip) != addr_is_v4(&at->self)))
			abort();
	}
	/* A reply and the time until it may each bring one round of requests; none brings a storm. */
	if (sent > (pieces * 2 + 2 + (now - began) / 250) * 2 * ROUTER_REQUEST_MAX)
		abort();
}

/* The same of a router of IPv4 and one of IPv6. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct portmap_router routers[] = {
		{ .gateway = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 } },
			.self = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } },
			.port = 41641 },
		{ .gateway = { { 0xfe, 0x80, [15] = 1 } },
			.self = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } },
			.port = 41641 },
	};
	for (size_t i = 0; i < ARRAY_LEN(routers); i++)
		play(&routers[i], data, len);
	return 0;
}
