#include "mesh/base/noise.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void from_hex(const char *hex, uint8_t *out, size_t len)
{
	assert_true(hex_decode(hex, strlen(hex), out, len));
}

/* RFC 7693 appendix B; the empty one from the reference implementation's test file. */
static void test_blake2s(void **state)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "abc", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982" },
		{ "", "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t want[32], got[32];
		from_hex(rows[i].hex, want, 32);
		blake2s_hash(&(struct noise_part) { rows[i].text, strlen(rows[i].text) }, 1, got);
		assert_memory_equal(got, want, 32);
	}
	uint8_t a[32], b[32];
	blake2s_hash((struct noise_part[]) { { "a", 1 }, { "", 0 }, { "bc", 2 } }, 3, a);
	blake2s_hash(&(struct noise_part) { "abc", 3 }, 1, b);
	assert_memory_equal(a, b, 32);
}

/* Values by Python's hashlib.blake2s(digest_size=16, key=...) and hmac with blake2s. */
static void test_keyed(void **state)
{
	uint8_t key[32], want[32], got[32];
	(void)state;
	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	blake2s_mac16(key, 32, "hello", 5, got);
	from_hex("1f946dc212a39570bc06fd378517a91e", want, 16);
	assert_memory_equal(got, want, 16);
	blake2s_mac16(key, 16, "hello", 5, got);
	from_hex("6a25fa5a331f36d9bda9c0aeca70bc0b", want, 16);
	assert_memory_equal(got, want, 16);
	blake2s_hmac(key, 32, (struct noise_part[]) { { "he", 2 }, { "llo", 3 } }, 2, got);
	from_hex("ca3386d2021b8c299b42476827e7e729b48255da7aee060261072790ea0fc3fa", want, 32);
	assert_memory_equal(got, want, 32);
	uint8_t out[3][32];
	noise_hkdf(key, "ikm", 3, 3, out);
	from_hex("b0a442f87e822c2d5e2627766318c8e0a2b98636bcd81154aef82dadc821d3b0", want, 32);
	assert_memory_equal(out[2], want, 32);
}

/* RFC 8439 2.8.2. */
static void test_aead(void **state)
{
	static const char text[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
		"future, sunscreen would be it.";
	uint8_t key[32], nonce[12], ad[12], tag[16], out[sizeof(text) - 1 + 16], back[sizeof(text)];
	(void)state;
	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	from_hex("070000004041424344454647", nonce, 12);
	from_hex("50515253c0c1c2c3c4c5c6c7", ad, 12);
	from_hex("1ae10b594f09e26a7e902ecbd0600691", tag, 16);
	aead_seal(key, nonce, ad, 12, text, sizeof(text) - 1, out);
	assert_memory_equal(out + sizeof(text) - 1, tag, 16);
	assert_true(aead_open(key, nonce, ad, 12, out, sizeof(out), back));
	assert_memory_equal(back, text, sizeof(text) - 1);
	out[0] ^= 1;
	assert_false(aead_open(key, nonce, ad, 12, out, sizeof(out), back));
	assert_false(aead_open(key, nonce, ad, 12, out, 15, back));

	uint8_t xnonce[24] = { 9 };
	xaead_seal(key, xnonce, ad, 12, text, 20, out);
	assert_true(xaead_open(key, xnonce, ad, 12, out, 36, back));
	assert_memory_equal(back, text, 20);
	xnonce[23] ^= 1;
	assert_false(xaead_open(key, xnonce, ad, 12, out, 36, back));
}

/* tailscale-protocol.md 1.5: h0, the prologue, and a low-order point. */
static void test_state(void **state)
{
	struct noise_state s;
	uint8_t want[32], priv[32] = { 8 }, zero[32] = { 0 };
	(void)state;
	noise_init(&s, "Noise_IK_25519_ChaChaPoly_BLAKE2s");
	from_hex("bbea022b948cf3bc5857d70804229179e1116bc40cb8cc074835349c464bca36", want, 32);
	assert_memory_equal(s.h, want, 32);
	assert_memory_equal(s.ck, want, 32);
	noise_mix_hash(&s, "Tailscale Control Protocol v138", 31);
	from_hex("b9a710a0b0003fd5a729e1eda13d8b509234488f6630468669b4f0375bf24576", want, 32);
	assert_memory_equal(s.h, want, 32);
	assert_false(noise_mix_dh(&s, priv, zero));
	noise_init(&s, "short");
	assert_memory_equal(s.h, "short\0\0\0", 8);

	struct noise_state t = s;
	uint8_t sealed[5 + 16];
	noise_seal(&s, "token", 5, sealed);
	assert_true(noise_open(&t, sealed, sizeof(sealed), sealed));
	assert_memory_equal(sealed, "token", 5);
	assert_memory_equal(s.h, t.h, 32);
	assert_false(noise_open(&t, sealed, sizeof(sealed), sealed));
	assert_memory_equal(s.h, t.h, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blake2s),
		cmocka_unit_test(test_keyed),
		cmocka_unit_test(test_aead),
		cmocka_unit_test(test_state),
	};
	return key_setup() ? cmocka_run_group_tests_name("noise", tests, NULL, NULL) : 1;
}
