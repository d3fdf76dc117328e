#include "mesh/oidc/jwk.h"

#include "mesh/base/key.h"
#include "mesh/proto/json.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum {
	SET_MAX = 256,
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192,
	COORDINATE = 32,
	ES256_SIG = 2 * COORDINATE,
	DER_MAX = 80
};

static const struct jwk_algorithm algorithms[] = { { "RS256", "RSA", NULL, "SHA256" },
	{ "PS256", "RSA", NULL, "SHA256" }, { "ES256", "EC", "P-256", "SHA256" },
	{ "EdDSA", "OKP", "Ed25519", "SHA512" } };

const struct jwk_algorithm *jwk_algorithm_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (!strcmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

bool jwk_base64url(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *len)
{
	long n = text_len ? base64url_decode(text, text_len, out, cap) : -1;
	if (n >= 0)
		*len = (size_t)n;
	return n >= 0;
}

/* --- one key --- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static bool take_bytes(const json_t *jwk, const char *name, uint8_t *out, size_t cap, size_t *len)
{
	const char *text = text_of(jwk, name);
	return jwk_base64url(text, strlen(text), out, cap, len);
}

static EVP_PKEY *key_of(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
	EVP_PKEY *pkey = NULL;
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
	uint8_t n[RSA_BITS_MAX / 8], e[8];
	size_t n_len, e_len;
	if (!take_bytes(jwk, "n", n, sizeof(n), &n_len) || !take_bytes(jwk, "e", e, sizeof(e), &e_len))
		return NULL;
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *big_n = BN_bin2bn(n, (int)n_len, NULL), *big_e = BN_bin2bn(e, (int)e_len, NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;
	if (b && big_n && big_e && BN_num_bits(big_n) >= RSA_BITS_MIN && BN_is_odd(big_n) &&
		BN_is_odd(big_e) && !BN_is_one(big_e) &&
		OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, big_n) == 1 &&
		OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, big_e) == 1) {
		params = OSSL_PARAM_BLD_to_param(b);
		pkey = key_of("RSA", params);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(big_n);
	BN_free(big_e);
	return pkey;
}

/* OpenSSL takes no point that is not of the curve. */
static EVP_PKEY *ec_key(const json_t *jwk)
{
	uint8_t point[1 + 2 * COORDINATE] = { POINT_CONVERSION_UNCOMPRESSED };
	char group[] = "prime256v1";
	size_t x, y;
	if (!take_bytes(jwk, "x", point + 1, COORDINATE, &x) || x != COORDINATE ||
		!take_bytes(jwk, "y", point + 1 + COORDINATE, COORDINATE, &y) || y != COORDINATE)
		return NULL;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end() };
	return key_of("EC", params);
}

static EVP_PKEY *ed25519_key(const json_t *jwk)
{
	uint8_t x[COORDINATE];
	size_t len;
	return take_bytes(jwk, "x", x, sizeof(x), &len) && len == sizeof(x)
		       ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x))
		       : NULL;
}

static EVP_PKEY *public_key(const json_t *jwk, const struct jwk_algorithm *a)
{
	if (!a->curve)
		return rsa_key(jwk);
	return !strcmp(a->kind, "EC") ? ec_key(jwk) : ed25519_key(jwk);
}

/* --- the set --- */

void oidc_keys_free(struct oidc_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->v[i].pkey);
	free(k);
}

size_t oidc_keys_count(const struct oidc_keys *k)
{
	return k->n;
}

/* One of the algorithms that this key can be used by, or NULL. */
static const struct jwk_algorithm *algorithm_of(const json_t *jwk)
{
	const char *alg = text_of(jwk, "alg");
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		const struct jwk_algorithm *a = &algorithms[i];
		if (!strcmp(a->kind, text_of(jwk, "kty")) &&
			(!a->curve || !strcmp(a->curve, text_of(jwk, "crv"))) &&
			(!*alg || !strcmp(alg, a->name)))
			return a;
	}
	return NULL;
}

