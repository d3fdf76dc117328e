/* ChaCha20-Poly1305 in bulk, without additional data (RFC 8439 2.8): what seals packets and records.
 *
 * Two implementations write the same bytes. ipsec-mb (x86-64) is the faster one, most of all for small packets;
 * OpenSSL is on every machine. Which one it is, is decided once for the process, at the first aead_chosen or
 * aead_new: ipsec-mb where it was built in, knows the processor, passes its own self-test, and agrees here with a
 * third implementation (libsodium) at every length up to five blocks of the widest registers. */
#ifndef RW_BASE_AEAD_H
#define RW_BASE_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_KEY = 32, AEAD_NONCE = 12, AEAD_TAG = 16 };
enum aead_kind { AEAD_OPENSSL, AEAD_IPSEC_MB, AEAD_KINDS };

/* One key in one direction; a thread at a time. */
struct aead;
struct aead *aead_new(const uint8_t key[static AEAD_KEY], bool seal); /* NULL when memory is short */
/* By one of them, for tests and benchmarks. NULL as well where the machine or the build has it not. */
struct aead *aead_new_by(enum aead_kind kind, const uint8_t key[static AEAD_KEY], bool seal);
void aead_free(struct aead *a); /* wipes; NULL is fine */
/* In place. seal writes p[len .. len + AEAD_TAG); false when memory is short. open: len counts the tag; false when it
 * does not authenticate, and p is then worthless. */
bool aead_seal_inplace(struct aead *a, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len);
bool aead_open_inplace(struct aead *a, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len);

/* Which one seals here, for people: "ipsec-mb, AVX512", "OpenSSL". Programs ask at their start. */
const char *aead_chosen(void);

#endif
