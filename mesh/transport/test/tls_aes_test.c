/* Each side of a connection by ipsec-mb or by OpenSSL's own AES, which is the oracle. */
#include "mesh/transport/tls_aes.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "mesh/transport/test/scratch.h"
#include "mesh/transport/tls.h"
#include "mesh/transport/tls_ciphers.h"

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { KEY = 16, NONCE = 12, TAG = 16 };
static const char theirs[] = "provider=default";

static void skip_if_absent(void)
{
	if (!tls_aes_use())
		skip();
}

static EVP_CIPHER *fetch(const char *query)
{
	EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-128-GCM", query);
	assert_non_null(c);
	return c;
}

/* Contexts ask for it by preference, and it leaves all else as it was. */
static void test_chosen(void **state)
{
	(void)state;
	assert_string_equal(tls_aes_chosen(), "OpenSSL");
	skip_if_absent();
	assert_memory_equal(tls_aes_chosen(), "ipsec-mb, ", 10);
	EVP_CIPHER *c = fetch(tls_ciphers_preferred());
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(c)), "ropewalk");
	assert_int_equal(EVP_CIPHER_get_mode(c), EVP_CIPH_GCM_MODE);
	assert_int_equal(EVP_CIPHER_get_key_length(c), KEY);
	assert_int_equal(EVP_CIPHER_get_iv_length(c), NONCE);
	assert_int_equal(EVP_CIPHER_get_block_size(c), 1);
	EVP_CIPHER_free(c);
	c = EVP_CIPHER_fetch(NULL, "AES-256-GCM", tls_ciphers_preferred());
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(c)), "default");
	EVP_CIPHER_free(c);
	/* Where something else is demanded of all ciphers, it is not taken. */
	assert_null(EVP_CIPHER_fetch(NULL, "AES-128-GCM", "provider=ropewalk,fips=yes"));
	assert_true(tls_aes_use());
}

static void test_contexts_ask(void **state)
{
	(void)state;
	skip_if_absent();
	const char *query = tls_ciphers_preferred();
	tls_ciphers_prefer("provider=nobody");
	assert_null(tls_client("insecure", NULL));
	tls_ciphers_prefer(query);
	struct tls *t = tls_client("insecure", NULL);
	assert_non_null(t);
	tls_free(t);
}

/* --- sessions --- */

struct pair {
	SSL_CTX *ctx[2];
	SSL *in, *out;
	BIO *to_in, *to_out; /* what was said and is not read yet */
};

static SSL_CTX *context(const SSL_METHOD *m, bool ours, int version)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(NULL, ours ? tls_ciphers_preferred() : theirs, m);
	assert_non_null(ctx);
	assert_true(
		SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
	assert_true(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") &&
		    SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"));
	return ctx;
}

static void pair_open(struct pair *p, const struct scratch *sc, int version, bool ours_in, bool ours_out)
{
	int a = 0, b = 0;
	p->ctx[0] = context(TLS_server_method(), ours_in, version);
	p->ctx[1] = context(TLS_client_method(), ours_out, version);
	assert_true(SSL_CTX_use_certificate_chain_file(p->ctx[0], sc->cert) == 1 &&
		    SSL_CTX_use_PrivateKey_file(p->ctx[0], sc->key, SSL_FILETYPE_PEM) == 1);
	p->in = SSL_new(p->ctx[0]);
	p->out = SSL_new(p->ctx[1]);
	p->to_in = BIO_new(BIO_s_mem());
	p->to_out = BIO_new(BIO_s_mem());
	assert_true(
		p->in && p->out && p->to_in && p->to_out && BIO_up_ref(p->to_in) && BIO_up_ref(p->to_out));
	SSL_set_bio(p->in, p->to_in, p->to_out);
	SSL_set_bio(p->out, p->to_out, p->to_in);
	for (int i = 0; i < 10 && (a != 1 || b != 1); i++) {
		a = SSL_connect(p->out);
		b = SSL_accept(p->in);
	}
	assert_true(a == 1 && b == 1);
	assert_int_equal(SSL_version(p->in), version);
	assert_non_null(strstr(SSL_get_cipher_name(p->in), "128_GCM")
				?: strstr(SSL_get_cipher_name(p->in), "AES128-GCM"));
}

static void pair_close(struct pair *p)
{
	SSL_free(p->in);
	SSL_free(p->out);
	SSL_CTX_free(p->ctx[0]);
	SSL_CTX_free(p->ctx[1]);
}

static void say(SSL *from, SSL *to, size_t len)
{
	static uint8_t said[16384], got[16384 + 1];
	int n = 0, more;
	for (size_t i = 0; i < len; i++)
		said[i] = (uint8_t)(i * 7 + len + (i >> 8));
	assert_int_equal(SSL_write(from, said, (int)len), len);
	while ((size_t)n < len && (more = SSL_read(to, got + n, (int)(sizeof(got) - (size_t)n))) > 0)
		n += more;
	assert_int_equal(n, len);
	assert_memory_equal(got, said, len);
}

static void each_pair(void (*what)(struct pair *p, int version))
{
	struct scratch sc;
	scratch_init(&sc);
	for (int row = 0; row < 8; row++) {
		struct pair p = { 0 };
		int version = row & 4 ? TLS1_3_VERSION : TLS1_2_VERSION;
		pair_open(&p, &sc, version, row & 1, row & 2);
		what(&p, version);
		pair_close(&p);
	}
	scratch_fini(&sc);
}

static void talk(struct pair *p, int version)
{
	static const size_t lens[] = { 1, 5, 15, 16, 17, 255, 1312, 4096, 16383, 16384 };
	for (int keys = 0; keys < 3; keys++) {
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			say(p->out, p->in, lens[i]);
			say(p->in, p->out, lens[i]);
			say(p->in, p->out, lens[i]);
		}
		if (version == TLS1_3_VERSION && keys < 2)
			assert_true(SSL_key_update(p->out, SSL_KEY_UPDATE_REQUESTED));
	}
	assert_int_equal(SSL_shutdown(p->out), 0);
	uint8_t none;
	assert_int_equal(SSL_read(p->in, &none, 1), 0);
	assert_int_equal(SSL_get_error(p->in, 0), SSL_ERROR_ZERO_RETURN);
}

