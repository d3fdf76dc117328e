#include "simnet/fabric/kernel/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_Alignas(8) uint8_t msg[4096]; /* netlink messages are aligned */
	struct trace_entry e;
	if (len > sizeof(msg))
		return 0;
	if (len)
		__builtin_memcpy(msg, data, len);
	(void)trace_decode(msg, len, &e);
	return 0;
}
