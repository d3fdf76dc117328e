#include "mesh/proto/disco.h"
#include <string.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The box cannot be guessed: the input is sealed first, so that the reader of what is inside is reached. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t nonce[BOX_NONCE];
	struct box_key shared = { { 1 } };
	struct disco_message m;
	struct disco_key sender = { { 0 } };
	uint8_t p[DISCO_MAX] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac }, out[DISCO_MAX];
	if (!disco_read(data, len, &shared, &m))
		(void)disco_sender(data, len, &sender);
	if (len > DISCO_MAX - DISCO_HEADER - BOX_TAG)
		return 0;
	box_seal(&shared, nonce, data, len, p + DISCO_HEADER);
	if (disco_read(p, DISCO_HEADER + BOX_TAG + len, &shared, &m))
		(void)disco_write(&m, &sender, &shared, nonce, out);
	return 0;
}
