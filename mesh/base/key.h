/* X25519 key types of the control protocol, distinct so that one cannot stand where another belongs.
 * Text: "<prefix>:" and 64 lower-case hex (tailscale-protocol.md 1.10). Boxes: NaCl crypto_box (2.2, 3.1). */
#ifndef RW_BASE_KEY_H
#define RW_BASE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_LEN = 32, KEY_TEXT = 96, KEY_SHORT = 8, BOX_NONCE = 24, BOX_TAG = 16 };

struct machine_key {
	uint8_t b[KEY_LEN];
};
struct node_key {
	uint8_t b[KEY_LEN];
};
struct disco_key {
	uint8_t b[KEY_LEN];
};
struct machine_private {
	uint8_t b[KEY_LEN];
};
struct node_private {
	uint8_t b[KEY_LEN];
};
struct disco_private {
	uint8_t b[KEY_LEN];
};
struct box_key {
	uint8_t b[KEY_LEN];
}; /* precomputed shared key of a box */

/* Cores get randomness handed in, so that tests and the simulator can seed it. */
struct random {
	void (*fill)(void *arg, void *dst, size_t len);
	void *arg;
};
extern const struct random random_system; /* getrandom by libsodium */

/* sodium_init; false when the machine has no randomness. Call once from main and tests. */
bool key_setup(void);

void key_clamp(uint8_t priv[static KEY_LEN]);
/* pub = priv * base point. */
void key_public(const uint8_t priv[static KEY_LEN], uint8_t pub[static KEY_LEN]);
/* false when the result is all zero (low-order point): the caller must treat it as failure. */
bool key_dh(
	const uint8_t priv[static KEY_LEN], const uint8_t pub[static KEY_LEN], uint8_t out[static KEY_LEN]);
/* A fresh clamped private key. */
void key_generate(const struct random *rnd, uint8_t priv[static KEY_LEN]);
bool key_is_zero(const uint8_t k[static KEY_LEN]);
bool key_equal(const uint8_t a[static KEY_LEN], const uint8_t b[static KEY_LEN]); /* constant time */
void key_wipe(void *p, size_t len);
/* The pages that hold a long-term key stay in memory and out of core dumps, for as long as the process lives.
 * Where the limit of locked memory is too small (LimitMEMLOCK), they may reach the swap. */
void key_lock(void *p, size_t len);

/* "nodekey:" etc. with the colon in `prefix`; text must be exactly prefix + 64 hex. */
bool key_parse(const char *text, const char *prefix, uint8_t out[static KEY_LEN]);
/* Into buf[KEY_TEXT]; returns buf. prefix "" gives bare hex. */
char *key_format(const uint8_t k[static KEY_LEN], const char *prefix, char *buf);
/* First 5 characters of base64 in brackets-free form for logs, into buf[KEY_SHORT]. */
char *key_short(const uint8_t k[static KEY_LEN], char *buf);
bool hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len); /* exact length */
char *hex_encode(const uint8_t *p, size_t len, char *buf);			  /* buf[2*len+1] */
/* Standard base64 with padding. encode: buf[base64_text(len)]; decode: returns length or -1. */
static inline size_t base64_text(size_t len)
{
	return (len + 2) / 3 * 4 + 1;
}
char *base64_encode(const uint8_t *p, size_t len, char *buf);
long base64_decode(const char *text, size_t text_len, uint8_t *out, size_t cap);
/* The alphabet of URLs, without padding (RFC 4648 5). encode: buf[base64url_text(len)]. */
static inline size_t base64url_text(size_t len)
{
	return len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0) + 1;
}
char *base64url_encode(const uint8_t *p, size_t len, char *buf);
long base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap);

bool box_precompute(
	const uint8_t priv[static KEY_LEN], const uint8_t pub[static KEY_LEN], struct box_key *out);
/* out[len + BOX_TAG]: tag first, then ciphertext (crypto_box_easy layout). out and src may be the same +
 * BOX_TAG. */
void box_seal(const struct box_key *k, const uint8_t nonce[static BOX_NONCE], const void *src, size_t len,
	uint8_t *out);
/* len counts the tag; out[len - BOX_TAG]. false when it does not authenticate; out is then undefined. */
bool box_open(const struct box_key *k, const uint8_t nonce[static BOX_NONCE], const void *src, size_t len,
	uint8_t *out);

#endif
