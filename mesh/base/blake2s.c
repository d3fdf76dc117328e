/* BLAKE2s by OpenSSL. Its contexts are made once for every thread and used again and again: hashing allocates
 * nothing, so that it cannot fail in the middle of a handshake when memory is short. The first use in a
 * thread is what can; programs do it at their start (blake2s_setup), where to refuse is no loss. */
#include "mesh/base/blake2s.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 };

struct blake2s_context {
	EVP_MD_CTX *md;
	EVP_MAC_CTX *mac;
};

/* Looked up once: OpenSSL's by-name fetch costs more than hashing a handshake message. Written by
 * `fetch_once` alone and constant from then on, so sharing between threads is safe. */
static struct {
	EVP_MD *md;
	EVP_MAC *mac;
	pthread_key_t context; /* of each thread */
} algorithm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void context_free(void *p)
{
	struct blake2s_context *c = p;
	if (!c)
		return;
	EVP_MD_CTX_free(c->md);
	EVP_MAC_CTX_free(c->mac);
	free(c);
}

static void fetch_once(void)
{
	/* Without it fetching would use what is not there. */
	if (pthread_key_create(&algorithm.context, context_free) != 0 || !OSSL_LIB_CTX_get0_global_default())
		return;
	algorithm.md = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	algorithm.mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
}

static bool mac_init(struct blake2s_context *c, const void *key, size_t len)
{
	size_t size = BLAKE2S_MAC16;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end() };
	return EVP_MAC_init(c->mac, key, len, params) == 1;
}

/* This thread's; NULL when memory is short or OpenSSL has no BLAKE2s. Both contexts are used once, so that
 * all they will need is there. */
static struct blake2s_context *blake2s_context(void)
{
	static const uint8_t key[32] = { 1 };
	uint8_t sink[32];
	size_t n;
	if (pthread_once(&fetched, fetch_once) != 0 || !algorithm.md || !algorithm.mac)
		return NULL;
	struct blake2s_context *c = pthread_getspecific(algorithm.context);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c) {
		c->md = EVP_MD_CTX_new();
		c->mac = EVP_MAC_CTX_new(algorithm.mac);
	}
	if (c && c->md && c->mac && EVP_DigestInit_ex(c->md, algorithm.md, NULL) &&
		EVP_DigestFinal_ex(c->md, sink, NULL) && mac_init(c, key, sizeof(key)) &&
		EVP_MAC_final(c->mac, sink, &n, BLAKE2S_MAC16) &&
		pthread_setspecific(algorithm.context, c) == 0)
		return c;
	context_free(c);
	return NULL;
}

bool blake2s_setup(void)
{
	return blake2s_context();
}

/* To go on with a wrong hash would be worse than to stop. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

void blake2s_hash(const struct noise_part *parts, size_t n, uint8_t out[static 32])
{
	struct blake2s_context *c = blake2s_context();
	must(c && EVP_DigestInit_ex(c->md, NULL, NULL));
	for (size_t i = 0; i < n; i++)
		must(EVP_DigestUpdate(c->md, parts[i].p, parts[i].len));
	must(EVP_DigestFinal_ex(c->md, out, NULL));
}

void blake2s_mac16(
	const void *key, size_t key_len, const void *p, size_t len, uint8_t out[static BLAKE2S_MAC16])
{
	struct blake2s_context *c = blake2s_context();
	size_t n;
	must(c && mac_init(c, key, key_len));
	must(EVP_MAC_update(c->mac, p, len));
	must(EVP_MAC_final(c->mac, out, &n, BLAKE2S_MAC16));
}

void blake2s_hmac(
	const void *key, size_t key_len, const struct noise_part *parts, size_t n, uint8_t out[static 32])
{
	enum { PARTS_MAX = 7 };
	uint8_t pad[BLOCK] = { 0 }, inner[32];
	struct noise_part all[PARTS_MAX + 1];

	must(n <= PARTS_MAX);
	if (key_len > BLOCK)
		blake2s_hash(&(struct noise_part) { key, key_len }, 1, pad);
	else if (key_len)
		memcpy(pad, key, key_len);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	all[0] = (struct noise_part) { pad, BLOCK };
	for (size_t i = 0; i < n; i++)
		all[i + 1] = parts[i];
	blake2s_hash(all, n + 1, inner);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_hash((struct noise_part[]) { { pad, BLOCK }, { inner, sizeof(inner) } }, 2, out);
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}
