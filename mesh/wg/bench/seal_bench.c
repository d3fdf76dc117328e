/* Seal and open through the whole core against bare EVP ChaCha20-Poly1305, interleaved in one run so that
 * both see the same machine. GB are of inner packets. */
#include "mesh/base/aead.h"
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/wg/core.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, ROUNDS = 2000, ROUNDS_APART = 20, SLOT = 2048 };

struct side {
	struct wg *wg, *to;
};

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void carry(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct side *s = arg;
	uint8_t copy[WG_MESSAGE_MAX];
	struct wg_span span = { copy, len };
	struct wg_origin from = { "x", 1, false };
	struct wg_received r;
	(void)peer;
	memcpy(copy, p, len);
	(void)wg_receive_span(s->to, 1000, &span, &from, &r);
}

static void ignore(void *arg, uint64_t peer)
{
	(void)arg;
	(void)peer;
}

static void connect_sides(struct side *a, struct side *b)
{
	struct side *s[2] = { a, b };
	struct node_private priv[2];
	struct node_key key[2];
	for (int i = 0; i < 2; i++) {
		struct wg_ops ops = { .send = carry, .session_ready = ignore, .arg = s[i] };
		key_generate(&random_system, priv[i].b);
		key_public(priv[i].b, key[i].b);
		s[i]->wg = wg_new(&priv[i], &ops, &random_system);
	}
	a->to = b->wg;
	b->to = a->wg;
	for (int i = 0; i < 2; i++) {
		struct prefix ip = { addr_v4(0x0a000001u + (uint32_t)!i), 32 };
		(void)wg_peer_set(s[i]->wg, 1, &key[!i], NULL, &ip, 1);
	}
	wg_handshake_wanted(a->wg, 1000, 1);
}

static void fill_packets(uint8_t *mem, size_t len)
{
	struct addr src = addr_v4(0x0a000001), dst = addr_v4(0x0a000002);
	for (int i = 0; i < BATCH; i++)
		(void)ip_write_header(mem + i * SLOT + PKT_HEADROOM, &src, &dst, 253, len - 20);
}

struct times {
	double seal, open, evp_seal, evp_open;
};

static void run_core(struct side *a, struct side *b, uint8_t *mem, size_t len, struct times *t)
{
	struct wg_span s[BATCH];
	struct wg_origin from = { "x", 1, false };
	struct wg_received r;
	double t0 = seconds();
	for (int i = 0; i < BATCH; i++) {
		s[i] = (struct wg_span) { mem + i * SLOT + PKT_HEADROOM, len };
		if (wg_seal_span(a->wg, 1000, 1, &s[i]) != WG_OK)
			abort();
	}
	double t1 = seconds();
	for (int i = 0; i < BATCH; i++)
		if (wg_receive_span(b->wg, 1000, &s[i], &from, &r) != WG_OK || s[i].len != len)
			abort();
	t->open += seconds() - t1;
	t->seal += t1 - t0;
}

static void run_evp(struct aead *seal, struct aead *open, uint8_t *mem, size_t len, struct times *t)
{
	uint8_t nonce[12] = { 0 };
	size_t padded = (len + 15) / 16 * 16;
	double t0 = seconds();
	for (int i = 0; i < BATCH; i++) {
		nonce[4] = (uint8_t)i;
		(void)aead_seal_inplace(seal, nonce, mem + i * SLOT + PKT_HEADROOM, padded);
	}
	double t1 = seconds();
	for (int i = 0; i < BATCH; i++) {
		nonce[4] = (uint8_t)i;
		if (!aead_open_inplace(open, nonce, mem + i * SLOT + PKT_HEADROOM, padded + NOISE_TAG))
			abort();
	}
	t->evp_open += seconds() - t1;
	t->evp_seal += t1 - t0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

int main(void)
{
	static const size_t sizes[] = { 64, 1280, 1420 };
	static _Alignas(64) uint8_t mem[BATCH * SLOT];
	static const uint8_t key[32] = { 1 };
	struct side a = { 0 }, b = { 0 };
	if (!key_setup())
		return 1;
	connect_sides(&a, &b);
	struct aead *seal = aead_new_by(AEAD_OPENSSL, key, true),
		    *open = aead_new_by(AEAD_OPENSSL, key, false);
	printf("sealed by %s\n", aead_chosen());
	printf("%6s %10s %10s %10s %10s %18s\n", "bytes", "seal GB/s", "open GB/s", "EVP seal", "EVP open",
		"core / EVP (median)");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct times all = { 0 };
		double ratio[ROUNDS_APART];
		for (int part = 0; part < ROUNDS_APART; part++) {
			struct times t = { 0 };
			for (int r = 0; r < ROUNDS / ROUNDS_APART; r++) {
				fill_packets(mem, sizes[i]);
				run_core(&a, &b, mem, sizes[i], &t);
				fill_packets(mem, sizes[i]);
				run_evp(seal, open, mem, sizes[i], &t);
			}
			ratio[part] = (t.evp_seal + t.evp_open) / (t.seal + t.open);
			all.seal += t.seal;
			all.open += t.open;
			all.evp_seal += t.evp_seal;
			all.evp_open += t.evp_open;
		}
		qsort(ratio, ROUNDS_APART, sizeof(ratio[0]), by_size);
		double gb = (double)sizes[i] * BATCH * ROUNDS / 1e9;
		printf("%6zu %10.2f %10.2f %10.2f %10.2f %18.3f\n", sizes[i], gb / all.seal, gb / all.open,
			gb / all.evp_seal, gb / all.evp_open, ratio[ROUNDS_APART / 2]);
	}
	aead_free(seal);
	aead_free(open);
	wg_free(a.wg);
	wg_free(b.wg);
	return 0;
}
