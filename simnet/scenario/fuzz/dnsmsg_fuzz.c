#include "simnet/scenario/dnsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint16_t types[] = { 1, 12, 16, 28 };
	struct dnsmsg_reply r;
	struct buf values = { .cap = 1 << 16 };

	if (len && dnsmsg_read_reply(data + 1, len - 1, types[data[0] & 3], &r, &values))
		(void)dnsmsg_rcode_word(&r);
	buf_free(&values);
	return 0;
}
