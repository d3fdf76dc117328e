#include "mesh/base/err.h"
#include "mesh/base/gcm.h"
#include "mesh/base/key.h"
#include "mesh/base/test/fenced.h"
#include "mesh/base/test/secrets.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LONGEST = 16385, EACH_UP_TO = 1600 };

static void skip_if_absent(void)
{
	if (!gcm_instructions())
		skip();
}

/* KiB in memory of the library's code. */
static size_t resident_code(void)
{
	char line[600];
	size_t kib, sum = 0;
	bool of_it = false;
	FILE *maps = fopen("/proc/self/smaps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		char rights[5];
		if (sscanf(line, "%*x-%*x %4s", rights) == 1)
			of_it = rights[2] == 'x' && strstr(line, "libIPSec_MB");
		else if (of_it && sscanf(line, "Rss: %zu kB", &kib) == 1)
			sum += kib;
	}
	fclose(maps);
	return sum;
}

/* What the comparison at the start went through does not stay; what is called comes back. The first test: others use more. */
static void test_leaves_little(void **state)
{
	enum { AROUND_KIB = 128 }; /* a page that is called brings its neighbours */
	struct gcm *g;
	(void)state;
	skip_if_absent();
	assert_in_range(resident_code(), 0, AROUND_KIB);
	g = gcm_new();
	assert_non_null(g);
	gcm_set_key(g, (const uint8_t[GCM_KEY]) { 1 });
	assert_in_range(resident_code(), 1, 2 * AROUND_KIB);
	gcm_free(g);
}

/* The test cases with 128 bits of the GCM specification (McGrew and Viega, appendix B), those with nonces of 12 bytes. */
static void test_vectors(void **state)
{
	static const struct {
		const char *key, *nonce, *aad, *plain, *sealed, *tag;
	} rows[] = {
		{ "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
			"58e2fccefa7e3061367f1d57a4e7455a" },
		{ "00000000000000000000000000000000", "000000000000000000000000", "",
			"00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
			"ab6e47d42cec13bdf53a67b21257bddf" },
		{ "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
			"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
			"4d5c2af327cd64a62cf35abd2ba6fab4" },
		{ "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
			"feedfacedeadbeeffeedfacedeadbeefabaddad2",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
			"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
			"5bc94fbc3221a5db94fae95ae7121a47" },
	};
	(void)state;
	skip_if_absent();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t key[GCM_KEY], nonce[GCM_NONCE] = { 0 }, aad[32], plain[64], sealed[64], p[64];
		uint8_t right[GCM_TAG], tag[GCM_TAG];
		size_t len = strlen(rows[i].plain) / 2, n_aad = strlen(rows[i].aad) / 2;
		assert_true(hex_decode(rows[i].key, 2 * GCM_KEY, key, GCM_KEY));
		assert_true(hex_decode(rows[i].nonce, 2 * GCM_NONCE, nonce, GCM_NONCE));
		assert_true(hex_decode(rows[i].tag, 2 * GCM_TAG, right, GCM_TAG));
		assert_true(hex_decode(rows[i].aad, 2 * n_aad, aad, n_aad));
		assert_true(hex_decode(rows[i].plain, 2 * len, plain, len));
		assert_true(hex_decode(rows[i].sealed, 2 * len, sealed, len));
		struct gcm *g = gcm_new();
		assert_non_null(g);
		gcm_set_key(g, key);
		gcm_begin(g, nonce, aad, n_aad);
		gcm_seal(g, p, plain, len);
		gcm_tag(g, tag);
		assert_memory_equal(p, sealed, len);
		assert_memory_equal(tag, right, GCM_TAG);
		gcm_begin(g, nonce, aad, n_aad);
		gcm_open(g, p, p, len);
		gcm_tag(g, tag);
		assert_memory_equal(p, plain, len);
		assert_memory_equal(tag, right, GCM_TAG);
		gcm_free(g);
	}
}

static const uint8_t key[GCM_KEY] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3 };

static void seal_by_openssl(const uint8_t *nonce, const uint8_t *aad, size_t n_aad, const uint8_t *plain,
	size_t len, uint8_t *out)
{
	int n = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	assert_true(c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce));
	assert_true(EVP_EncryptUpdate(c, NULL, &n, aad, (int)n_aad));
	assert_true(!len || EVP_EncryptUpdate(c, out, &n, plain, (int)len));
	assert_true(EVP_EncryptFinal_ex(c, out + len, &n));
	assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out + len));
	EVP_CIPHER_CTX_free(c);
}

