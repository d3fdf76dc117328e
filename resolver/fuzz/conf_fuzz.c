#include "mesh/base/fuzz/trouble.h"
#include "resolver/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void conf_target(const uint8_t *data, size_t len)
{
	struct conf c;
	struct errbuf eb;
	trouble_begin();
	if (!conf_read("fuzz", (const char *)data, len, &c, &eb)) {
		zone_put(conf_zone("fuzz", &c, &eb));
		conf_free(&c);
	}
	trouble_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(conf_target, data, len);
}
