/* provider-cipher(7) says what libssl may ask for: messages in pieces with TLS 1.3, whole records at once with TLS 1.2
 * (RFC 5288), whose nonce has a part that each record carries. */
#include "mesh/transport/tls_aes.h"
#include "mesh/base/gcm.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "mesh/transport/tls_ciphers.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXED = 4, EXPLICIT = GCM_NONCE - FIXED, RECORD_AAD = EVP_AEAD_TLS1_AAD_LEN, AAD_MAX = 64 };
static const char name[] = "ropewalk";

struct records {
	struct gcm *g;
	bool seal, has_key, has_fixed, has_nonce, begun, has_tag, ended;
	uint8_t nonce[GCM_NONCE], tag[GCM_TAG], aad[AAD_MAX];
	size_t n_aad;
	bool whole; /* the next update is a whole record of TLS 1.2, aad is its header */
};

static void *records_new(void *provider)
{
	(void)provider;
	struct records *r = calloc(1, sizeof(*r));
	if (r)
		r->g = gcm_new();
	if (r && r->g)
		return r;
	free(r);
	return NULL;
}

static void records_free(void *arg)
{
	struct records *r = arg;
	if (!r)
		return;
	gcm_free(r->g);
	OPENSSL_clear_free(r, sizeof(*r));
}

/* --- a message in pieces --- */

static int set_params(void *arg, const OSSL_PARAM params[]);

static int begin(struct records *r, bool seal, const uint8_t *key, size_t n_key, const uint8_t *nonce,
	size_t n_nonce, const OSSL_PARAM params[])
{
	if ((key && n_key != GCM_KEY) || (nonce && n_nonce != GCM_NONCE))
		return 0;
	r->seal = seal;
	r->begun = r->ended = false;
	r->n_aad = 0;
	if (key) {
		gcm_set_key(r->g, key);
		r->has_key = true;
	}
	if (nonce) {
		memcpy(r->nonce, nonce, GCM_NONCE);
		r->has_nonce = true;
	}
	return set_params(r, params);
}

static int begin_seal(void *arg, const uint8_t *key, size_t n_key, const uint8_t *nonce, size_t n_nonce,
	const OSSL_PARAM params[])
{
	return begin(arg, true, key, n_key, nonce, n_nonce, params);
}

static int begin_open(void *arg, const uint8_t *key, size_t n_key, const uint8_t *nonce, size_t n_nonce,
	const OSSL_PARAM params[])
{
	return begin(arg, false, key, n_key, nonce, n_nonce, params);
}

static void run(struct records *r, uint8_t *out, const uint8_t *in, size_t len)
{
	(r->seal ? gcm_seal : gcm_open)(r->g, out, in, len);
}

/* A nonce is used once. */
static bool message_begun(struct records *r)
{
	if (r->begun)
		return true;
	if (!r->has_key || !r->has_nonce)
		return false;
	gcm_begin(r->g, r->nonce, r->aad, r->n_aad);
	r->begun = true;
	r->has_nonce = false;
	return true;
}

static bool add_aad(struct records *r, const uint8_t *p, size_t len)
{
	if (r->begun || len > sizeof(r->aad) - r->n_aad)
		return false;
	memcpy(r->aad + r->n_aad, p, len);
	r->n_aad += len;
	return true;
}

static bool same_tag(const uint8_t a[static GCM_TAG], const uint8_t b[static GCM_TAG])
{
	return CRYPTO_memcmp(a, b, GCM_TAG) == 0;
}

/* --- a record of TLS 1.2: the nonce's own part, what is sealed, the tag --- */

/* What it counts is without the two; how many bytes a record has more, 0: none that could be. */
static bool record_header(struct records *r, const uint8_t *p, size_t len)
{
	size_t more = EXPLICIT + (r->seal ? 0 : GCM_TAG);
	if (len != RECORD_AAD || be_get(p + RECORD_AAD - 2, 2) < more)
		return false;
	memcpy(r->aad, p, RECORD_AAD);
	be_put(r->aad + RECORD_AAD - 2, 2, be_get(p + RECORD_AAD - 2, 2) - more);
	r->n_aad = RECORD_AAD;
	r->whole = true;
	return true;
}

/* The fixed part; ours counts on from anywhere. */
static bool fix_nonce(struct records *r, const uint8_t *p, size_t len)
{
	if (len != FIXED)
		return false;
	memcpy(r->nonce, p, FIXED);
	r->has_fixed = true;
	if (r->seal)
		random_system.fill(NULL, r->nonce + FIXED, EXPLICIT);
	return true;
}

static bool whole_record(struct records *r, uint8_t *p, const uint8_t *in, size_t len, size_t *out_len)
{
	r->whole = false;
	if (!r->has_key || !r->has_fixed || !p || p != in || len < EXPLICIT + GCM_TAG)
		return false;
	uint8_t *data = p + EXPLICIT, tag[GCM_TAG];
	size_t n = len - EXPLICIT - GCM_TAG;
	if (r->seal)
		memcpy(p, r->nonce + FIXED, EXPLICIT);
	else
		memcpy(r->nonce + FIXED, p, EXPLICIT);
	gcm_begin(r->g, r->nonce, r->aad, r->n_aad);
	run(r, data, data, n);
	gcm_tag(r->g, tag);
	*out_len = r->seal ? len : n;
	if (r->seal) {
		memcpy(data + n, tag, GCM_TAG);
		be_put(r->nonce + FIXED, EXPLICIT, be_get(r->nonce + FIXED, EXPLICIT) + 1);
		return true;
	}
	bool ok = same_tag(tag, data + n);
	OPENSSL_cleanse(ok ? tag : p, ok ? sizeof(tag) : len);
	return ok;
}

/* --- the calls --- */

