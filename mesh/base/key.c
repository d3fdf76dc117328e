#include "mesh/base/key.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fill_system(void *arg, void *dst, size_t len)
{
	(void)arg;
	randombytes_buf(dst, len);
}

const struct random random_system = { .fill = fill_system };

bool key_setup(void)
{
	return sodium_init() >= 0;
}

void key_clamp(uint8_t priv[static KEY_LEN])
{
	priv[0] &= 248;
	priv[31] &= 127;
	priv[31] |= 64;
}

void key_public(const uint8_t priv[static KEY_LEN], uint8_t pub[static KEY_LEN])
{
	(void)crypto_scalarmult_base(pub, priv);
}

bool key_dh(
	const uint8_t priv[static KEY_LEN], const uint8_t pub[static KEY_LEN], uint8_t out[static KEY_LEN])
{
	return crypto_scalarmult(out, priv, pub) == 0;
}

void key_generate(const struct random *rnd, uint8_t priv[static KEY_LEN])
{
	rnd->fill(rnd->arg, priv, KEY_LEN);
	key_clamp(priv);
}

bool key_is_zero(const uint8_t k[static KEY_LEN])
{
	return sodium_is_zero(k, KEY_LEN);
}

bool key_equal(const uint8_t a[static KEY_LEN], const uint8_t b[static KEY_LEN])
{
	return sodium_memcmp(a, b, KEY_LEN) == 0;
}

void key_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

void key_lock(void *p, size_t len)
{
	size_t page = (size_t)getpagesize();
	uintptr_t first = (uintptr_t)p / page * page, end = ((uintptr_t)p + len + page - 1) / page * page;
	(void)syscall(SYS_mlock, first, end - first); /* sanitizers make mlock(2) do nothing */
	(void)madvise((void *)first, end - first, MADV_DONTDUMP);
}

bool key_parse(const char *text, const char *prefix, uint8_t out[static KEY_LEN])
{
	size_t skip = strlen(prefix);
	if (!text || strncmp(text, prefix, skip) != 0)
		return false;
	return hex_decode(text + skip, strlen(text + skip), out, KEY_LEN);
}

char *key_format(const uint8_t k[static KEY_LEN], const char *prefix, char *buf)
{
	enum { PREFIX_ROOM = KEY_TEXT - 2 * KEY_LEN };
	snprintf(buf, PREFIX_ROOM, "%s", prefix);
	(void)hex_encode(k, KEY_LEN, buf + strlen(buf));
	return buf;
}

char *key_short(const uint8_t k[static KEY_LEN], char *buf)
{
	char text[sodium_base64_ENCODED_LEN(KEY_LEN, sodium_base64_VARIANT_ORIGINAL)];
	sodium_bin2base64(text, sizeof(text), k, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
	memcpy(buf, text, 5);
	buf[5] = '\0';
	return buf;
}

bool hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len)
{
	if (text_len / 2 != out_len || text_len % 2)
		return false;
	for (size_t i = 0; i < text_len; i++)
		if (!strchr("0123456789abcdefABCDEF", text[i]) || !text[i])
			return false;
	size_t n = 0;
	return sodium_hex2bin(out, out_len, text, text_len, NULL, &n, NULL) == 0 && n == out_len;
}

char *hex_encode(const uint8_t *p, size_t len, char *buf)
{
	return sodium_bin2hex(buf, 2 * len + 1, p, len);
}

char *base64_encode(const uint8_t *p, size_t len, char *buf)
{
	return sodium_bin2base64(buf, base64_text(len), p, len, sodium_base64_VARIANT_ORIGINAL);
}

char *base64url_encode(const uint8_t *p, size_t len, char *buf)
{
	return sodium_bin2base64(buf, base64url_text(len), p, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* libsodium 1.0.18 takes some bytes above 0x7f for digits. */
static long decode(
	const char *text, size_t text_len, const char *alphabet, int variant, uint8_t *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < text_len; i++)
		if (!text[i] || !strchr(alphabet, text[i]))
			return -1;
	return sodium_base642bin(out, cap, text, text_len, NULL, &n, NULL, variant) ? -1 : (long)n;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

long base64_decode(const char *text, size_t text_len, uint8_t *out, size_t cap)
{
	return decode(text, text_len, LETTERS "+/=", sodium_base64_VARIANT_ORIGINAL, out, cap);
}

long base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap)
{
	return decode(text, text_len, LETTERS "-_", sodium_base64_VARIANT_URLSAFE_NO_PADDING, out, cap);
}

bool box_precompute(
	const uint8_t priv[static KEY_LEN], const uint8_t pub[static KEY_LEN], struct box_key *out)
{
	return crypto_box_beforenm(out->b, pub, priv) == 0;
}

void box_seal(const struct box_key *k, const uint8_t nonce[static BOX_NONCE], const void *src, size_t len,
	uint8_t *out)
{
	(void)crypto_box_easy_afternm(out, src, len, nonce, k->b);
}

bool box_open(const struct box_key *k, const uint8_t nonce[static BOX_NONCE], const void *src, size_t len,
	uint8_t *out)
{
	return len >= BOX_TAG && crypto_box_open_easy_afternm(out, src, len, nonce, k->b) == 0;
}
