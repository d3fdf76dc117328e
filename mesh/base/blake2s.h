/* BLAKE2s, by OpenSSL (libsodium has none): RFC 7693. A thread's first use may find memory short and then
 * ends the process; after that nothing here fails. */
#ifndef RW_BASE_BLAKE2S_H
#define RW_BASE_BLAKE2S_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLAKE2S_MAC16 = 16 };

/* The first use, for this thread; false: memory is short, or OpenSSL has no BLAKE2s. For mains of programs
 * that hash. */
bool blake2s_setup(void);
/* BLAKE2s-256 over `n` parts. */
struct noise_part {
	const void *p;
	size_t len;
};
void blake2s_hash(const struct noise_part *parts, size_t n, uint8_t out[static 32]);
/* Keyed, with 16 bytes of output, as WireGuard's mac1/mac2 and cookie. key_len <= 32. */
void blake2s_mac16(
	const void *key, size_t key_len, const void *p, size_t len, uint8_t out[static BLAKE2S_MAC16]);
/* At most 7 parts. */
void blake2s_hmac(
	const void *key, size_t key_len, const struct noise_part *parts, size_t n, uint8_t out[static 32]);

#endif
