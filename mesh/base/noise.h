/* What the two Noise users (ts2021 IK, WireGuard IKpsk2) share: HKDF over BLAKE2s, the symmetric state, and the AEAD
 * for single messages (aead.h has the one for many under a key). Sources: Noise rev 34 sections 5 and 7;
 * tailscale-protocol.md 1.5; WireGuard 5.4. */
#ifndef RW_BASE_NOISE_H
#define RW_BASE_NOISE_H

#include "mesh/base/blake2s.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOISE_HASH = 32, NOISE_KEY = 32, NOISE_TAG = 16 };

/* HKDF of Noise: n = 1..3 outputs of 32 bytes; ikm may be empty. */
void noise_hkdf(const uint8_t ck[static 32], const void *ikm, size_t ikm_len, size_t n, uint8_t out[][32]);

struct noise_state {
	uint8_t ck[32], h[32], k[32];
};
/* h = ck = HASH(name) when the name is longer than 32 bytes, else zero padded. */
void noise_init(struct noise_state *s, const char *name);
void noise_mix_hash(struct noise_state *s, const void *p, size_t len);
void noise_mix_key(struct noise_state *s, const void *ikm, size_t len); /* ck, k */
void noise_mix_chain(
	struct noise_state *s, const void *ikm, size_t len); /* ck only (WireGuard's first mix) */
void noise_mix_key_hash(struct noise_state *s, const uint8_t psk[static 32]); /* psk token: ck, h, k */
/* DH then mix_key; false for an all-zero result. */
bool noise_mix_dh(struct noise_state *s, const uint8_t priv[static 32], const uint8_t pub[static 32]);
/* AEAD with k, zero nonce, AD = h, then mix the ciphertext into h. out[len + 16] / out[len - 16]. */
void noise_seal(struct noise_state *s, const void *src, size_t len, uint8_t *out);
bool noise_open(struct noise_state *s, const void *src, size_t len, uint8_t *out);
void noise_split(const struct noise_state *s, uint8_t k1[static 32], uint8_t k2[static 32]);
void noise_wipe(struct noise_state *s);

/* One-shot ChaCha20-Poly1305 and XChaCha20-Poly1305 (cookies); in and out may overlap exactly. */
void aead_seal(const uint8_t key[static 32], const uint8_t nonce[static 12], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out);
bool aead_open(const uint8_t key[static 32], const uint8_t nonce[static 12], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out);
void xaead_seal(const uint8_t key[static 32], const uint8_t nonce[static 24], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out);
bool xaead_open(const uint8_t key[static 32], const uint8_t nonce[static 24], const void *ad, size_t ad_len,
	const void *src, size_t len, uint8_t *out);

#endif
