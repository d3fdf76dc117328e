#include "mesh/base/fuzz/trouble.h"
#include "resolver/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void conf_target(const uint8_t *data, size_t len)
{
	struct conf c;
	struct errbuf eb;
	struct buf all = { 0 };
	trouble_begin();
	if (!conf_read_all("fuzz", (const char *)data, len, &c, &all, &eb)) {
		zone_put(conf_zone("fuzz", &c, &eb));
		conf_free(&c);
	}
	trouble_end();
	buf_free(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(conf_target, data, len);
}
