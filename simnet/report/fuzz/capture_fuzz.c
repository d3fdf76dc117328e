#include "simnet/report/why.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct why_packet packets[64];
	struct why_host host = { .name = "h", .ip = addr_v4(0xcb00710a), .asks = true };
	struct why_facts f = { .hosts = &host, .n_hosts = 1, .packets = packets };
	struct buf out = { .cap = 1 << 14 };

	f.n_packets = why_read_capture(data, len, 0, 0, packets, 64);
	(void)why_conclude(&f, &out);
	buf_free(&out);
	return 0;
}
