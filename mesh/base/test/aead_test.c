#include "mesh/base/aead.h"
#include "mesh/base/aead_mb.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/test/fenced.h"
#include "mesh/base/noise.h"
#include "mesh/base/test/secrets.h"

#include <pthread.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LONGEST = 65535 };

static bool has(enum aead_kind kind)
{
	static const uint8_t key[AEAD_KEY];
	struct aead *a = aead_new_by(kind, key, true);
	aead_free(a);
	return a;
}

/* Of Project Wycheproof (Apache-2.0), testvectors_v1/chacha20_poly1305_test.json: some of those without additional data, by
 * their number there. Numbers and bytes alone are taken. */
static void test_vectors(void **state)
{
	static const struct {
		int number;
		const char *key, *nonce, *plain, *sealed;
	} rows[] = {
		{ 2, "80ba3192c803ce965ea371d5ff073cf0f43b6a2ab576b208426e11409c09b9b0",
			"4da5bf8dfd5852c1ea12379d", "", "76acb342cf3166a5b63c0c0ea1383c8d" },
		{ 4, "cc56b680552eb75008f5484b4cb803fa5063ebd6eab91f6ab6aef4916a766273",
			"99e23ec48985bccdeeab60f1", "2a", "3acac27dec0968801e9f6eded69d807522" },
		{ 10, "e4912cb75a1174345f1a457366f18885fe8460b06478e04be2f7fb4ec9c113e5",
			"7aa5ad8bf5254762171ec869", "9e4c1d03", "fe6849aa99ad07871b25c27defc31a541bd5c418" },
		{ 18, "51e4bf2bad92b7aff1a4bc05550ba81df4b96fabf41c12c7b00e60e48db7e152",
			"4f07afedfdc3b6c2361823d3", "be3308f72a2c6aed",
			"8e9439a56eeec817fbe8a6ed8fabb1937539dd6c00e90021" },
		{ 34, "59d4eafb4de0cfc7d3db99a8f54b15d7b39f0acc8da69763b019c1699f87674a",
			"2fcb1b38a99e71b84740ad9b", "549b365af913f3b081131ccb6b825588",
			"e9110e9f56ab3ca483500ceabab67a13836ccabf15a6a22a51c1071cfa68fa0c" },
		{ 36, "3b2458d8176e1621c0cc24c0c0e24c1e80d72f7ee9149a4b166176629616d011",
			"45aaa3e5d16d2d42dc03445d", "3ff1514b1c503915918f0c0c31094a6e1f",
			"02cc3acb5ee1fcdd12a03bb857976474d3d83b7463a2c3800fe958c28eaa290813" },
		{ 42, "422add37849d6e4c3dfd8020dc6a07e8a249788f3d6a83b9cb4d802362c97542",
			"1e7e67be948de7352ffdb727", "d7f5e611dd3a2750fb843fc1b6b93087310dc87d",
			"7fe606652d858f595ec2e706754fa3d933fcc83478d59235aa5d03a4c32590e590c04d22" },
		{ 50, "0212a8de5007ed87b33f1a7090b6114f9e08cefd9607f2c276bdcfdbc5ce9cd7",
			"e6b1adf2fd58a8762c65f31b", "10f1ecf9c60584665d9ae5efe279e7f7377eea6916d2b111",
			"42f26c56cb4be21d9d8d0c80fc99dde00d75f38074bfe76454aa7e13d48fff7d7557039457040a3a" },
		{ 54, "8a1b1e699a0c4a3e610b10902daedab1bf1ea0d505c47d7842cbcee0d3b1b6e6",
			"a6f9a8d335fa84c3b27dcd2a", "ee6a15fc183108f0877e7f2b8a9615f4b3fc36e1c83440f66aad",
			"9089bbdb8bcfd124e227bf75c4bfe1cba2004a274fc31aa32358fd2e21c64a019621c68594826cd7b1c"
			"d" },
	};
	(void)state;
	for (int kind = 0; kind < AEAD_KINDS; kind++)
		for (size_t i = 0; has((enum aead_kind)kind) && i < ARRAY_LEN(rows); i++) {
			uint8_t key[AEAD_KEY], nonce[AEAD_NONCE], p[64], sealed[64], back[64];
			size_t len = strlen(rows[i].plain) / 2;
			assert_true(hex_decode(rows[i].key, 64, key, AEAD_KEY));
			assert_true(hex_decode(rows[i].nonce, 24, nonce, AEAD_NONCE));
			assert_true(hex_decode(rows[i].plain, 2 * len, p, len));
			assert_true(
				hex_decode(rows[i].sealed, strlen(rows[i].sealed), sealed, len + AEAD_TAG));
			memcpy(back, p, len);
			struct aead *seal = aead_new_by((enum aead_kind)kind, key, true),
				    *open = aead_new_by((enum aead_kind)kind, key, false);
			assert_true(seal && open && aead_seal_inplace(seal, nonce, p, len));
			if (memcmp(p, sealed, len + AEAD_TAG) != 0)
				fail_msg("vector %d, kind %d", rows[i].number, kind);
			assert_true(aead_open_inplace(open, nonce, p, len + AEAD_TAG));
			assert_memory_equal(p, back, len);
			aead_free(seal);
			aead_free(open);
		}
}

