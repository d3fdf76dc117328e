/* Codes and their sentences. */
#include "mesh/base/err.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_texts(void **state)
{
	static const struct {
		int code;
		const char *text;
	} rows[] = { { ERR_MALFORMED, "malformed message" }, { ERR_VERSION, "written by another version" },
		{ -ECONNREFUSED, "Connection refused" }, { EACCES, "Permission denied" }, { 0, "Success" },
		{ ERR_FIRST, "unknown error" }, { -INT_MAX, "unknown error" }, { 100000, "unknown error" } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(err_text(rows[i].code), rows[i].text);
}

/* A text is kept by who asks for it, whatever else is asked for. */
static void test_texts_stay(void **state)
{
	static const int codes[] = { ERR_FIRST, -3008, -ENOENT, ERR_CRYPTO, 100000 };
	const char *texts[ARRAY_LEN(codes)];
	char copies[ARRAY_LEN(codes)][64];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		texts[i] = err_text(codes[i]);
		snprintf(copies[i], sizeof(copies[i]), "%s", texts[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		assert_string_equal(texts[i], copies[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts), cmocka_unit_test(test_texts_stay) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