static bool signs(const json_t *jwk)
{
	const char *use = text_of(jwk, "use");
	const json_t *ops = json_object_get(jwk, "key_ops");
	if (*use && strcmp(use, "sig") != 0)
		return false;
	if (!json_is_array(ops))
		return true;
	for (size_t i = 0; i < json_array_size(ops); i++) {
		const char *op = json_string_value(json_array_get(ops, i));
		if (op && !strcmp(op, "verify"))
			return true;
	}
	return false;
}

/* A key that is of no use is passed over. */
static void take_key(struct oidc_keys *set, const json_t *jwk)
{
	const struct jwk_algorithm *a = json_is_object(jwk) ? algorithm_of(jwk) : NULL;
	const char *id = text_of(jwk, "kid");
	if (!a || !signs(jwk) || set->n == JWK_KEYS_MAX || strlen(id) > OIDC_TEXT_MAX)
		return;
	struct oidc_key *k = &set->v[set->n];
	k->pkey = public_key(jwk, a);
	if (!k->pkey)
		return;
	set->n++;
	k->of_kind = a;
	k->only = *text_of(jwk, "alg") ? a : NULL;
	memcpy(k->id, id, strlen(id) + 1);
}

struct oidc_keys *oidc_keys_read(const char *text, size_t len, struct errbuf *eb)
{
	json_t *doc = oidc_json_open(text, len, "the provider's set of keys", eb);
	const json_t *list = json_object_get(doc, "keys");
	struct oidc_keys *k = doc ? calloc(1, sizeof(*k)) : NULL;
	if (doc && !k)
		err_set(eb, -ENOMEM, "read the provider's keys");
	for (size_t i = 0; k && i < json_array_size(list) && i < SET_MAX; i++)
		take_key(k, json_array_get(list, i));
	json_decref(doc);
	if (!k || k->n)
		return k;
	free(k);
	err_say(eb, ERR_UNSUPPORTED,
		"the provider has no key that signs by RS256, PS256, ES256 or EdDSA (RSA of %d to %d bits, "
		"P-256, Ed25519)",
		RSA_BITS_MIN, RSA_BITS_MAX);
	return NULL;
}

/* --- signatures --- */

bool jwk_fits(const struct oidc_key *k, const struct jwk_algorithm *a)
{
	return k->only ? k->only == a : !strcmp(k->of_kind->kind, a->kind);
}

/* ES256 has r and s side by side, OpenSSL a sequence of them. */
static size_t es256_to_der(const uint8_t *sig, size_t sig_len, uint8_t out[static DER_MAX])
{
	ECDSA_SIG *s = sig_len == ES256_SIG ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = s ? BN_bin2bn(sig, COORDINATE, NULL) : NULL,
	       *t = s ? BN_bin2bn(sig + COORDINATE, COORDINATE, NULL) : NULL;
	uint8_t *to = out;
	int len = 0;
	if (r && t && ECDSA_SIG_set0(s, r, t) == 1) {
		len = i2d_ECDSA_SIG(s, NULL);
		len = len > 0 && len <= DER_MAX ? i2d_ECDSA_SIG(s, &to) : 0;
	} else {
		BN_free(r);
		BN_free(t);
	}
	ECDSA_SIG_free(s);
	return len > 0 ? (size_t)len : 0;
}

static bool is_pss(const struct jwk_algorithm *a)
{
	return !strcmp(a->name, "PS256");
}

bool jwk_verify(const struct oidc_key *k, const struct jwk_algorithm *a, const void *p, size_t len,
	const uint8_t *sig, size_t sig_len)
{
	uint8_t der[DER_MAX];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;				     /* of ctx */
	const char *hash = !strcmp(a->kind, "OKP") ? NULL : a->hash; /* EdDSA hashes by itself */
	bool good = false;
	if (!strcmp(a->kind, "EC")) {
		sig_len = es256_to_der(sig, sig_len, der);
		sig = der;
	}
	if (sig_len && ctx && EVP_DigestVerifyInit_ex(ctx, &how, hash, NULL, NULL, k->pkey, NULL) == 1 &&
		(!is_pss(a) || (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
				       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1)))
		good = EVP_DigestVerify(ctx, sig, sig_len, p, len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}
