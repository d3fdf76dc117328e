/* Which cipher sealed records have. AES-GCM costs least where the processor has instructions for it, and elsewhere several times
 * what ChaCha20-Poly1305 does: the side that has none decides. */
#ifndef RW_TRANSPORT_TLS_CIPHERS_H
#define RW_TRANSPORT_TLS_CIPHERS_H

#include <openssl/ssl.h>
#include <stdbool.h>

bool tls_ciphers_aes_is_fast(void); /* here */
/* The order for sessions of either side on a machine where AES is, or is not, fast. */
void tls_ciphers_set(SSL_CTX *ctx, bool aes_is_fast);

/* Which implementations of ciphers are to be taken, as OpenSSL says it (property(7)); NULL: any, and so it is at first. Contexts
 * are made with it from then on. */
void tls_ciphers_prefer(const char *query);
const char *tls_ciphers_preferred(void);

#endif
