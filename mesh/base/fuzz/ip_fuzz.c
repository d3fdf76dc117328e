#include "mesh/base/ip.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip_view v;
	if (ip_parse(data, len, &v) &&
		(v.total_len > len || v.payload_at > v.total_len || v.l4_at > v.payload_at))
		abort();
	return 0;
}
