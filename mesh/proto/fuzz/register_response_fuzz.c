#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/control.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The answers to register and /key. What was read must be writable, and what was written readable. */
static void register_response_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 64 << 20 };
	struct buf b = { 0 };
	struct ctl_register_response m;
	struct ctl_key_response key;
	trouble_begin();
	if (ctl_key_response_read((const char *)data, len, &key, NULL) == 0 && key_is_zero(key.server.b))
		__builtin_trap();
	if (ctl_register_response_read(&a, (const char *)data, len, &m, NULL) == 0 &&
		ctl_register_response_write(&b, &m) &&
		ctl_register_response_read(&a, (const char *)buf_data(&b), b.len, &m, NULL) != 0 && !a.failed)
		__builtin_trap();
	buf_free(&b);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(register_response_target, data, len);
}
