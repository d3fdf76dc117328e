#include "mesh/node/host/resolv_conf.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Read, and written again in our order. */
static void test_lines(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "nameserver 192.0.2.1\nnameserver 2001:db8::1",
			"nameserver 192.0.2.1\nnameserver 2001:db8::1\n" },
		{ "\tnameserver\t192.0.2.1 # the router\r\n", "nameserver 192.0.2.1\n" },
		{ "nameserver fe80::1%lo\n", "nameserver fe80::1%lo\n" },
		{ "nameserver fe80::1%nosuch0\nnameserver 192.0.2.1:54\nnameserver x\nnameserver\n", "" },
		{ "#nameserver 192.0.2.1\n;search x\nnameservers 192.0.2.1\nsearches x\n", "" },
		{ "domain one\nsearch two three\n", "search two three\n" },
		{ "search two three\ndomain one\n", "search one\n" },
		{ "search a\nsearch\n", "search a\n" },
		{ "search A.b. a.B c/d e_f \"g\" .\n", "search A.b e_f .\n" },
		{ "options ndots:2\noptions  rotate edns0 $(x)\n", "options ndots:2 rotate edns0\n" },
		{ "options a # b\n", "options a\n" },
		{ "sortlist 130.155.160.0\nlookup file bind\n", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolv_conf c;
		struct buf b = { 0 };
		resolv_conf_parse(rows[i].in, strlen(rows[i].in), &c);
		assert_true(resolv_conf_write(&c, &b));
		if (strcmp(buf_cstr(&b), rows[i].out) != 0)
			fail_msg("row %zu: %s", i, buf_cstr(&b));
		buf_free(&b);
	}
}

/* Bounded, however long the file is. */
static void test_much(void **state)
{
	struct buf b = { 0 };
	struct resolv_conf c;
	char name[300];
	(void)state;
	memset(name, 'a', sizeof(name));
	for (int i = 0; i < 300; i++)
		assert_true(buf_printf(&b, "nameserver 192.0.2.%d\noptions o%d\n", i & 255, i));
	assert_true(buf_printf(&b, "search %.253s %.254s", name, name));
	for (int i = 0; i < 20; i++)
		assert_true(buf_printf(&b, " d%d", i));
	resolv_conf_parse((const char *)buf_data(&b), b.len, &c);
	assert_int_equal(c.n_nameservers, RESOLV_SERVERS_MAX);
	assert_int_equal(c.n_search, RESOLV_SEARCH_MAX);
	assert_int_equal(strlen(c.search[0]), 253);
	assert_string_equal(c.search[1], "d0");
	assert_in_range(strlen(c.options), RESOLV_OPTIONS - 8, RESOLV_OPTIONS - 1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_much) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
