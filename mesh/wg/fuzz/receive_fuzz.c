/* Datagrams against a core that has a peer and sessions. Input: a flag byte, then datagrams of u16 length and
 * bytes. Flag bit 0: under load. Bit 1: mac1 is made right, so that the fuzzer gets past it. */
#include "mesh/wg/core.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct sink {
	struct wg *wg;
	uint8_t last[WG_MESSAGE_MAX];
	size_t len;
	uint64_t rng;
};

static void fill(void *arg, void *dst, size_t len)
{
	struct sink *s = arg;
	for (uint8_t *b = dst; len--; b++)
		*b = (uint8_t)((s->rng = s->rng * 6364136223846793005u + 1) >> 56);
}

static void keep(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct sink *s = arg;
	(void)peer;
	if (len <= sizeof(s->last))
		memcpy(s->last, p, s->len = len);
}

static void keep_back(void *arg, const void *from, const uint8_t *p, size_t len)
{
	(void)from;
	keep(arg, 0, p, len);
}

static void ready(void *arg, uint64_t peer)
{
	struct sink *s = arg;
	struct pkt p;
	while (wg_staged_take(s->wg, peer, &p))
		(void)wg_seal(s->wg, 5000, peer, &p);
}

static void start(struct sink *s, uint8_t seed, struct node_private *us)
{
	struct wg_ops ops = { keep, keep_back, NULL, ready, NULL, NULL, s };
	struct random rnd = { fill, s };
	memset(us->b, seed, sizeof(us->b));
	key_clamp(us->b);
	s->rng = seed;
	s->wg = wg_new(us, &ops, &rnd);
	if (!s->wg)
		abort();
}

static void introduce(struct sink *s, const struct node_private *other)
{
	struct node_key key;
	struct prefix all[2] = { { addr_v4(0), 0 }, { addr_any6, 0 } };
	key_public(other->b, key.b);
	if (!wg_peer_set(s->wg, 1, &key, NULL, all, 2))
		abort();
}

static void deliver(struct sink *s, const uint8_t *p, size_t len, uint8_t flags)
{
	struct wg_origin from = { "somewhere", 9, flags & 1 };
	struct wg_received out;
	uint8_t *copy = malloc(len ? len : 1); /* exact, so that one byte too far is seen */
	if (!copy)
		abort();
	memcpy(copy, p, len);
	if (flags & 2 && len >= sizeof(struct wg_macs)) {
		size_t body = len - sizeof(struct wg_macs);
		blake2s_mac16(s->wg->mac1_key, KEY_LEN, copy, body, copy + body);
	}
	struct wg_span span = { copy, len };
	(void)wg_receive_span(s->wg, 5000, &span, &from, &out);
	if (out.is_data && (span.p < copy || span.p + span.len > copy + len))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sink a = { 0 }, b = { 0 };
	struct node_private ka, kb;
	start(&a, 1, &ka);
	start(&b, 2, &kb);
	introduce(&a, &kb);
	introduce(&b, &ka);
	wg_handshake_wanted(a.wg, 5000, 1);
	deliver(&b, a.last, a.len, 0);
	deliver(&a, b.last, b.len, 0);
	deliver(&b, a.last, a.len, 0);
	wg_path_changed(b.wg, 5000, 1);
	struct rd r = rd_of(data, len);
	uint8_t flags = rd_u8(&r);
	for (int i = 0; i < 16 && r.left; i++) {
		struct rd d = rd_sub(&r, rd_u16(&r));
		if (d.bad)
			break;
		deliver(&b, d.p ? d.p : data, d.left, flags);
	}
	wg_tick(b.wg, 200000);
	wg_free(a.wg);
	wg_free(b.wg);
	return 0;
}
