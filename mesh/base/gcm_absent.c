#include "mesh/base/gcm.h"

const char *gcm_instructions(void)
{
	return NULL;
}

struct gcm *gcm_new(void)
{
	return NULL;
}

/* --- of what is never made --- */

void gcm_free(struct gcm *g)
{
	(void)g;
}

void gcm_set_key(struct gcm *g, const uint8_t key[static GCM_KEY])
{
	(void)g;
	(void)key;
}

void gcm_begin(struct gcm *g, const uint8_t nonce[static GCM_NONCE], const uint8_t *aad, size_t n_aad)
{
	(void)g;
	(void)nonce;
	(void)aad;
	(void)n_aad;
}

void gcm_seal(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len)
{
	(void)g;
	(void)out;
	(void)in;
	(void)len;
}

void gcm_open(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len)
{
	(void)g;
	(void)out;
	(void)in;
	(void)len;
}

void gcm_tag(struct gcm *g, uint8_t tag[static GCM_TAG])
{
	(void)g;
	(void)tag;
}
