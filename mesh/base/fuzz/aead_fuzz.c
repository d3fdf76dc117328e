/* Both implementations and libsodium: the same bytes out, and the same verdict about what may be forged. Input: key, nonce,
 * one byte of which bit is turned, what is sealed. */
#include "mesh/base/aead.h"
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "mesh/base/noise.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD = AEAD_KEY + AEAD_NONCE + 1, LONGEST = 4096 };

static void try_kind(enum aead_kind kind, const uint8_t *data, size_t len, const uint8_t *sealed)
{
	uint8_t *p = malloc(len + AEAD_TAG);
	struct aead *seal = aead_new_by(kind, data, true), *open = aead_new_by(kind, data, false);
	if (p && seal && open) {
		const uint8_t *nonce = data + AEAD_KEY, *plain = data + HEAD;
		if (len)
			memcpy(p, plain, len);
		must(aead_seal_inplace(seal, nonce, p, len) && memcmp(p, sealed, len + AEAD_TAG) == 0);
		must(aead_open_inplace(open, nonce, p, len + AEAD_TAG));
		must(!len || memcmp(p, plain, len) == 0);
		memcpy(p, sealed, len + AEAD_TAG);
		p[(data[HEAD - 1] * 37u) % (len + AEAD_TAG)] ^= (uint8_t)(1u << data[HEAD - 1] % 8);
		must(!aead_open_inplace(open, nonce, p, len + AEAD_TAG));
		/* What nobody sealed: the input itself as sealed bytes, which is right for nobody or for all. */
		if (len) {
			uint8_t opened[LONGEST];
			memcpy(p, plain, len);
			must(aead_open_inplace(open, nonce, p, len) ==
				(len >= AEAD_TAG && aead_open(data, nonce, NULL, 0, plain, len, opened)));
		}
	} else {
		must(trouble_happened() || kind == AEAD_IPSEC_MB);
	}
	aead_free(seal);
	aead_free(open);
	free(p);
}

static void compare(const uint8_t *data, size_t len)
{
	uint8_t sealed[LONGEST + AEAD_TAG];
	if (len < HEAD || len - HEAD > LONGEST)
		return;
	aead_seal(data, data + AEAD_KEY, NULL, 0, data + HEAD, len - HEAD, sealed);
	trouble_begin();
	for (int kind = 0; kind < AEAD_KINDS; kind++)
		try_kind((enum aead_kind)kind, data, len - HEAD, sealed);
	trouble_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return key_setup() ? trouble_twice(compare, data, len) : 0;
}
