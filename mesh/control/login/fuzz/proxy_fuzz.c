#include "mesh/control/login/proxy.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A header of a stranger, as the way through proxies. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct prefix net;
	struct ctl_prefixes trusted = { .v = &net, .n = 1 };
	struct addr at;
	char *text = malloc(len + 1);
	if (!text || !prefix_parse("10.0.0.0/8", &net) || !addr_parse("10.0.0.1", &at)) {
		free(text);
		return 0;
	}
	if (len)
		memcpy(text, data, len);
	text[len] = 0;
	(void)proxy_step(&trusted, text, &at);
	free(text);
	return 0;
}