static void test_sessions(void **state)
{
	(void)state;
	skip_if_absent();
	each_pair(talk);
}

/* One bit, in the middle of what is sealed. */
static void forge(struct pair *p, int version)
{
	static const char word[] = "what nobody may change";
	char *record, got[sizeof(word)];
	(void)version;
	assert_int_equal(SSL_write(p->out, word, sizeof(word)), sizeof(word));
	long len = BIO_get_mem_data(p->to_in, &record);
	assert_true(len > 5 + TAG);
	record[len / 2] ^= 1;
	assert_true(SSL_read(p->in, got, sizeof(got)) <= 0);
	assert_int_equal(SSL_get_error(p->in, -1), SSL_ERROR_SSL);
}

static void test_forged_sessions(void **state)
{
	(void)state;
	skip_if_absent();
	each_pair(forge);
}

/* --- the cipher by itself --- */

struct cipher {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
};

static const uint8_t key[KEY] = { 2, 7, 1, 8, 2, 8 }, nonce[NONCE] = { 1, 4, 1, 4 }, aad[5] = { 23, 3, 3 };

static void cipher_open(struct cipher *c, bool ours, bool seal)
{
	c->cipher = fetch(ours ? tls_ciphers_preferred() : theirs);
	c->ctx = EVP_CIPHER_CTX_new();
	assert_non_null(c->ctx);
	assert_true(EVP_CipherInit_ex(c->ctx, c->cipher, NULL, key, nonce, seal));
}

static void cipher_close(struct cipher *c)
{
	EVP_CIPHER_CTX_free(c->ctx);
	EVP_CIPHER_free(c->cipher);
}

static void seal(bool ours, const uint8_t *plain, int len, uint8_t *out)
{
	struct cipher c;
	int n = 0, last = 0;
	cipher_open(&c, ours, true);
	assert_true(
		EVP_CipherUpdate(c.ctx, NULL, &n, aad, 2) && EVP_CipherUpdate(c.ctx, NULL, &n, aad + 2, 3));
	assert_true(EVP_CipherUpdate(c.ctx, out, &n, plain, len / 3));
	assert_int_equal(n, len / 3);
	assert_true(EVP_CipherUpdate(c.ctx, out + n, &last, plain + n, len - n));
	assert_int_equal(n + last, len);
	assert_true(EVP_CipherFinal_ex(c.ctx, out + len, &last));
	assert_int_equal(last, 0);
	assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + len));
	cipher_close(&c);
}

static bool opens(uint8_t *sealed, int len, uint8_t *out)
{
	struct cipher c;
	int n = 0;
	cipher_open(&c, true, false);
	assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_SET_TAG, TAG, sealed + len));
	assert_true(EVP_CipherUpdate(c.ctx, NULL, &n, aad, sizeof(aad)));
	assert_true(EVP_CipherUpdate(c.ctx, out, &n, sealed, len));
	bool ok = EVP_CipherFinal_ex(c.ctx, out + len, &n) == 1;
	cipher_close(&c);
	return ok;
}

static void test_pieces(void **state)
{
	uint8_t plain[100], a[sizeof(plain) + TAG], b[sizeof(plain) + TAG], opened[sizeof(plain)];
	(void)state;
	skip_if_absent();
	memset(plain, 'p', sizeof(plain));
	seal(true, plain, sizeof(plain), a);
	seal(false, plain, sizeof(plain), b);
	assert_memory_equal(a, b, sizeof(a));
	assert_true(opens(a, sizeof(plain), opened));
	assert_memory_equal(opened, plain, sizeof(plain));
	for (size_t i = 0; i < sizeof(a); i++) {
		a[i] ^= 1;
		assert_false(opens(a, sizeof(plain), opened));
		a[i] ^= 1;
	}
}

