#include "simnet/pcap/pcapng.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *remark(void *owner, const char *link, const struct pcapng_packet *p)
{
	(void)owner;
	return p->frame % 2 ? NULL : link;
}

/* What could be read, and is written again, must be read again, packet by packet. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pcapng_reader a, b;
	struct pcapng_packet p, q;
	struct buf out = { .cap = 1 << 22 };
	if (!pcapng_annotate(data, len, remark, NULL, &out, NULL)) {
		if (pcapng_open(&a, data, len, NULL) || pcapng_open(&b, buf_data(&out), out.len, NULL))
			abort();
		while (pcapng_next(&a, &p, NULL) == 1)
			if (pcapng_next(&b, &q, NULL) != 1 || q.len != p.len || q.at_ns != p.at_ns ||
				q.frame != p.frame)
				abort();
		pcapng_close(&a);
		pcapng_close(&b);
	}
	buf_free(&out);
	return 0;
}
