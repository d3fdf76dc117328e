#include "mesh/base/aead.h"
#include "mesh/base/aead_mb.h"
#include "mesh/base/err.h"
#include "mesh/base/noise.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct aead {
	EVP_CIPHER_CTX *ctx;	  /* OpenSSL's, keyed, wiped by EVP_CIPHER_CTX_free; NULL: ipsec-mb */
	uint8_t key[AEAD_MB_KEY]; /* ipsec-mb's; zero behind AEAD_KEY */
};

/* --- which one --- */

/* Written by `choose` alone and constant from then on, so sharing between threads is safe. */
static struct {
	enum aead_kind kind;
	char text[32];
} chosen = { .text = "OpenSSL" };
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

/* At one length: the same bytes out, back again, and no forged tag. */
static bool agrees_at(const uint8_t key[static AEAD_KEY], size_t len, uint8_t *p, uint8_t *expected)
{
	uint8_t nonce[AEAD_NONCE] = { 0, 0, 0, 0, (uint8_t)len, (uint8_t)(len >> 8) };
	struct aead a = { 0 };
	memcpy(a.key, key, AEAD_KEY);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + len);
	aead_seal(key, nonce, NULL, 0, p, len, expected);
	if (!aead_seal_inplace(&a, nonce, p, len) || memcmp(p, expected, len + AEAD_TAG) != 0)
		return false;
	if (!aead_open_inplace(&a, nonce, p, len + AEAD_TAG))
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)(i * 7 + len))
			return false;
	expected[len + len % AEAD_TAG] ^= 0x10;
	return !aead_open_inplace(&a, nonce, expected, len + AEAD_TAG);
}

/* The lengths: all up to five blocks of the widest registers (64 bytes, and some take four at once), so that each way
 * through its tails is taken; then packets, and a record. */
static bool mb_agrees(void)
{
	enum { EACH_UP_TO = 5 * 64 + 1, LONGEST = 4096 };
	static const size_t more[] = { 1023, 1024, 1025, 1264, 1280, 1424, 1500, LONGEST };
	uint8_t key[AEAD_KEY], p[LONGEST + AEAD_TAG], expected[LONGEST + AEAD_TAG];
	bool ok = true;
	for (size_t i = 0; i < AEAD_KEY; i++)
		key[i] = (uint8_t)(0x80 + 3 * i);
	for (size_t len = 0; ok && len <= EACH_UP_TO; len++)
		ok = agrees_at(key, len, p, expected);
	for (size_t i = 0; ok && i < ARRAY_LEN(more); i++)
		ok = agrees_at(key, more[i], p, expected);
	return ok;
}

static void choose(void)
{
	const char *instructions = aead_mb_instructions();
	if (!instructions || !mb_agrees())
		return;
	chosen.kind = AEAD_IPSEC_MB;
	snprintf(chosen.text, sizeof(chosen.text), "ipsec-mb, %s", instructions);
}

const char *aead_chosen(void)
{
	(void)pthread_once(&chosen_once, choose);
	return chosen.text;
}

/* --- contexts --- */

static bool set_openssl_key(struct aead *a, const uint8_t key[static AEAD_KEY], bool seal)
{
	static const uint8_t no_nonce[AEAD_NONCE];
	a->ctx = EVP_CIPHER_CTX_new();
	return a->ctx && EVP_CipherInit_ex(a->ctx, EVP_chacha20_poly1305(), NULL, key, no_nonce, seal);
}

struct aead *aead_new_by(enum aead_kind kind, const uint8_t key[static AEAD_KEY], bool seal)
{
	struct aead *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	if (kind == AEAD_IPSEC_MB)
		memcpy(a->key, key, AEAD_KEY);
	if (kind == AEAD_IPSEC_MB ? !aead_mb_instructions() : !set_openssl_key(a, key, seal)) {
		aead_free(a);
		return NULL;
	}
	return a;
}

struct aead *aead_new(const uint8_t key[static AEAD_KEY], bool seal)
{
	(void)aead_chosen();
	return aead_new_by(chosen.kind, key, seal);
}

void aead_free(struct aead *a)
{
	if (!a)
		return;
	EVP_CIPHER_CTX_free(a->ctx);
	sodium_memzero(a, sizeof(*a));
	free(a);
}

/* --- packets --- */

static bool seal_by_openssl(
	EVP_CIPHER_CTX *ctx, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len)
{
	int n = 0;
	if (!EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce))
		return false;
	if (len && !EVP_EncryptUpdate(ctx, p, &n, p, (int)len))
		return false;
	return EVP_EncryptFinal_ex(ctx, p + len, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, p + len);
}

bool aead_seal_inplace(struct aead *a, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len)
{
	if (len > INT_MAX - AEAD_TAG)
		return false;
	return a->ctx ? seal_by_openssl(a->ctx, nonce, p, len)
		      : aead_mb_run(a->key, nonce, p, len, true, p + len);
}

static bool open_by_openssl(
	EVP_CIPHER_CTX *ctx, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len)
{
	int n = 0;
	if (!EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce))
		return false;
	if (!EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, p + len))
		return false;
	if (len && !EVP_DecryptUpdate(ctx, p, &n, p, (int)len))
		return false;
	return EVP_DecryptFinal_ex(ctx, p + len, &n) == 1;
}

/* In a time that says nothing of where they differ. Inline: each packet that comes asks it. */
static bool same_tag(const uint8_t a[static AEAD_TAG], const uint8_t b[static AEAD_TAG])
{
	uint64_t x[2], y[2];
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	uint64_t differs = (x[0] ^ y[0]) | (x[1] ^ y[1]);
	return !differs;
}

static bool open_by_mb(const struct aead *a, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len)
{
	uint8_t tag[AEAD_TAG];
	bool ok = aead_mb_run(a->key, nonce, p, len, false, tag) && same_tag(tag, p + len);
	sodium_memzero(tag, sizeof(tag)); /* the right one for bytes that someone else made up */
	return ok;
}

bool aead_open_inplace(struct aead *a, const uint8_t nonce[static AEAD_NONCE], uint8_t *p, size_t len)
{
	if (len < AEAD_TAG || len > INT_MAX)
		return false;
	len -= AEAD_TAG;
	return a->ctx ? open_by_openssl(a->ctx, nonce, p, len) : open_by_mb(a, nonce, p, len);
}
