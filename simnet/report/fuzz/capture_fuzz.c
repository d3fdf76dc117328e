#include "simnet/report/frame.h"
#include "simnet/report/why.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A whole capture; and the same bytes as one frame. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct why_packet packets[64];
	struct why_host hosts[] = { { .name = "h", .ip = addr_v4(0xcb00710a), .asks = true },
		{ .name = "r", .ip = addr_v4(0xcb00710b), .is_router = true } };
	struct why_facts f = { .hosts = hosts, .n_hosts = 2, .packets = packets };
	struct why_lines *lines = calloc(1, sizeof(*lines));
	struct frame_view v;
	char info[FRAME_INFO];

	f.n_packets = why_read_capture(data, len, 0, hosts, 2, 32, packets, 64);
	(void)why_conclude(&f, lines);
	if (frame_read(data, len, len, &v))
		(void)frame_info(&v, info);
	free(lines);
	return 0;
}