/* Each bit of the tag, of the first and the last byte sealed, and of the nonce counts. */
static void test_forged(void **state)
{
	static const size_t lens[] = { 0, 1, 16, 63, 1280 };
	static const uint8_t key[AEAD_KEY] = { 9, 8, 7 };
	uint8_t good[1280 + AEAD_TAG], p[sizeof(good)], nonce[AEAD_NONCE] = { 0 };
	(void)state;
	for (int kind = 0; kind < AEAD_KINDS; kind++) {
		struct aead *open = aead_new_by((enum aead_kind)kind, key, false);
		for (size_t i = 0; open && i < ARRAY_LEN(lens); i++) {
			size_t len = lens[i] + AEAD_TAG;
			memset(good, 'a', sizeof(good));
			aead_seal(key, nonce, NULL, 0, good, lens[i], good);
			for (size_t bit = 0; bit < len * 8; bit++) {
				if (bit >= 8 && bit < (len - AEAD_TAG) * 8 - 8 && lens[i] > 1)
					continue;
				memcpy(p, good, len);
				p[bit / 8] ^= (uint8_t)(1u << bit % 8);
				assert_false(aead_open_inplace(open, nonce, p, len));
			}
			for (size_t bit = 0; bit < sizeof(nonce) * 8; bit++) {
				memcpy(p, good, len);
				nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
				assert_false(aead_open_inplace(open, nonce, p, len));
				nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
			}
			memcpy(p, good, len);
			assert_true(aead_open_inplace(open, nonce, p, len));
			assert_false(aead_open_inplace(open, nonce, p, AEAD_TAG - 1));
		}
		aead_free(open);
	}
}

static void seal_and_open(
	struct aead *seal, struct aead *open, const uint8_t key[static AEAD_KEY], uint8_t *p, size_t len)
{
	static uint8_t expected[LONGEST + AEAD_TAG];
	uint8_t nonce[AEAD_NONCE] = { 1, 2, 3, 4, (uint8_t)len, (uint8_t)(len >> 8) };
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 13 + len);
	aead_seal(key, nonce, NULL, 0, p, len, expected);
	assert_true(aead_seal_inplace(seal, nonce, p, len));
	if (memcmp(p, expected, len + AEAD_TAG) != 0)
		fail_msg("another result at %zu bytes", len);
	assert_true(aead_open_inplace(open, nonce, p, len + AEAD_TAG));
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)(i * 13 + len))
			fail_msg("another plain text at %zu of %zu bytes", i, len);
}

/* Every length up to a packet, against libsodium. */
static void test_lengths(void **state)
{
	static const uint8_t key[AEAD_KEY] = { 1, 2, 3 };
	struct fenced f;
	(void)state;
	fence(&f, LONGEST + AEAD_TAG);
	for (int kind = 0; kind < AEAD_KINDS; kind++) {
		struct aead *seal = aead_new_by((enum aead_kind)kind, key, true),
			    *open = aead_new_by((enum aead_kind)kind, key, false);
		for (size_t len = 0; seal && len <= 2100; len++) {
			seal_and_open(seal, open, key, f.end - AEAD_TAG - len, len);
			seal_and_open(seal, open, key, f.first, len);
		}
		if (seal)
			seal_and_open(seal, open, key, f.end - AEAD_TAG - LONGEST, LONGEST);
		aead_free(seal);
		aead_free(open);
	}
	unfence(&f);
}

