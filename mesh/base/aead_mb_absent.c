#include "mesh/base/aead_mb.h"

const char *aead_mb_instructions(void)
{
	return NULL;
}

bool aead_mb_run(const uint8_t key[static AEAD_MB_KEY], const uint8_t nonce[static AEAD_NONCE], uint8_t *p,
	size_t len, bool seal, uint8_t tag[static AEAD_TAG])
{
	(void)key;
	(void)nonce;
	(void)p;
	(void)len;
	(void)seal;
	(void)tag;
	return false;
}
