#include "mesh/acme/jose.h"
#include "mesh/base/key.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { COORDINATE = 32, SIGNATURE = 2 * COORDINATE, DER_MAX = 80, HASH = 32 };

struct jose_key {
	EVP_PKEY *pkey;
};

static struct jose_key *jose_key_of(EVP_PKEY *pkey)
{
	struct jose_key *k = pkey ? malloc(sizeof(*k)) : NULL;
	if (k)
		k->pkey = pkey;
	else
		EVP_PKEY_free(pkey);
	return k;
}

struct jose_key *jose_key_make(void)
{
	return jose_key_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"));
}

static bool is_p256(const EVP_PKEY *pkey)
{
	char group[32];
	size_t n = 0;
	return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) &&
	       !strcmp(group, "prime256v1");
}

struct jose_key *jose_key_read(const char *pem, size_t len, struct errbuf *eb)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	/* A passphrase is asked of nobody. */
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	BIO_free(bio);
	if (pkey && !is_p256(pkey)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	struct jose_key *k = jose_key_of(pkey);
	if (!k)
		err_say(eb, ERR_MALFORMED, "it holds no P-256 key in PEM");
	return k;
}

bool jose_key_write(const struct jose_key *k, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	bool ok = bio && PEM_write_bio_PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL);
	long len = ok ? BIO_get_mem_data(bio, &text) : 0;
	ok = ok && buf_append(pem, text, (size_t)len);
	BIO_free(bio);
	return ok;
}

void jose_key_free(struct jose_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

bool jose_base64url(const void *p, size_t len, struct buf *out)
{
	size_t room = base64url_text(len);
	char *text = (char *)buf_room(out, room);
	if (!text)
		return false;
	base64url_encode(p, len, text);
	buf_grown(out, room - 1);
	return true;
}

static bool add_coordinate(const struct jose_key *k, const char *which, struct buf *out)
{
	uint8_t b[COORDINATE];
	BIGNUM *n = NULL;
	bool ok = EVP_PKEY_get_bn_param(k->pkey, which, &n) && BN_bn2binpad(n, b, sizeof(b)) == COORDINATE &&
		  jose_base64url(b, sizeof(b), out);
	BN_free(n);
	return ok;
}

/* Members in the order of RFC 7638 3.2, so that it is also what a thumbprint is taken of. */
static bool add_jwk(const struct jose_key *k, struct buf *out)
{
	return buf_printf(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"") &&
	       add_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_X, out) && buf_printf(out, "\",\"y\":\"") &&
	       add_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_Y, out) && buf_printf(out, "\"}");
}

bool jose_thumbprint(const struct jose_key *k, char out[static JOSE_THUMBPRINT])
{
	uint8_t hash[HASH];
	struct buf jwk = { 0 };
	bool ok = add_jwk(k, &jwk);
	if (ok) {
		crypto_hash_sha256(hash, buf_data(&jwk), jwk.len);
		base64url_encode(hash, sizeof(hash), out);
	}
	buf_free(&jwk);
	return ok;
}

/* OpenSSL gives DER, JWS wants the two numbers side by side. */
static bool flatten(const uint8_t *der, size_t len, uint8_t out[static SIGNATURE])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, COORDINATE) == COORDINATE &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + COORDINATE, COORDINATE) == COORDINATE;
	ECDSA_SIG_free(sig);
	return ok;
}

static bool es256(const struct jose_key *k, const struct buf *text, uint8_t out[static SIGNATURE])
{
	uint8_t der[DER_MAX];
	size_t len = sizeof(der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		  EVP_DigestSign(ctx, der, &len, buf_data(text), text->len) == 1 && flatten(der, len, out);
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool jose_sign(const struct jose_key *k, const struct jose_request *rq, struct buf *out)
{
	struct buf header = { 0 }, input = { 0 };
	uint8_t signature[SIGNATURE];
	bool ok = buf_printf(
		&header, "{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\",", rq->nonce, rq->url);
	if (rq->account)
		ok = ok && buf_printf(&header, "\"kid\":\"%s\"}", rq->account);
	else
		ok = ok && buf_printf(&header, "\"jwk\":") && add_jwk(k, &header) && buf_printf(&header, "}");
	ok = ok && jose_base64url(buf_data(&header), header.len, &input);
	size_t cut = input.len;
	ok = ok && buf_printf(&input, ".") && jose_base64url(rq->payload, strlen(rq->payload), &input) &&
	     es256(k, &input, signature) &&
	     buf_printf(out, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"", (int)cut,
		     (const char *)buf_data(&input), (int)(input.len - cut - 1),
		     (const char *)buf_data(&input) + cut + 1) &&
	     jose_base64url(signature, sizeof(signature), out) && buf_printf(out, "\"}");
	buf_free(&header);
	buf_free(&input);
	return ok;
}