/* As it comes from TLS: additional data of 5 or 13 bytes, the rest in place; what is given is where memory begins or ends. */
static void seal_and_open(struct gcm *g, uint8_t *p, size_t len, uint8_t *nonce, uint8_t *aad, size_t n_aad)
{
	static uint8_t plain[LONGEST], expected[LONGEST + GCM_TAG];
	uint8_t tag[GCM_TAG];
	memset(nonce, (int)n_aad, GCM_NONCE);
	memcpy(nonce + 4, &len, sizeof(len));
	for (size_t i = 0; i < len; i++)
		plain[i] = (uint8_t)(i * 11 + len + (i >> 8));
	for (size_t i = 0; i < n_aad; i++)
		aad[i] = (uint8_t)(i + len);
	seal_by_openssl(nonce, aad, n_aad, plain, len, expected);
	if (len)
		memcpy(p, plain, len);
	gcm_begin(g, nonce, aad, n_aad);
	gcm_seal(g, p, p, len);
	gcm_tag(g, tag);
	if ((len && memcmp(p, expected, len) != 0) || memcmp(tag, expected + len, GCM_TAG) != 0)
		fail_msg("sealed, %zu bytes", len);
	/* Back, in pieces. */
	gcm_begin(g, nonce, aad, n_aad);
	for (size_t at = 0, n; at < len; at += n) {
		n = 1 + (at * 13 + len) % 97;
		n = n < len - at ? n : len - at;
		gcm_open(g, p + at, p + at, n);
	}
	gcm_tag(g, tag);
	if ((len && memcmp(p, plain, len) != 0) || memcmp(tag, expected + len, GCM_TAG) != 0)
		fail_msg("opened, %zu bytes", len);
}

static void test_each_length(void **state)
{
	static const size_t more[] = { 4095, 4096, 4113, 16383, 16384, LONGEST };
	struct fenced bytes, aad, nonce, key_at;
	struct gcm *g;
	(void)state;
	skip_if_absent();
	g = gcm_new();
	assert_non_null(g);
	fence(&bytes, LONGEST);
	fence(&aad, 13);
	fence(&nonce, GCM_NONCE);
	fence(&key_at, GCM_KEY);
	memcpy(key_at.end - GCM_KEY, key, GCM_KEY);
	gcm_set_key(g, key_at.end - GCM_KEY);
	for (size_t len = 0; len <= EACH_UP_TO; len++) {
		seal_and_open(g, bytes.end - len, len, nonce.end - GCM_NONCE, aad.end - 5, 5);
		seal_and_open(g, bytes.first, len, nonce.first, aad.first, 13);
	}
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		seal_and_open(g, bytes.end - more[i], more[i], nonce.end - GCM_NONCE, aad.end - 13, 13);
		seal_and_open(g, bytes.first, more[i], nonce.first, aad.first, 5);
	}
	unfence(&bytes);
	unfence(&aad);
	unfence(&nonce);
	unfence(&key_at);
	gcm_free(g);
}

/* One that was made by a thread that has ended goes on: a link may come to another thread. */
static void *make(void *out)
{
	*(struct gcm **)out = gcm_new();
	return NULL;
}

static void test_outlives_its_thread(void **state)
{
	pthread_t t;
	struct gcm *g = NULL;
	uint8_t p[64], nonce[GCM_NONCE], aad[5];
	(void)state;
	skip_if_absent();
	assert_int_equal(pthread_create(&t, NULL, make, &g), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_non_null(g);
	gcm_set_key(g, key);
	seal_and_open(g, p, sizeof(p), nonce, aad, sizeof(aad));
	gcm_free(g);
}

/* Nothing of the message before stays, whichever way it went. */
static void test_directions_in_turn(void **state)
{
	uint8_t nonce[GCM_NONCE] = { 1 }, p[100] = { 0 }, none[GCM_TAG], tag[GCM_TAG], expected[GCM_TAG];
	struct gcm *g;
	(void)state;
	skip_if_absent();
	g = gcm_new();
	gcm_set_key(g, key);
	seal_by_openssl(nonce, p, 5, NULL, 0, expected);
	gcm_begin(g, nonce, p, 5);
	gcm_seal(g, p, p, sizeof(p));
	gcm_tag(g, tag);
	memset(p, 0, 5);
	gcm_begin(g, nonce, p, 5);
	gcm_tag(g, none);
	assert_memory_equal(none, expected, GCM_TAG);
	assert_memory_not_equal(none, tag, GCM_TAG);
	gcm_free(g);
}

/* By another function, so that what it leaves on the stack is below. */
__attribute__((noinline)) static struct gcm *use_key(uint8_t turned[static GCM_KEY])
{
	uint8_t secret[GCM_KEY], nonce[GCM_NONCE] = { 5 }, p[1280] = { 0 }, tag[GCM_TAG];
	struct gcm *g = gcm_new();
	assert_non_null(g);
	random_system.fill(NULL, secret, sizeof(secret));
	secret_turn(turned, secret, sizeof(secret));
	gcm_set_key(g, secret);
	key_wipe(secret, sizeof(secret));
	gcm_begin(g, nonce, p, 5);
	gcm_seal(g, p, p, sizeof(p));
	gcm_tag(g, tag);
	gcm_begin(g, nonce, p, 5);
	gcm_open(g, p, p, sizeof(p));
	gcm_tag(g, tag);
	return g;
}

static void test_wiped(void **state)
{
	uint8_t turned[GCM_KEY];
	(void)state;
	skip_if_absent();
	struct gcm *g = use_key(turned);
	assert_true(secret_count(turned, sizeof(turned)) >= 1); /* the search finds what is there */
	gcm_free(g);
	assert_int_equal(secret_count(turned, sizeof(turned)), 0);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_leaves_little),
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_each_length),
		cmocka_unit_test(test_outlives_its_thread), cmocka_unit_test(test_directions_in_turn),
		cmocka_unit_test(test_wiped) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
