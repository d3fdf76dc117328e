#include "simnet/punch/punch_peer.h"
#include "simnet/punch/punch_server.h"

#include "mesh/base/wire.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Messages, each after a byte of who says it and a byte of its length, to a peer and to a server. */
static unsigned sent;

static void count_sent(void *owner, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct punch_message m;
	(void)owner, (void)to;
	if (!punch_message_read(p, len, &m)) /* what is sent can be read */
		abort();
	sent++;
}
static void mapped(void *owner, const struct endpoint *seen)
{
	(void)owner, (void)seen;
}
static void changed(void *owner, const struct punch_remote *remote)
{
	(void)owner;
	if (remote->n_places > PUNCH_PLACES_MAX || remote->n_kept > remote->n_places)
		abort();
}
static void echoed(void *owner, const struct punch_remote *remote, const uint8_t *p, size_t len)
{
	(void)owner, (void)remote, (void)p;
	if (len > PUNCH_BODY_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct punch_peer_ops peer_ops = {
		.send = count_sent, .mapped = mapped, .changed = changed, .echoed = echoed
	};
	static const struct punch_server_ops server_ops = { .send = count_sent, .send_other = count_sent };
	static struct punch_peer peer;
	static struct punch_server server;
	struct punch_peer_conf conf = {
		.name = "a", .server = { .ip = addr_v4(1), .port = 1 }, .try_us = 3000000, .beat_us = 1000000
	};
	struct rd r = rd_of(data, len);
	uint64_t now_us = 1;

	punch_peer_init(&peer, &conf, &peer_ops, NULL);
	punch_server_init(&server, &server_ops, NULL);
	while (r.left && !r.bad) {
		struct endpoint from = { .ip = addr_v4(rd_u8(&r)), .port = 1 };
		size_t n = rd_u8(&r);
		const uint8_t *msg = rd_take(&r, n <= r.left ? n : r.left);
		n = n <= (size_t)(data + len - msg) ? n : (size_t)(data + len - msg);
		punch_peer_received(&peer, now_us, &from, msg, n);
		punch_peer_tick(&peer, now_us);
		sent = 0;
		punch_server_received(&server, now_us, &from, msg, n);
		if (sent > 2)
			abort();
		now_us += 100000;
	}
	return 0;
}
