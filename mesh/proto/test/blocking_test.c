#include "mesh/proto/control.h"
#include "mesh/proto/test/vectors.h"
#include <string.h>

#define CAP(value) "{\"x\":[1],\"" CTL_BLOCKING_CAP "\":" value "}"

/* A CapMap, and how what it says of blocking is written back; "" = it says nothing; NULL = it cannot be read. */
static void test_read(void **state)
{
	static const struct {
		const char *caps, *as;
	} rows[] = {
		{ "{}", "" },
		{ "{\"x\":null}", "" },
		{ CAP("null"), "" },
		{ CAP("[]"), "" },
		{ CAP("[{}]"), "{}" },
		{ CAP("[{},{\"TTL\":1}]"), "{}" },
		{ CAP("[{\"Lists\":[{\"Name\":\"a\",\"URL\":\"https://x/y\",\"More\":1}]}]"),
			"{\"Lists\":[{\"Name\":\"a\",\"URL\":\"https://x/y\"}]}" },
		{ CAP("[{\"lists\":[{\"name\":\"a\",\"names\":[\"b\"],\"allow\":true,\"when\":[\"mon "
		      "08:00-09:00\"]}]}]"),
			"{\"Lists\":[{\"Name\":\"a\",\"Names\":[\"b\"],\"Allow\":true,\"When\":[\"mon "
			"08:00-09:00\"]}]}" },
		{ CAP("[{\"Groups\":[{\"Name\":\"g\",\"Clients\":[\"a@\"],\"Lists\":[\"l\"]},{\"Name\":"
		      "\"h\"}]}]"),
			"{\"Groups\":[{\"Name\":\"g\",\"Clients\":[\"a@\"],\"Lists\":[\"l\"]},{\"Name\":"
			"\"h\"}]}" },
		{ CAP("[{\"Answer\":[\"192.0.2.1\"],\"TTL\":5,\"Refresh\":6,\"Pause\":7}]"),
			"{\"Answer\":[\"192.0.2.1\"],\"TTL\":5,\"Refresh\":6,\"Pause\":7}" },
		{ CAP("[7]"), NULL },
		{ CAP("{}"), NULL },
		{ CAP("[{\"TTL\":-1}]"), NULL },
		{ CAP("[{\"Lists\":[{\"Name\":7}]}]"), NULL },
		{ CAP("[{\"Groups\":{}}]"), NULL },
		{ "[]", NULL },
		{ "{", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static const struct ctl_blocking before;
		const struct ctl_blocking *m = &before;
		struct arena a = { 0 };
		struct errbuf eb = { 0 };
		struct buf b = { 0 };
		int err = ctl_blocking_read(&a, rows[i].caps, &m, &eb);
		if (err && (rows[i].as || m != &before || !eb.text[0]))
			fail_msg("row %zu: %s", i, eb.text);
		if (!err && m && !ctl_blocking_write(&b, m))
			fail_msg("row %zu", i);
		if (!err && (!rows[i].as || strcmp(m ? buf_cstr(&b) : "", rows[i].as) != 0))
			fail_msg("row %zu: %s", i, m ? buf_cstr(&b) : "nothing");
		buf_free(&b);
		arena_free(&a);
	}
	const struct ctl_blocking *none;
	assert_int_equal(ctl_blocking_read(NULL, NULL, &none, NULL), 0);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_read) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
