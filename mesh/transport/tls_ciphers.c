#include "mesh/transport/tls_ciphers.h"

#if defined(__x86_64__) || defined(__i386__)
bool tls_ciphers_aes_is_fast(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
bool tls_ciphers_aes_is_fast(void)
{
	unsigned long has = getauxval(AT_HWCAP);
	return (has & HWCAP_AES) && (has & HWCAP_PMULL);
}
#elif defined(__arm__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
bool tls_ciphers_aes_is_fast(void)
{
	unsigned long has = getauxval(AT_HWCAP2);
	return (has & HWCAP2_AES) && (has & HWCAP2_PMULL);
}
#else
bool tls_ciphers_aes_is_fast(void)
{
	return true;
}
#endif

/* AES: OpenSSL asks for the 256 bits first, which cost a sixth more and keep nobody out that 128 let in; official clients and
 * relays ask as we do. */
void tls_ciphers_set(SSL_CTX *ctx, bool aes_is_fast)
{
	SSL_CTX_set_ciphersuites(ctx,
		aes_is_fast ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
			    : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
	/* Else a server does as its client asks, who may be the one without. */
	if (!aes_is_fast)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}

static const char *preferred; /* written before threads are there */

void tls_ciphers_prefer(const char *query)
{
	preferred = query;
}

const char *tls_ciphers_preferred(void)
{
	return preferred;
}
