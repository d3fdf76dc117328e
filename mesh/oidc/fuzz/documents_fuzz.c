#include "mesh/base/fuzz/trouble.h"
#include "mesh/oidc/documents.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void documents_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 1 << 20 };
	struct oidc_discovery d = { 0 };
	struct oidc_tokens t = { 0 };
	struct oidc_claims c = { .subject = "u1", .email = "", .name = "", .preferred = "" };
	const char *text = (const char *)data;
	char said[256];
	trouble_begin();
	if (oidc_discovery_read(&a, text, len, "https://id.example.com", &d, NULL) && d.issuer)
		__builtin_trap();
	if (oidc_tokens_read(&a, text, len, &t, NULL) && t.id_token)
		__builtin_trap();
	(void)oidc_userinfo_read(&a, text, len, "groups", &c, NULL);
	oidc_refusal_read(text, len, said, sizeof(said));
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(documents_target, data, len);
}
