#include "simnet/service/http_head.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_head h;
	char host[256];
	unsigned port;

	if (http_head_read((const char *)data, len, &h) != HTTP_HEAD_DONE)
		return 0;
	if (h.len > len || !*h.method || !*h.target || strchr(h.target, ' '))
		abort();
	(void)http_authority(h.target, host, sizeof(host), &port);
	(void)http_basic_is(h.proxy_auth, "a:b");
	return 0;
}
