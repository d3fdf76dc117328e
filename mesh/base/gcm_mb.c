/* The library's direct calls: they take no manager, so that those found at the start serve all threads. For a whole message
 * they are no slower in pieces. */
#include "mesh/base/err.h"
#include "mesh/base/gcm.h"
#include "mesh/base/mb.h"

#include <intel-ipsec-mb.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct gcm {
	struct gcm_context_data message;
	bool seal; /* the message; one without bytes is the same both ways */
	_Alignas(64) struct gcm_key_data key;
};

/* Written by `choose` alone and constant from then on, so sharing between threads is safe. */
static struct {
	const char *instructions;
	aes_gcm_pre_t set_key;
	aes_gcm_init_t begin;
	aes_gcm_enc_dec_update_t seal, unseal;
	aes_gcm_enc_dec_finalize_t seal_end, unseal_end;
} chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

/* --- messages --- */

static struct gcm *new_unchosen(void)
{
	struct gcm *g = aligned_alloc(_Alignof(struct gcm), sizeof(*g));
	if (g)
		memset(g, 0, sizeof(*g));
	return g;
}

void gcm_free(struct gcm *g)
{
	if (!g)
		return;
	sodium_memzero(g, sizeof(*g));
	free(g);
}

void gcm_set_key(struct gcm *g, const uint8_t key[static GCM_KEY])
{
	chosen.set_key(key, &g->key);
}

void gcm_begin(struct gcm *g, const uint8_t nonce[static GCM_NONCE], const uint8_t *aad, size_t n_aad)
{
	chosen.begin(&g->key, &g->message, nonce, aad, n_aad);
	g->seal = false;
}

void gcm_seal(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len)
{
	if (len)
		chosen.seal(&g->key, &g->message, out, in, len);
	g->seal = true;
}

void gcm_open(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len)
{
	if (len)
		chosen.unseal(&g->key, &g->message, out, in, len);
}

void gcm_tag(struct gcm *g, uint8_t tag[static GCM_TAG])
{
	(g->seal ? chosen.seal_end : chosen.unseal_end)(&g->key, &g->message, tag, GCM_TAG);
}

/* --- whether it is there --- */

enum { EACH_UP_TO = 5 * 64 + 1, LONGEST = 16385, N_AAD = 5 };

struct trial {
	EVP_CIPHER_CTX *openssl;
	struct gcm *g;
	uint8_t plain[LONGEST], expected[LONGEST], p[LONGEST];
};

static bool seal_by_openssl(
	struct trial *t, const uint8_t *nonce, const uint8_t *aad, size_t len, uint8_t *tag)
{
	int n = 0;
	return EVP_EncryptInit_ex(t->openssl, NULL, NULL, NULL, nonce) &&
	       EVP_EncryptUpdate(t->openssl, NULL, &n, aad, N_AAD) &&
	       (!len || EVP_EncryptUpdate(t->openssl, t->expected, &n, t->plain, (int)len)) &&
	       EVP_EncryptFinal_ex(t->openssl, t->expected + len, &n) &&
	       EVP_CIPHER_CTX_ctrl(t->openssl, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, tag);
}

/* At one length, in two pieces: the same bytes and tag out, and back again. */
static bool agrees_at(struct trial *t, size_t len)
{
	uint8_t nonce[GCM_NONCE] = { 1, 2, 3, 4, (uint8_t)len, (uint8_t)(len >> 8) };
	uint8_t aad[N_AAD] = { 23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len };
	uint8_t expected[GCM_TAG], sealed[GCM_TAG], opened[GCM_TAG];
	size_t first = len % 5 * len / 5;
	if (!seal_by_openssl(t, nonce, aad, len, expected))
		return false;
	gcm_begin(t->g, nonce, aad, N_AAD);
	gcm_seal(t->g, t->p, t->plain, first);
	gcm_seal(t->g, t->p + first, t->plain + first, len - first);
	gcm_tag(t->g, sealed);
	if (memcmp(t->p, t->expected, len) != 0 || memcmp(sealed, expected, GCM_TAG) != 0)
		return false;
	gcm_begin(t->g, nonce, aad, N_AAD);
	gcm_open(t->g, t->p, t->p, first);
	gcm_open(t->g, t->p + first, t->p + first, len - first);
	gcm_tag(t->g, opened);
	return memcmp(t->p, t->plain, len) == 0 && memcmp(opened, expected, GCM_TAG) == 0;
}

/* All lengths up to five blocks of the widest registers; then those around what its loops take at once, packets, records. */
static bool agrees(struct trial *t)
{
	static const size_t more[] = { 511, 512, 767, 768, 769, 1023, 1025, 1344, 1535, 1537, 4113, 16384,
		LONGEST };
	static const uint8_t key[GCM_KEY] = { 0x80, 0x83, 0x86, 0x89, 0x8c, 0x8f, 0x92, 0x95, 1, 2, 3, 5, 7,
		11, 13, 17 };
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", "provider=default");
	bool ok = cipher && EVP_EncryptInit_ex(t->openssl, cipher, NULL, key, NULL);
	EVP_CIPHER_free(cipher);
	for (size_t i = 0; i < LONGEST; i++)
		t->plain[i] = (uint8_t)(i * 7 + (i >> 8));
	gcm_set_key(t->g, key);
	for (size_t len = 0; ok && len <= EACH_UP_TO; len++)
		ok = agrees_at(t, len);
	for (size_t i = 0; ok && i < ARRAY_LEN(more); i++)
		ok = agrees_at(t, more[i]);
	return ok;
}

static const char *instructions_of(const IMB_MGR *m)
{
	static const char *const names[] = { [IMB_ARCH_SSE] = "SSE",
		[IMB_ARCH_AVX] = "AVX",
		[IMB_ARCH_AVX2] = "AVX2",
		[IMB_ARCH_AVX512] = "AVX512" };
	return m->used_arch < ARRAY_LEN(names) ? names[m->used_arch] : NULL;
}

static void choose(void)
{
	const IMB_MGR *m = mb_manager();
	struct trial *t = m ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return;
	chosen.set_key = m->gcm128_pre;
	chosen.begin = m->gcm128_init;
	chosen.seal = m->gcm128_enc_update;
	chosen.unseal = m->gcm128_dec_update;
	chosen.seal_end = m->gcm128_enc_finalize;
	chosen.unseal_end = m->gcm128_dec_finalize;
	t->openssl = EVP_CIPHER_CTX_new();
	t->g = new_unchosen();
	if (t->openssl && t->g && agrees(t))
		chosen.instructions = instructions_of(m);
	mb_give_back_code(m); /* all lengths are more than there will be */
	EVP_CIPHER_CTX_free(t->openssl);
	gcm_free(t->g);
	free(t);
}

const char *gcm_instructions(void)
{
	(void)pthread_once(&chosen_once, choose);
	return chosen.instructions;
}

struct gcm *gcm_new(void)
{
	return gcm_instructions() ? new_unchosen() : NULL;
}
