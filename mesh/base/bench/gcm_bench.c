/* What sealing one TLS record costs with AES-128-GCM, by OpenSSL and by ipsec-mb, in CPU time of this thread, in turn, so that both
 * see the same machine. The least of many rounds: what the rest of the machine does only adds. */
#include "mesh/base/err.h"
#include "mesh/base/gcm.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 400, BATCH = 16, LONGEST = 16384, N_AAD = 5 };
static const uint8_t key[GCM_KEY] = { 1 }, nonce[GCM_NONCE] = { 2 }, aad[N_AAD] = { 23, 3, 3 };

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void by_openssl(EVP_CIPHER_CTX *c, uint8_t *p, size_t len)
{
	uint8_t tag[GCM_TAG];
	int n;
	if (!EVP_EncryptInit_ex(c, NULL, NULL, NULL, nonce) || !EVP_EncryptUpdate(c, NULL, &n, aad, N_AAD) ||
		!EVP_EncryptUpdate(c, p, &n, p, (int)len) || !EVP_EncryptFinal_ex(c, p + len, &n) ||
		!EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, tag))
		abort();
}

static void by_mb(struct gcm *g, uint8_t *p, size_t len)
{
	uint8_t tag[GCM_TAG];
	gcm_begin(g, nonce, aad, N_AAD);
	gcm_seal(g, p, p, len);
	gcm_tag(g, tag);
}

int main(void)
{
	static const size_t sizes[] = { 64, 155, 1371, 4096, LONGEST };
	static uint8_t mem[LONGEST + GCM_TAG];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	struct gcm *g = gcm_new();
	if (!c || !EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, NULL))
		return 1;
	if (g)
		gcm_set_key(g, key);
	printf("ipsec-mb: %s\n%6s %10s %12s\n", g ? gcm_instructions() : "not here", "bytes", "OpenSSL ns",
		"ipsec-mb ns");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		double least[2] = { 1e12, 1e12 };
		for (int r = 0; r < ROUNDS; r++)
			for (int mb = 0; mb < (g ? 2 : 1); mb++) {
				double t = cpu_ns();
				for (int k = 0; k < BATCH; k++)
					if (mb)
						by_mb(g, mem, sizes[i]);
					else
						by_openssl(c, mem, sizes[i]);
				t = (cpu_ns() - t) / BATCH;
				least[mb] = t < least[mb] ? t : least[mb];
			}
		printf("%6zu %10.0f", sizes[i], least[0]);
		if (g)
			printf(" %12.0f   %5.2f times faster", least[1], least[0] / least[1]);
		printf("\n");
	}
	EVP_CIPHER_CTX_free(c);
	gcm_free(g);
	return 0;
}
