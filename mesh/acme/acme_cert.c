#include "mesh/acme/acme_cert.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { HASH = 32, OCTET_STRING = 0x04, CHALLENGE_DAYS = 7, DAY_S = 86400 };

static bool acme_cert_take(BIO *bio, struct buf *out)
{
	char *text = NULL;
	long len = bio ? BIO_get_mem_data(bio, &text) : 0;
	return len > 0 && buf_append(out, text, (size_t)len);
}

static bool write_key(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool ok = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) &&
		  acme_cert_take(bio, out);
	BIO_free(bio);
	return ok;
}

static X509_EXTENSION *alt_name(const char *host)
{
	char value[300];
	snprintf(value, sizeof(value), "DNS:%s", host);
	return X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
}

static bool add_host(X509_REQ *rq, const char *host)
{
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *name = alt_name(host);
	bool ok = all && name && sk_X509_EXTENSION_push(all, name) && X509_REQ_add_extensions(rq, all);
	X509_EXTENSION_free(name);
	sk_X509_EXTENSION_free(all);
	return ok;
}

bool acme_cert_request(const char *host, struct buf *der, struct buf *key_pem)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509_REQ *rq = X509_REQ_new();
	uint8_t *out = NULL;
	bool ok = key && rq && X509_REQ_set_version(rq, X509_REQ_VERSION_1) && X509_REQ_set_pubkey(rq, key) &&
		  add_host(rq, host) && X509_REQ_sign(rq, key, EVP_sha256());
	int len = ok ? i2d_X509_REQ(rq, &out) : 0;
	ok = len > 0 && buf_append(der, out, (size_t)len) && write_key(key, key_pem);
	OPENSSL_free(out);
	X509_REQ_free(rq);
	EVP_PKEY_free(key);
	return ok;
}

/* id-pe-acmeIdentifier, critical: an OCTET STRING with the hash of the key authorization. */
static bool add_identifier(X509 *x, const char *key_authorization)
{
	uint8_t value[2 + HASH] = { OCTET_STRING, HASH };
	ASN1_OBJECT *what = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	crypto_hash_sha256(value + 2, (const uint8_t *)key_authorization, strlen(key_authorization));
	X509_EXTENSION *ext = what && octets && ASN1_OCTET_STRING_set(octets, value, sizeof(value))
				      ? X509_EXTENSION_create_by_OBJ(NULL, what, 1, octets)
				      : NULL;
	bool ok = ext && X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(octets);
	ASN1_OBJECT_free(what);
	return ok;
}

static bool add_alt_name(X509 *x, const char *host)
{
	X509_EXTENSION *name = alt_name(host);
	bool ok = name && X509_add_ext(x, name, -1);
	X509_EXTENSION_free(name);
	return ok;
}

bool acme_cert_challenge(const char *host, const char *key_authorization, struct buf *pem)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
	bool ok = key && x && bio && X509_set_version(x, X509_VERSION_3) &&
		  ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
		  X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) &&
		  X509_gmtime_adj(X509_getm_notAfter(x), (long)CHALLENGE_DAYS * DAY_S) &&
		  X509_NAME_add_entry_by_txt(
			  name, "CN", MBSTRING_ASC, (const uint8_t *)"ACME challenge", -1, -1, 0) &&
		  X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) && add_alt_name(x, host) &&
		  add_identifier(x, key_authorization) && X509_sign(x, key, EVP_sha256()) &&
		  PEM_write_bio_X509(bio, x) && acme_cert_take(bio, pem) && write_key(key, pem);
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return ok;
}
