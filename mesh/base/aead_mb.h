/* ChaCha20-Poly1305 by ipsec-mb; aead.c alone uses it. Where the library is missing, aead_mb_absent.c stands for
 * aead_mb.c. */
#ifndef RW_BASE_AEAD_MB_H
#define RW_BASE_AEAD_MB_H

#include "mesh/base/aead.h"

/* Its code for AVX2 loads 16 bytes from behind a key, into a half of a register that it does not use: they must be
 * memory. */
enum { AEAD_MB_KEY = 2 * AEAD_KEY };

/* Which instructions it uses, as "AVX512"; NULL where it is not to be used: not built in, a processor that it does not
 * know, its own self-test failed, it leaves secrets on the stack, or memory is short. */
const char *aead_mb_instructions(void);
/* In place; the tag of the sealed bytes into tag, for the caller to append or to compare. false when memory is short, and
 * nothing was done. */
bool aead_mb_run(const uint8_t key[static AEAD_MB_KEY], const uint8_t nonce[static AEAD_NONCE], uint8_t *p,
	size_t len, bool seal, uint8_t tag[static AEAD_TAG]);

#endif
