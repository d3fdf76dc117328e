#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/control.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was read must be writable, and what was written readable. */
static void map_request_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 64 << 20 };
	struct buf b = { 0 };
	struct ctl_map_request m;
	trouble_begin();
	if (ctl_map_request_read(&a, (const char *)data, len, &m, NULL) == 0 &&
		ctl_map_request_write(&b, &m) &&
		ctl_map_request_read(&a, (const char *)buf_data(&b), b.len, &m, NULL) != 0 && !a.failed)
		__builtin_trap();
	buf_free(&b);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(map_request_target, data, len);
}
