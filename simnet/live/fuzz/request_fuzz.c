#include "simnet/live/request.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request r;
	char value[32];
	int used = request_read((const char *)data, len, &r);
	if (used > 0 && (size_t)used > len)
		abort();
	if (used > 0)
		(void)request_query(&r, "router", value, sizeof(value));
	return 0;
}
