/* An answer as text: what our strict reader lets through must not harm ldns behind it. */
#include "resolver/present.h"
#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf out = { .cap = 4 << 20 };
	(void)present_message(data, len, &out);
	(void)present_reason(data, len, &out);
	buf_free(&out);
	return 0;
}
