#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/verify.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A relay's question and its answer. What was read must be writable, and what was written readable. */
static void verify_target(const uint8_t *data, size_t len)
{
	struct arena a = { .cap = 1 << 20 };
	struct buf b = { 0 };
	struct verify_request rq;
	struct verify_response r;
	trouble_begin();
	bool answer = verify_response_read(&a, (const char *)data, len, &r, NULL) == 0;
	if (answer && verify_response_write(&b, &r) &&
		verify_response_read(&a, (const char *)buf_data(&b), b.len, &r, NULL) != 0 && !a.failed &&
		!trouble_happened())
		__builtin_trap();
	buf_free(&b);
	if (verify_request_read(&a, (const char *)data, len, &rq, NULL) == 0 &&
		verify_request_write(&b, &rq) &&
		verify_request_read(&a, (const char *)buf_data(&b), b.len, &rq, NULL) != 0 && !a.failed)
		__builtin_trap();
	buf_free(&b);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(verify_target, data, len);
}
