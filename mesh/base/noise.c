#include "mesh/base/noise.h"
#include "mesh/base/key.h"

#include <sodium.h>
#include <string.h>

void noise_hkdf(const uint8_t ck[static 32], const void *ikm, size_t ikm_len, size_t n, uint8_t out[][32])
{
	uint8_t secret[32], prev[32];
	size_t prev_len = 0;

	blake2s_hmac(ck, 32, &(struct noise_part) { ikm, ikm_len }, 1, secret);
	for (size_t i = 0; i < n; i++) {
		uint8_t counter = (uint8_t)(i + 1);
		struct noise_part parts[] = { { prev, prev_len }, { &counter, 1 } };
		blake2s_hmac(secret, sizeof(secret), parts, 2, out[i]);
		memcpy(prev, out[i], 32);
		prev_len = 32;
	}
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(prev, sizeof(prev));
}

void noise_init(struct noise_state *s, const char *name)
{
	size_t len = strlen(name);
	memset(s, 0, sizeof(*s));
	if (len > NOISE_HASH)
		blake2s_hash(&(struct noise_part) { name, len }, 1, s->h);
	else
		memcpy(s->h, name, len);
	memcpy(s->ck, s->h, sizeof(s->ck));
}

void noise_mix_hash(struct noise_state *s, const void *p, size_t len)
{
	uint8_t h[32];
	blake2s_hash((struct noise_part[]) { { s->h, sizeof(s->h) }, { p, len } }, 2, h);
	memcpy(s->h, h, sizeof(h));
}

void noise_mix_key(struct noise_state *s, const void *ikm, size_t len)
{
	uint8_t out[2][32];
	noise_hkdf(s->ck, ikm, len, 2, out);
	memcpy(s->ck, out[0], 32);
	memcpy(s->k, out[1], 32);
	sodium_memzero(out, sizeof(out));
}

void noise_mix_chain(struct noise_state *s, const void *ikm, size_t len)
{
	uint8_t out[1][32];
	noise_hkdf(s->ck, ikm, len, 1, out);
	memcpy(s->ck, out[0], 32);
	sodium_memzero(out, sizeof(out));
}

void noise_mix_key_hash(struct noise_state *s, const uint8_t psk[static 32])
{
	uint8_t out[3][32];
	noise_hkdf(s->ck, psk, 32, 3, out);
	memcpy(s->ck, out[0], 32);
	noise_mix_hash(s, out[1], 32);
	memcpy(s->k, out[2], 32);
	sodium_memzero(out, sizeof(out));
}

bool noise_mix_dh(struct noise_state *s, const uint8_t priv[static 32], const uint8_t pub[static 32])
{
	uint8_t shared[32];
	bool ok = key_dh(priv, pub, shared);
	if (ok)
		noise_mix_key(s, shared, sizeof(shared));
	sodium_memzero(shared, sizeof(shared));
	return ok;
}

static const uint8_t nonce_zero[12];

void noise_seal(struct noise_state *s, const void *src, size_t len, uint8_t *out)
{
	aead_seal(s->k, nonce_zero, s->h, sizeof(s->h), src, len, out);
	noise_mix_hash(s, out, len + NOISE_TAG);
}

bool noise_open(struct noise_state *s, const void *src, size_t len, uint8_t *out)
{
	uint8_t h[32];
	/* The hash first: out may be src. */
	blake2s_hash((struct noise_part[]) { { s->h, sizeof(s->h) }, { src, len } }, 2, h);
	if (!aead_open(s->k, nonce_zero, s->h, sizeof(s->h), src, len, out))
		return false;
	memcpy(s->h, h, sizeof(h));
	return true;
}

void noise_split(const struct noise_state *s, uint8_t k1[static 32], uint8_t k2[static 32])
{
	uint8_t out[2][32];
	noise_hkdf(s->ck, NULL, 0, 2, out);
	memcpy(k1, out[0], 32);
	memcpy(k2, out[1], 32);
	sodium_memzero(out, sizeof(out));
}

void noise_wipe(struct noise_state *s)
{
	sodium_memzero(s, sizeof(*s));
}

void aead_seal(const uint8_t key[static 32], const uint8_t nonce[static 12], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out)
{
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, src, len, ad, ad_len, NULL, nonce, key);
}

bool aead_open(const uint8_t key[static 32], const uint8_t nonce[static 12], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out)
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, src, len, ad, ad_len, nonce, key) ==
	       0;
}

void xaead_seal(const uint8_t key[static 32], const uint8_t nonce[static 24], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out)
{
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, src, len, ad, ad_len, NULL, nonce, key);
}

bool xaead_open(const uint8_t key[static 32], const uint8_t nonce[static 24], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(
		       out, NULL, NULL, src, len, ad, ad_len, nonce, key) == 0;
}
