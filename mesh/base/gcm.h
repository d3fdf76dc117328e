/* AES-128-GCM in bulk (NIST SP 800-38D) with nonces of 12 bytes, by ipsec-mb: what seals TLS records. It is there on
 * x86-64, where the library was built in, knows the processor, passes its own self-test, and writes here what OpenSSL
 * writes; elsewhere there is OpenSSL alone. */
#ifndef RW_BASE_GCM_H
#define RW_BASE_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GCM_KEY = 16, GCM_NONCE = 12, GCM_TAG = 16 };

/* Which instructions are used, as "AVX512"; NULL: it is not there. Decided once for the process. */
const char *gcm_instructions(void);

/* One key, and one message at a time; a thread at a time. */
struct gcm;
struct gcm *gcm_new(void);    /* NULL: not there, or memory is short */
void gcm_free(struct gcm *g); /* wipes; NULL is fine */
void gcm_set_key(struct gcm *g, const uint8_t key[static GCM_KEY]);
/* A message: begin, its bytes in pieces as they come, in place or not, and the tag: to be sent, or to be compared. What was opened
 * is worthless until the tag is known to be right. */
void gcm_begin(struct gcm *g, const uint8_t nonce[static GCM_NONCE], const uint8_t *aad, size_t n_aad);
void gcm_seal(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len);
void gcm_open(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len);
void gcm_tag(struct gcm *g, uint8_t tag[static GCM_TAG]);

#endif
