#include "resolver/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf c;
	struct errbuf eb;
	if (!conf_read("fuzz", (const char *)data, len, &c, &eb)) {
		zone_put(conf_zone("fuzz", &c, &eb));
		conf_free(&c);
	}
	return 0;
}
