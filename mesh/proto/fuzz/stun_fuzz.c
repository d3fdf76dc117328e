#include "mesh/proto/stun.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t tx[STUN_TX], out[STUN_REPLY_MAX], ours[STUN_REQUEST], heard[STUN_TX];
	struct endpoint seen, again;
	bool official;
	if (stun_request_read(data, len, tx, &official)) {
		stun_request_write(tx, ours);
		if (!stun_request_read(ours, sizeof(ours), heard, &official) || !official ||
			memcmp(tx, heard, STUN_TX) != 0)
			__builtin_trap();
	}
	if (stun_reply_read(data, len, tx, &seen)) {
		size_t n = stun_reply_write(tx, &seen, out);
		if (!stun_reply_read(out, n, tx, &again) || !endpoint_equal(&seen, &again))
			__builtin_trap();
	}
	return 0;
}
