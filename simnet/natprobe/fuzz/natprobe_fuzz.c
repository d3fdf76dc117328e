#include "simnet/natprobe/natprobe_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is read is written as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct natprobe_message m;
	uint8_t out[NATPROBE_SIZE];

	if (!natprobe_message_read(data, len, &m))
		return 0;
	natprobe_message_write(&m, out);
	if (memcmp(out, data, sizeof(out)) != 0)
		abort();
	return 0;
}
