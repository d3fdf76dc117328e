#include "mesh/base/fuzz/trouble.h"
#include "mesh/oidc/id_token.h"
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The key of RFC 7515 A.3, by which a seed is signed, so that what it says is read too. */
static const char known[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
			    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static char *put_text(char *to, const void *p, size_t len)
{
	sodium_bin2base64(to, sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING), p,
		len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return to + strlen(to);
}

/* "header newline payload", as a provider with the key that is read into keys signs it. The caller's. */
static char *sign(const uint8_t *data, size_t len, struct oidc_keys **keys)
{
	static const uint8_t seed[crypto_sign_SEEDBYTES] = { 7 };
	uint8_t pub[crypto_sign_PUBLICKEYBYTES], priv[crypto_sign_SECRETKEYBYTES], sig[crypto_sign_BYTES];
	char text[256], x[64];
	struct errbuf eb;
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len;
	char *token = malloc(2 * len + 256), *at = token;
	if (!token || crypto_sign_seed_keypair(pub, priv, seed) != 0)
		abort();
	put_text(x, pub, sizeof(pub));
	snprintf(text, sizeof(text),
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"%s\"}]}", x);
	*keys = oidc_keys_read(text, strlen(text), &eb);
	at = put_text(at, data, n);
	*at++ = '.';
	at = put_text(at, data + n + (end != NULL), len - n - (end != NULL));
	crypto_sign_detached(sig, NULL, (const uint8_t *)token, (size_t)(at - token), priv);
	*at++ = '.';
	put_text(at, sig, sizeof(sig));
	return token;
}

/* What begins with { is signed here. Else "token NUL keys": without keys, those that are known. */
static void run(const uint8_t *data, size_t len)
{
	const struct oidc_expected want = { .issuer = "https://id.example.com",
		.client = "ropewalk",
		.nonce = "n",
		.access_token = "a",
		.groups_claim = "groups",
		.now_ms = INT64_C(1700000000000) };
	struct arena a = { .cap = 1 << 20 };
	struct oidc_claims c = { 0 };
	struct errbuf eb = { 0 };
	struct oidc_keys *keys = NULL;
	char *token;
	if (len && data[0] == '{') {
		token = sign(data, len, &keys);
	} else {
		token = malloc(len + 1);
		if (!token)
			return;
		if (len)
			memcpy(token, data, len);
		token[len] = 0;
		size_t first = strlen(token);
		keys = first < len ? oidc_keys_read(token + first + 1, len - first - 1, &eb)
				   : oidc_keys_read(known, sizeof(known) - 1, &eb);
	}
	trouble_begin();
	if (keys && oidc_token_check(&a, token, keys, &want, &c, &eb) != OIDC_GOOD &&
		(c.subject || !*eb.text))
		__builtin_trap();
	trouble_end();
	oidc_keys_free(keys);
	free(token);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
