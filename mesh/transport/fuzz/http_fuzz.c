/* Request and answer heads and bodies; odd first byte = answer, and the bytes come in two pieces. */
#include "mesh/transport/http_parse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void look(const struct http_head *h)
{
	char text[64], name[16];
	(void)http_header(h, "Upgrade");
	if (h->target) {
		(void)http_target_path(h, text, sizeof(text));
		(void)http_target_query(h, "v", text, sizeof(text));
		for (size_t i = 0; i < 8 && http_target_nth(h, i, name, sizeof(name), text, sizeof(text));
			i++)
			continue;
	}
}

static void feed(struct http_parse *h, const uint8_t *p, size_t len)
{
	while (len) {
		long used = http_parse_feed(h, p, len);
		if (used < 0)
			return;
		p += used;
		len -= (size_t)used;
		if (!h->complete)
			return;
		look(&h->head);
		http_parse_next(h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_parse h;
	if (!len)
		return 0;
	http_parse_init(&h, !(data[0] & 1), 4096);
	size_t half = 1 + (len - 1) / 2;
	feed(&h, data + 1, half - 1);
	feed(&h, data + half, len - half);
	if (!h.fault)
		(void)http_parse_feed(&h, NULL, 0);
	http_parse_fini(&h);
	return 0;
}
