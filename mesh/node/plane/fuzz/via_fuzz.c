/* Packets of a peer to a 4via6 network, and what a machine there says, one after the other. An input is a line of them: a byte,
 * of which bit 0 says that it comes from the TUN and the rest how much time passes, two of length, the packet. What is translated
 * is whole, fits a link and is of the other family; what is no packet of such a network is as it was. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/via.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	STEP_HEAD = 3,
	FROM_TUN = 1,
	PACKET_MAX = PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM,
	STEPS_MAX = 200,
	FAR_BIT = 0x80,
	NEAR_MS = 100,
	FAR_MS = 500000
};

/* Packets of a peer that is none, or has no address of IPv4, are of the second and the third. */
static const struct prefix *addresses(void)
{
	static struct prefix v[2];
	if (!v[0].bits &&
		!(prefix_parse("100.64.0.7/32", &v[0]) && prefix_parse("fd7a:115c:a1e0::7/128", &v[1])))
		abort();
	return v;
}

static void check_whole(struct pkt *p, uint8_t version)
{
	struct ip_view v;
	if (!ip_parse(pkt_data(p), p->len, &v) || v.version != version)
		abort();
}

static void check(enum via_verdict r, bool out, struct via *t, struct pkt *p, const struct pkt *was)
{
	struct pkt *rest = out ? via_rest(t) : NULL;
	if (r == VIA_NOT && (p->len != was->len || memcmp(pkt_data(p), was->b + was->at, p->len) != 0))
		abort();
	if (r == VIA_DONE)
		check_whole(p, out ? 6 : 4);
	if (r == VIA_TOO_LARGE && (!out || (p->len && p->len > PACKET_MAX)))
		abort();
	if (r == VIA_TOO_LARGE && p->len)
		check_whole(p, 4);
	if (r == VIA_DONE && out && p->len > IP6_MTU_MIN)
		abort();
	if (r == VIA_DONE && rest)
		check_whole(rest, 6);
}

static void step(struct via *t, uint64_t now_ms, bool out, const uint8_t *data, size_t len)
{
	static struct pkt p, was;
	struct ip_view v;
	struct netmap_peer peer = { .node = { .id = 3,
					    .addresses = { (struct prefix *)(uintptr_t)addresses(), 2 } } };
	pkt_reset(&p);
	memcpy(pkt_data(&p), data, len);
	p.len = (uint16_t)len;
	if (!ip_parse(pkt_data(&p), p.len, &v))
		return;
	was = p;
	check(out ? via_out(t, now_ms, &v, &p) : via_in(t, now_ms, &peer, &v, &p), out, t, &p, &was);
}

static void run(const uint8_t *data, size_t len)
{
	uint64_t now_ms = 1000;
	trouble_begin();
	struct via *t = via_new(7);
	for (int i = 0; t && i < STEPS_MAX && len >= STEP_HEAD; i++) {
		size_t n = (size_t)be_get(data + 1, 2);
		n = n > len - STEP_HEAD ? len - STEP_HEAD : n;
		n = n > PACKET_MAX ? PACKET_MAX : n;
		now_ms += (data[0] & FAR_BIT ? FAR_MS : NEAR_MS) * (data[0] >> 1 & 7U);
		step(t, now_ms, data[0] & FROM_TUN, data + STEP_HEAD, n);
		data += STEP_HEAD + n;
		len -= STEP_HEAD + n;
	}
	trouble_end();
	via_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
