/* Keys and signatures against RFC 7515 A.3's key, and OpenSSL's own verification. */
#include "mesh/acme/acme_cert.h"
#include "mesh/acme/jose.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <cmocka.h>

static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
			      "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
			      "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
			      "-----END PRIVATE KEY-----\n";
static const char jwk[] =
	"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

static struct jose_key *known_key(void)
{
	struct errbuf eb = { 0 };
	struct jose_key *k = jose_key_read(key_pem, sizeof(key_pem) - 1, &eb);
	assert_non_null(k);
	return k;
}

static void test_keys(void **state)
{
	static const char *const bad[] = { "", "x",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		/* Ed25519: a key, but not of our kind. */
		"-----BEGIN PRIVATE "
		"KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
		"-----END PRIVATE KEY-----\n" };
	char thumb[JOSE_THUMBPRINT], again[JOSE_THUMBPRINT];
	struct buf pem = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	struct jose_key *k = known_key();
	assert_true(jose_thumbprint(k, thumb));
	assert_string_equal(thumb, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
	assert_true(jose_key_write(k, &pem));
	assert_string_equal(buf_cstr(&pem), key_pem);
	jose_key_free(k);
	buf_wipe(&pem);
	k = jose_key_make();
	assert_true(jose_key_write(k, &pem) && jose_thumbprint(k, thumb));
	jose_key_free(k);
	k = jose_key_read((const char *)buf_data(&pem), pem.len, &eb);
	assert_true(k && jose_thumbprint(k, again));
	assert_string_equal(thumb, again);
	jose_key_free(k);
	buf_wipe(&pem);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (jose_key_read(bad[i], strlen(bad[i]), &eb))
			fail_msg("row %zu", i);
		assert_string_equal(eb.text, "it holds no P-256 key in PEM");
	}
}

/* The value of a member of flat JSON, into out. */
static void member(const char *json, const char *name, char *out, size_t cap)
{
	char start[32];
	snprintf(start, sizeof(start), "\"%s\":\"", name);
	const char *p = strstr(json, start);
	assert_non_null(p);
	p += strlen(start);
	snprintf(out, cap, "%.*s", (int)strcspn(p, "\""), p);
}

static size_t decode(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0;
	assert_int_equal(sodium_base642bin(out, cap, text, strlen(text), NULL, &n, NULL,
				 sodium_base64_VARIANT_URLSAFE_NO_PADDING),
		0);
	return n;
}

static bool verifies(const char *input, const uint8_t raw[static 64])
{
	BIO *bio = BIO_new_mem_buf(key_pem, -1);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *der = NULL;
	ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));
	int len = i2d_ECDSA_SIG(sig, &der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
		  EVP_DigestVerify(ctx, der, (size_t)len, (const uint8_t *)input, strlen(input)) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return ok;
}

static void test_sign(void **state)
{
	static const struct {
		struct jose_request rq;
		const char *who, *payload;
	} rows[] = {
		{ { "https://a/new", "n1", NULL, "{\"a\":1}" }, "\"jwk\":", "{\"a\":1}" },
		{ { "https://a/order", "n2", "https://a/acct/1", "" }, "\"kid\":\"https://a/acct/1\"}", "" },
	};
	struct jose_key *k = known_key();
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		/* Many times: a short r or s needs its leading zeros. */
		for (int again = 0; again < 300; again++) {
			struct buf out = { 0 };
			char head[1024], payload[256], signature[128], input[1300], text[1024] = "";
			uint8_t raw[64];
			assert_true(jose_sign(k, &rows[i].rq, &out));
			member(buf_cstr(&out), "protected", head, sizeof(head));
			member(buf_cstr(&out), "payload", payload, sizeof(payload));
			member(buf_cstr(&out), "signature", signature, sizeof(signature));
			assert_int_equal(decode(signature, raw, sizeof(raw)), 64);
			snprintf(input, sizeof(input), "%s.%s", head, payload);
			if (!verifies(input, raw))
				fail_msg("row %zu, time %d", i, again);
			text[decode(head, (uint8_t *)text, sizeof(text) - 1)] = 0;
			assert_non_null(strstr(text, rows[i].who));
			assert_non_null(strstr(text, rows[i].rq.nonce));
			assert_non_null(strstr(text, rows[i].rq.url));
			if (!i)
				assert_non_null(strstr(text, jwk));
			text[decode(payload, (uint8_t *)text, sizeof(text) - 1)] = 0;
			assert_string_equal(text, rows[i].payload);
			buf_free(&out);
		}
	}
	jose_key_free(k);
}

static void test_request(void **state)
{
	struct buf der = { 0 }, pem = { 0 };
	(void)state;
	assert_true(acme_cert_request("hs.test", &der, &pem));
	const uint8_t *p = buf_data(&der);
	X509_REQ *rq = d2i_X509_REQ(NULL, &p, (long)der.len);
	assert_non_null(rq);
	EVP_PKEY *pub = X509_REQ_get0_pubkey(rq);
	assert_int_equal(X509_REQ_verify(rq, pub), 1);
	STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(rq);
	GENERAL_NAMES *names = X509V3_get_d2i(all, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 1);
	assert_string_equal(ASN1_STRING_get0_data(sk_GENERAL_NAME_value(names, 0)->d.dNSName), "hs.test");
	BIO *bio = BIO_new_mem_buf(buf_data(&pem), (int)pem.len);
	EVP_PKEY *priv = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	assert_int_equal(EVP_PKEY_eq(priv, pub), 1);
	EVP_PKEY_free(priv);
	BIO_free(bio);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	X509_REQ_free(rq);
	buf_free(&der);
	buf_wipe(&pem);
}

/* The extension of RFC 8737 3: critical, and the hash in an OCTET STRING inside it. */
static void test_challenge(void **state)
{
	uint8_t want[34] = { 4, 32 };
	struct buf pem = { 0 };
	(void)state;
	assert_true(acme_cert_challenge("hs.test", "token.thumb", &pem));
	BIO *bio = BIO_new_mem_buf(buf_data(&pem), (int)pem.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(x);
	ASN1_OBJECT *what = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	X509_EXTENSION *ext = X509_get_ext(x, X509_get_ext_by_OBJ(x, what, -1));
	assert_int_equal(X509_EXTENSION_get_critical(ext), 1);
	const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(ext);
	crypto_hash_sha256(want + 2, (const uint8_t *)"token.thumb", 11);
	assert_int_equal(ASN1_STRING_length(value), sizeof(want));
	assert_memory_equal(ASN1_STRING_get0_data(value), want, sizeof(want));
	assert_int_equal(X509_check_host(x, "hs.test", 0, 0, NULL), 1);
	ASN1_OBJECT_free(what);
	X509_free(x);
	BIO_free(bio);
	buf_wipe(&pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_sign),
		cmocka_unit_test(test_request), cmocka_unit_test(test_challenge) };
	return sodium_init() >= 0 ? cmocka_run_group_tests_name("jose", tests, NULL, NULL) : 1;
}
