#include "mesh/control/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct control_config c;
	struct errbuf eb;
	struct arena a = { 0 };
	struct ctl_dns dns;
	if (config_parse("/etc/c.yaml", (const char *)data, len, &c, &eb))
		return 0;
	(void)config_dns(&c, &c.records, &a, &dns);
	arena_free(&a);
	config_free(&c);
	return 0;
}