static int update(void *arg, uint8_t *out, size_t *out_len, size_t out_size, const uint8_t *in, size_t len)
{
	struct records *r = arg;
	*out_len = 0;
	if (!len)
		return 1;
	if (out && out_size < len)
		return 0;
	if (r->whole)
		return whole_record(r, out, in, len, out_len);
	if (!out)
		return add_aad(r, in, len);
	if (!message_begun(r))
		return 0;
	run(r, out, in, len);
	*out_len = len;
	return 1;
}

static int end(void *arg, uint8_t *out, size_t *out_len, size_t out_size)
{
	struct records *r = arg;
	uint8_t tag[GCM_TAG];
	(void)out;
	(void)out_size;
	*out_len = 0;
	if (!message_begun(r) || (!r->seal && !r->has_tag))
		return 0;
	gcm_tag(r->g, tag);
	r->begun = false;
	r->n_aad = 0;
	if (r->seal) {
		memcpy(r->tag, tag, GCM_TAG);
		r->ended = true;
		return 1;
	}
	r->has_tag = false;
	bool ok = same_tag(tag, r->tag);
	OPENSSL_cleanse(tag, sizeof(tag)); /* the right one for bytes that someone else made up */
	return ok;
}

static bool take_tag(struct records *r, const OSSL_PARAM *p)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != GCM_TAG)
		return false;
	if (!p->data) /* how long it will be */
		return true;
	memcpy(r->tag, p->data, GCM_TAG);
	r->has_tag = true;
	return !r->seal;
}

static int set_params(void *arg, const OSSL_PARAM params[])
{
	struct records *r = arg;
	bool ok = true;
	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		size_t n;
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG))
			ok = take_tag(r, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD))
			ok = p->data && record_header(r, p->data, p->data_size);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED))
			ok = p->data && fix_nonce(r, p->data, p->data_size);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_IVLEN))
			ok = OSSL_PARAM_get_size_t(p, &n) && n == GCM_NONCE;
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN))
			ok = OSSL_PARAM_get_size_t(p, &n) && n == GCM_KEY;
	}
	return ok;
}

static int get_params(void *arg, OSSL_PARAM params[])
{
	const struct records *r = arg;
	bool ok = true;
	for (OSSL_PARAM *p = params; ok && p->key; p++)
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN))
			ok = OSSL_PARAM_set_size_t(p, GCM_NONCE);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG))
			ok = r->ended && p->data_size == GCM_TAG &&
			     OSSL_PARAM_set_octet_string(p, r->tag, GCM_TAG);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD))
			ok = OSSL_PARAM_set_size_t(p, GCM_TAG);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN))
			ok = OSSL_PARAM_set_size_t(p, GCM_KEY);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAGLEN))
			ok = OSSL_PARAM_set_size_t(p, GCM_TAG);
	return ok;
}

/* Of the cipher. */
static int get_constants(OSSL_PARAM params[])
{
	bool ok = true;
	for (OSSL_PARAM *p = params; ok && p->key; p++)
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_MODE))
			ok = OSSL_PARAM_set_uint(p, EVP_CIPH_GCM_MODE);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN))
			ok = OSSL_PARAM_set_size_t(p, GCM_KEY);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN))
			ok = OSSL_PARAM_set_size_t(p, GCM_NONCE);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_BLOCK_SIZE))
			ok = OSSL_PARAM_set_size_t(p, 1);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD) ||
			 !strcmp(p->key, OSSL_CIPHER_PARAM_CUSTOM_IV))
			ok = OSSL_PARAM_set_int(p, 1);
	return ok;
}

/* --- the provider --- */

#define CALL(id, f) \
	{ \
		id, (void (*)(void))(f) \
	}
static const OSSL_DISPATCH cipher_calls[] = {
	CALL(OSSL_FUNC_CIPHER_NEWCTX, records_new),
	CALL(OSSL_FUNC_CIPHER_FREECTX, records_free),
	CALL(OSSL_FUNC_CIPHER_ENCRYPT_INIT, begin_seal),
	CALL(OSSL_FUNC_CIPHER_DECRYPT_INIT, begin_open),
	CALL(OSSL_FUNC_CIPHER_UPDATE, update),
	CALL(OSSL_FUNC_CIPHER_FINAL, end),
	CALL(OSSL_FUNC_CIPHER_GET_PARAMS, get_constants),
	CALL(OSSL_FUNC_CIPHER_GET_CTX_PARAMS, get_params),
	CALL(OSSL_FUNC_CIPHER_SET_CTX_PARAMS, set_params),
	{ 0, NULL },
};

static const OSSL_ALGORITHM *what_is_there(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM ciphers[] = {
		{ "AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", "provider=ropewalk", cipher_calls,
			NULL },
		{ NULL, NULL, NULL, NULL },
	};
	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_CIPHER ? ciphers : NULL;
}

static int provide(
	const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH calls[] = {
		CALL(OSSL_FUNC_PROVIDER_QUERY_OPERATION, what_is_there),
		{ 0, NULL },
	};
	(void)handle;
	(void)in;
	*out = calls;
	*provider = (void *)name;
	return 1;
}

static OSSL_PROVIDER *used; /* until the process ends; written before threads are there */

bool tls_aes_use(void)
{
	if (used)
		return true;
	/* The last argument: what is there without being asked for stays there. */
	if (gcm_instructions() && OSSL_PROVIDER_add_builtin(NULL, name, provide) == 1)
		used = OSSL_PROVIDER_try_load(NULL, name, 1);
	if (used)
		tls_ciphers_prefer("?provider=ropewalk");
	return used;
}

const char *tls_aes_chosen(void)
{
	static char text[32];
	if (!used)
		return "OpenSSL";
	snprintf(text, sizeof(text), "ipsec-mb, %s", gcm_instructions());
	return text;
}