/* A nonce seals one message; nothing opens without a tag; what the cipher has not is refused. */
static void test_misuse(void **state)
{
	struct cipher c;
	uint8_t p[200] = { 0 }, q[16], tag[TAG];
	int n;
	(void)state;
	skip_if_absent();
	cipher_open(&c, true, true);
	assert_false(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag));
	assert_true(EVP_CipherUpdate(c.ctx, p, &n, p, 10) && EVP_CipherFinal_ex(c.ctx, p + 10, &n));
	assert_false(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_GET_TAG, TAG - 1, tag));
	assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag));
	assert_false(EVP_CipherUpdate(c.ctx, p, &n, p, 10));
	assert_false(EVP_CipherFinal_ex(c.ctx, p, &n));
	assert_false(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE + 1, NULL));
	assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE, NULL));
	assert_true(EVP_CipherInit_ex(c.ctx, NULL, NULL, NULL, nonce, -1));
	assert_false(EVP_CipherUpdate(c.ctx, NULL, &n, p, sizeof(p))); /* more than it keeps */
	cipher_close(&c);
	/* The tag of the message before is none. */
	cipher_open(&c, true, false);
	assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag));
	assert_true(EVP_CipherUpdate(c.ctx, q, &n, p, 10) && EVP_CipherFinal_ex(c.ctx, q + 10, &n));
	assert_true(EVP_CipherInit_ex(c.ctx, NULL, NULL, NULL, nonce, -1));
	assert_true(EVP_CipherUpdate(c.ctx, q, &n, p, 10));
	assert_false(EVP_CipherFinal_ex(c.ctx, q + 10, &n));
	cipher_close(&c);
	/* Without a key. */
	c = (struct cipher) { fetch(tls_ciphers_preferred()), EVP_CIPHER_CTX_new() };
	assert_true(EVP_CipherInit_ex(c.ctx, c.cipher, NULL, NULL, nonce, 1));
	assert_false(EVP_CipherUpdate(c.ctx, p, &n, p, 10));
	cipher_close(&c);
}

/* Records of TLS 1.2 that are too short for what belongs to them, or not where they are to be. */
static void test_short_records(void **state)
{
	uint8_t head[EVP_AEAD_TLS1_AAD_LEN] = { 0 }, p[64] = { 0 }, q[64];
	int n;
	(void)state;
	skip_if_absent();
	for (int sealing = 0; sealing < 2; sealing++) {
		int least = 8 + (sealing ? 0 : TAG);
		struct cipher c;
		cipher_open(&c, true, sealing);
		assert_false(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_GCM_SET_IV_FIXED, 3, p) > 0);
		assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_GCM_SET_IV_FIXED, 4, p) > 0);
		head[12] = (uint8_t)(least - 1);
		assert_false(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(head), head) > 0);
		head[12] = (uint8_t)least;
		assert_int_equal(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(head), head), TAG);
		assert_false(EVP_CipherUpdate(c.ctx, p, &n, p, 8 + TAG - 1));
		assert_int_equal(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(head), head), TAG);
		assert_false(EVP_CipherUpdate(c.ctx, q, &n, p, 8 + TAG));
		cipher_close(&c);
		/* Before the part that both sides know. */
		cipher_open(&c, true, sealing);
		assert_int_equal(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(head), head), TAG);
		assert_false(EVP_CipherUpdate(c.ctx, p, &n, p, 8 + TAG));
		cipher_close(&c);
	}
}

/* A record of TLS 1.2 carries its nonce's own part: each another, and each connection begins anywhere. */
static void test_counted_nonces(void **state)
{
	uint8_t head[EVP_AEAD_TLS1_AAD_LEN] = { [12] = 8 + 3 }, p[8 + 3 + TAG] = { 0 };
	uint64_t first[2];
	(void)state;
	skip_if_absent();
	for (int i = 0; i < 2; i++) {
		struct cipher c;
		cipher_open(&c, true, true);
		assert_true(EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_GCM_SET_IV_FIXED, 4, p) > 0);
		for (uint64_t k = 0; k < 5; k++) {
			int n;
			assert_int_equal(
				EVP_CIPHER_CTX_ctrl(c.ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(head), head), TAG);
			assert_true(EVP_CipherUpdate(c.ctx, p, &n, p, sizeof(p)));
			assert_int_equal(n, sizeof(p));
			if (k == 0)
				first[i] = be_get(p, 8);
			assert_true(be_get(p, 8) == first[i] + k);
		}
		cipher_close(&c);
	}
	assert_true(first[0] != first[1]);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_contexts_ask), cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_forged_sessions), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_misuse), cmocka_unit_test(test_short_records),
		cmocka_unit_test(test_counted_nonces) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