/* So do a key, with what it has behind it, and a nonce. */
static void test_ends_of_memory(void **state)
{
	struct fenced key, nonce;
	static uint8_t p[LONGEST + AEAD_TAG];
	uint8_t tag[AEAD_TAG];
	(void)state;
	if (!aead_mb_instructions())
		skip();
	fence(&key, AEAD_MB_KEY);
	fence(&nonce, AEAD_NONCE);
	for (size_t len = 0; len <= 2100; len++) {
		assert_true(aead_mb_run(key.end - AEAD_MB_KEY, nonce.end - AEAD_NONCE, p, len, true, tag));
		assert_true(aead_mb_run(key.end - AEAD_MB_KEY, nonce.end - AEAD_NONCE, p, len, false, tag));
		assert_true(aead_mb_run(key.first, nonce.first, p, len, true, tag));
	}
	unfence(&key);
	unfence(&nonce);
}

static void test_chosen(void **state)
{
	(void)state;
	bool mb = has(AEAD_IPSEC_MB);
	assert_true(has(AEAD_OPENSSL));
	assert_int_equal(strncmp(aead_chosen(), mb ? "ipsec-mb, " : "OpenSSL", mb ? 10 : 8), 0);
	aead_free(NULL);
}

/* --- what stays in memory --- */

/* The key and what is made of it for a packet. */
struct secrets {
	uint8_t key[AEAD_KEY], one_time[AEAD_KEY];
};

/* By another function, so that what it leaves on the stack is below. */
__attribute__((noinline)) static void use_key(enum aead_kind kind, struct secrets *s, struct aead *held[2])
{
	uint8_t key[AEAD_KEY], one_time[AEAD_KEY], nonce[AEAD_NONCE] = { 5 }, p[1280 + AEAD_TAG] = { 0 };
	key_generate(&random_system, key);
	secret_turn(s->key, key, AEAD_KEY);
	(void)crypto_stream_chacha20_ietf(one_time, sizeof(one_time), nonce, key); /* RFC 8439 2.6 */
	secret_turn(s->one_time, one_time, AEAD_KEY);
	key_wipe(one_time, sizeof(one_time));
	held[0] = aead_new_by(kind, key, true);
	held[1] = aead_new_by(kind, key, false);
	assert_true(held[0] && held[1]);
	assert_true(aead_seal_inplace(held[0], nonce, p, 1280));
	assert_true(aead_open_inplace(held[1], nonce, p, 1280 + AEAD_TAG));
	key_wipe(key, sizeof(key));
}

static void test_wiped(void **state)
{
	(void)state;
	for (int kind = 0; kind < AEAD_KINDS; kind++) {
		struct secrets s;
		struct aead *held[2];
		if (!has((enum aead_kind)kind))
			continue;
		use_key((enum aead_kind)kind, &s, held);
		assert_true(secret_count(s.key, AEAD_KEY) >= 2); /* the search finds what is there */
		aead_free(held[0]);
		aead_free(held[1]);
		assert_int_equal(secret_count(s.key, AEAD_KEY), 0);
		assert_int_equal(secret_count(s.one_time, AEAD_KEY), 0);
	}
}

/* --- threads --- */

static void *seal_elsewhere(void *arg)
{
	static const uint8_t key[AEAD_KEY] = { 4 };
	bool *ok = arg;
	struct aead *a = aead_new(key, true), *b = aead_new(key, false);
	*ok = a && b;
	for (unsigned i = 0; *ok && i < 2000; i++) {
		uint8_t nonce[AEAD_NONCE] = { (uint8_t)i, (uint8_t)(i >> 8) }, p[256 + AEAD_TAG];
		memset(p, (int)i, 256);
		*ok = aead_seal_inplace(a, nonce, p, 256) && aead_open_inplace(b, nonce, p, sizeof(p)) &&
		      p[255] == (uint8_t)i;
	}
	aead_free(a);
	aead_free(b);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread[4];
	bool ok[4] = { false };
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, seal_elsewhere, &ok[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_true(ok[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_forged),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_ends_of_memory),
		cmocka_unit_test(test_chosen), cmocka_unit_test(test_wiped), cmocka_unit_test(test_threads) };
	return key_setup() ? cmocka_run_group_tests_name("aead", tests, NULL, NULL) : 1;
}
