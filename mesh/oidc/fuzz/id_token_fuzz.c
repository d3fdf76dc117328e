#include "mesh/oidc/id_token.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The key of RFC 7515 A.3, by which a seed is signed, so that what it says is read too. */
static const char known[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
			    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

/* "token NUL keys": without keys, those that are known. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
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
	char *token = malloc(len + 1);
	if (!token)
		return 0;
	if (len)
		memcpy(token, data, len);
	token[len] = 0;
	size_t first = strlen(token);
	struct oidc_keys *keys = first < len ? oidc_keys_read(token + first + 1, len - first - 1, &eb)
					     : oidc_keys_read(known, sizeof(known) - 1, &eb);
	if (keys && oidc_token_check(&a, token, keys, &want, &c, &eb) != OIDC_GOOD &&
		(c.subject || !*eb.text))
		__builtin_trap();
	oidc_keys_free(keys);
	free(token);
	arena_free(&a);
	return 0;
}
