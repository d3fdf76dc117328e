#include "mesh/base/key.h"
#include "mesh/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char ALICE[] = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
static const char BOB[] = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

static void from_hex(const char *hex, uint8_t *out, size_t len)
{
	assert_true(hex_decode(hex, strlen(hex), out, len));
}

/* RFC 7748 6.1. */
static void test_dh(void **state)
{
	uint8_t a[32], b[32], apub[32], bpub[32], want[32], got[32];
	(void)state;
	from_hex(ALICE, a, 32);
	from_hex(BOB, b, 32);
	key_public(a, apub);
	key_public(b, bpub);
	from_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", want, 32);
	assert_memory_equal(apub, want, 32);
	from_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", want, 32);
	assert_memory_equal(bpub, want, 32);
	from_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want, 32);
	assert_true(key_dh(a, bpub, got));
	assert_memory_equal(got, want, 32);
	assert_true(key_dh(b, apub, got));
	assert_memory_equal(got, want, 32);
	memset(apub, 0, 32);
	assert_false(key_dh(a, apub, got));
}

/* The box vector of NaCl's own tests: RFC 7748 keys, 131 bytes. */
static void test_box(void **state)
{
	uint8_t alice[32], bob[32], nonce[24], text[131], want[131 + BOX_TAG], got[131 + BOX_TAG], back[131],
		pub[32];
	struct box_key k, k2;
	(void)state;
	from_hex(ALICE, alice, 32);
	from_hex(BOB, bob, 32);
	from_hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37", nonce, 24);
	from_hex("be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6"
		 "c6129"
		 "6cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21a"
		 "f1fde"
		 "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
		text, sizeof(text));
	from_hex("f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a"
		 "1186a"
		 "c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e"
		 "526ae"
		 "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb"
		 "45a74"
		 "e355a5",
		want, sizeof(want));
	key_public(bob, pub);
	assert_true(box_precompute(alice, pub, &k));
	box_seal(&k, nonce, text, sizeof(text), got);
	assert_memory_equal(got, want, sizeof(want));
	key_public(alice, pub);
	assert_true(box_precompute(bob, pub, &k2));
	assert_memory_equal(k.b, k2.b, 32);
	assert_true(box_open(&k2, nonce, got, sizeof(got), back));
	assert_memory_equal(back, text, sizeof(text));
	memcpy(got + BOX_TAG, text, sizeof(text));
	box_seal(&k, nonce, got + BOX_TAG, sizeof(text), got);
	assert_memory_equal(got, want, sizeof(want));
	got[20] ^= 4;
	assert_false(box_open(&k2, nonce, got, sizeof(got), back));
	assert_false(box_open(&k2, nonce, got, 15, back));
	memset(pub, 0, 32);
	assert_false(box_precompute(bob, pub, &k2));
}

static void test_text(void **state)
{
	static const struct {
		const char *text, *prefix;
		bool ok;
	} rows[] = {
		{ "mkey:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "mkey:", true },
		{ "mkey:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
			"nodekey:", false },
		{ "mkey:00112233445566778899aabbccddeeff00112233445566778899aabbccddeef", "mkey:", false },
		{ "mkey:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0", "mkey:", false },
		{ "mkey:00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg", "mkey:", false },
		{ "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "", true },
		{ "mkey:", "mkey:", false },
		{ "", "", false },
		{ NULL, "mkey:", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t k[32];
		char buf[KEY_TEXT];
		memset(k, 7, sizeof(k));
		if (key_parse(rows[i].text, rows[i].prefix, k) != rows[i].ok)
			fail_msg("row %zu", i);
		if (rows[i].ok)
			assert_string_equal(key_format(k, rows[i].prefix, buf), rows[i].text);
		else if (k[0] != 7 || k[31] != 7)
			fail_msg("row %zu touched the output", i);
	}
	uint8_t k[32] = { 0 };
	char s[KEY_SHORT];
	assert_true(key_is_zero(k));
	assert_string_equal(key_short(k, s), "AAAAA");
}

/* RFC 4648 10, in the alphabet of 5. */
static void test_base64url(void **state)
{
	static const struct {
		const char *plain, *text;
	} rows[] = { { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" },
		{ "\xfb\xff", "-_8" } };
	static const char *const wrong[] = { "Zg==", "Zg=", "Z", "Zh", "+/8", "Zm 9v", "Zm9v\xc3\xa9" };
	uint8_t out[16];
	char buf[16];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].plain);
		assert_string_equal(base64url_encode((const uint8_t *)rows[i].plain, n, buf), rows[i].text);
		assert_int_equal(base64url_text(n), strlen(rows[i].text) + 1);
		assert_int_equal(base64url_decode(rows[i].text, strlen(rows[i].text), out, sizeof(out)), n);
		assert_memory_equal(out, rows[i].plain, n);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (base64url_decode(wrong[i], strlen(wrong[i]), out, sizeof(out)) != -1)
			fail_msg("row %zu: \"%s\" was taken", i, wrong[i]);
}

static void test_base64(void **state)
{
	char buf[16];
	uint8_t out[8];
	(void)state;
	assert_string_equal(base64_encode((const uint8_t *)"foob", 4, buf), "Zm9vYg==");
	assert_int_equal(base64_decode("Zm9vYg==", 8, out, sizeof(out)), 4);
	assert_memory_equal(out, "foob", 4);
	assert_int_equal(base64_decode("Zm9vYg", 6, out, sizeof(out)), -1);
	assert_int_equal(base64_decode("Zm9vYg==", 8, out, 3), -1);
	assert_int_equal(base64_decode("Zm9v!g==", 8, out, sizeof(out)), -1);
	for (int c = 0x80; c < 0x100; c++) {
		char text[] = { 'Z', 'm', '9', (char)c, 'Y', 'g', '=', '=' };
		if (base64_decode(text, sizeof(text), out, sizeof(out)) != -1)
			fail_msg("byte %x", c);
	}
	assert_int_equal(base64_decode("", 0, out, sizeof(out)), 0);
}

static void fill_ff(void *arg, void *dst, size_t len)
{
	(void)arg;
	memset(dst, 0xff, len);
}

static void test_generate(void **state)
{
	uint8_t k[32], k2[32];
	(void)state;
	key_generate(&(struct random) { .fill = fill_ff }, k);
	assert_int_equal(k[0], 0xf8);
	assert_int_equal(k[31], 0x7f);
	key_generate(&random_system, k);
	key_generate(&random_system, k2);
	assert_false(key_equal(k, k2));
	key_wipe(k, sizeof(k));
	assert_true(key_is_zero(k));
}

/* What the kernel says of the page: "lo" = locked, "dd" = not in dumps. */
static void test_lock(void **state)
{
	struct node_private *k = calloc(1, sizeof(*k));
	char line[256];
	unsigned long from, to;
	bool here = false;
	(void)state;
	key_lock(k, sizeof(*k));
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (unsigned long)k && (unsigned long)k < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	fclose(f);
	assert_true(here);
	assert_non_null(strstr(line, " dd"));
	assert_non_null(strstr(line, " lo"));
	free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_dh),
		cmocka_unit_test(test_box),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64url),
		cmocka_unit_test(test_generate),
	};
	return key_setup() ? cmocka_run_group_tests_name("key", tests, NULL, NULL) : 1;
}
