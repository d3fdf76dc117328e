#include "simnet/scenario/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct adapter a = { 0 };
	struct errbuf eb;

	if (!adapter_parse("fuzz.yaml", (const char *)data, len, &a, &eb)) {
		(void)adapter_has_field(&a, "key-x");
		adapter_free(&a);
	}
	return 0;
}
