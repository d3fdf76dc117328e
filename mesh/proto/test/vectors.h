/* Helpers of the tests in this folder. */
#ifndef RW_PROTO_TEST_VECTORS_H
#define RW_PROTO_TEST_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "mesh/base/err.h"
#include "mesh/base/key.h"

static inline size_t unhex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = strlen(text) / 2;
	memset(out, 0, cap);
	assert_true(n <= cap && hex_decode(text, n * 2, out, n));
	return n;
}
static inline void fill_key(uint8_t *key, uint8_t v)
{
	memset(key, v, KEY_LEN);
}

#endif
