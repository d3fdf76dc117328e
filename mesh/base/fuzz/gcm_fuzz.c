/* ipsec-mb and OpenSSL: the same bytes and tag out, in pieces of any sizes, and back again. Input: key, nonce, one byte of how it
 * is cut, additional data, what is sealed. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/gcm.h"
#include "mesh/base/key.h"
#include <openssl/evp.h>
#include <string.h>

enum { N_AAD = 13, HEAD = GCM_KEY + GCM_NONCE + 1 + N_AAD, LONGEST = 4096 };

struct input {
	const uint8_t *key, *nonce, *aad, *plain;
	uint8_t cut;
	size_t n_aad, len;
};

static void seal_by_openssl(const struct input *in, uint8_t *out)
{
	int n = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	must(c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, in->key, in->nonce));
	must(!in->n_aad || EVP_EncryptUpdate(c, NULL, &n, in->aad, (int)in->n_aad));
	must(!in->len || EVP_EncryptUpdate(c, out, &n, in->plain, (int)in->len));
	must(EVP_EncryptFinal_ex(c, out + in->len, &n));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out + in->len));
	EVP_CIPHER_CTX_free(c);
}

static void in_pieces(struct gcm *g, const struct input *in, bool seal, uint8_t *p, uint8_t *tag)
{
	gcm_begin(g, in->nonce, in->aad, in->n_aad);
	for (size_t at = 0, n; at < in->len; at += n) {
		n = in->cut ? 1 + (in->cut * (at + 7)) % 500 : in->len;
		n = n < in->len - at ? n : in->len - at;
		(seal ? gcm_seal : gcm_open)(g, p + at, p + at, n);
	}
	gcm_tag(g, tag);
}

static void try_mb(const struct input *in, const uint8_t *sealed)
{
	static uint8_t p[LONGEST];
	uint8_t tag[GCM_TAG];
	struct gcm *g = gcm_new();
	must(g || trouble_happened() || !gcm_instructions());
	if (!g)
		return;
	memcpy(p, in->plain, in->len);
	gcm_set_key(g, in->key);
	in_pieces(g, in, true, p, tag);
	must(memcmp(p, sealed, in->len) == 0 && memcmp(tag, sealed + in->len, GCM_TAG) == 0);
	in_pieces(g, in, false, p, tag);
	must(memcmp(p, in->plain, in->len) == 0 && memcmp(tag, sealed + in->len, GCM_TAG) == 0);
	gcm_free(g);
}

static void compare(const uint8_t *data, size_t len)
{
	static uint8_t sealed[LONGEST + GCM_TAG];
	if (len < HEAD || len - HEAD > LONGEST)
		return;
	uint8_t cut = data[GCM_KEY + GCM_NONCE];
	const struct input in = { .key = data,
		.nonce = data + GCM_KEY,
		.cut = cut,
		.aad = data + HEAD - N_AAD,
		.n_aad = cut % (N_AAD + 1),
		.plain = data + HEAD,
		.len = len - HEAD };
	seal_by_openssl(&in, sealed);
	trouble_begin();
	try_mb(&in, sealed);
	trouble_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool chosen; /* once, and before memory is short */
	if (!chosen)
		(void)gcm_instructions();
	chosen = true;
	return key_setup() ? trouble_twice(compare, data, len) : 0;
}
