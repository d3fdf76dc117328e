#include "mesh/control/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena a = { 0 };
	struct ctl_derp_map map = { 0 };
	struct errbuf eb;
	(void)config_derp_parse("d.yaml", (const char *)data, len, &a, &map, &eb);
	arena_free(&a);
	return 0;
}
