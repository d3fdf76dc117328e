#include "mesh/base/via6.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_networks(void **state)
{
	static const struct {
		uint32_t site;
		const char *v4, *v6;
	} rows[] = {
		{ 7, "10.1.1.0/24", "fd7a:115c:a1e0:b1a:0:7:a01:100/120" },
		{ 0, "0.0.0.0/0", "fd7a:115c:a1e0:b1a::/96" },
		{ 65535, "192.168.1.9/32", "fd7a:115c:a1e0:b1a:0:ffff:c0a8:109/128" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix v4, v6, want, back;
		uint32_t site;
		assert_true(prefix_parse(rows[i].v4, &v4) && prefix_parse(rows[i].v6, &want));
		assert_true(via6_embed(rows[i].site, &v4, &v6));
		assert_true(prefix_equal(&v6, &want));
		assert_true(via6_extract(&v6, &site, &back));
		assert_int_equal(site, rows[i].site);
		assert_true(prefix_equal(&back, &v4));
	}
	struct prefix six, out;
	uint32_t site;
	assert_true(prefix_parse("fd7a:115c:a1e0:b1a::/64", &six));
	assert_true(via6_is(&six.ip));
	assert_false(via6_extract(&six, &site, &out)); /* many sites */
	assert_false(via6_embed(7, &six, &out));
	assert_true(prefix_parse("fd7a:115c:a1e0:b1a:1:7:a01:100/120", &six));
	assert_false(via6_extract(&six, &site, &out)); /* sites have 16 bits */
	assert_true(prefix_parse("fd7a:115c:a1e0::/120", &six));
	assert_false(via6_is(&six.ip) || via6_extract(&six, &site, &out));
	assert_true(prefix_parse("10.1.1.0/24", &six));
	assert_false(via6_embed(65536, &six, &out));
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *address; /* NULL: no such name */
	} rows[] = {
		{ "10-1-1-16-via-7", "fd7a:115c:a1e0:b1a:0:7:a01:110" },
		{ "10-1-1-16-VIA-0x7", "fd7a:115c:a1e0:b1a:0:7:a01:110" },
		{ "255-255-255-255-via-65535", "fd7a:115c:a1e0:b1a:0:ffff:ffff:ffff" },
		{ "1-2-3-4-via-0xffFF", "fd7a:115c:a1e0:b1a:0:ffff:102:304" },
		{ "1-2-3-4-via-0", "fd7a:115c:a1e0:b1a::102:304" },
		{ "1-2-3-4-via-65536", NULL },
		{ "1-2-3-4-via-0x10000", NULL },
		{ "1-2-3-4-via-", NULL },
		{ "1-2-3-4-via-0x", NULL },
		{ "1-2-3-4-via--7", NULL },
		{ "1-2-3-4-via-7a", NULL },
		{ "1-2-3-via-7", NULL },
		{ "1-2-3-4-5-via-7", NULL },
		{ "1-2-3-256-via-7", NULL },
		{ "1-2-3-+4-via-7", NULL },
		{ "-via-7", NULL },
		{ "1.2.3.4-via-7", NULL },
		{ "via-7", NULL },
		{ "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr got, want;
		size_t len = strlen(rows[i].name);
		char *exact = malloc(len ? len : 1); /* what is read beyond it is noticed */
		memcpy(exact, rows[i].name, len);
		bool is = via6_name_parse(exact, len, &got);
		free(exact);
		if (is != (rows[i].address != NULL))
			fail_msg("%s", rows[i].name);
		if (!is)
			continue;
		assert_true(addr_parse(rows[i].address, &want));
		if (!addr_equal(&got, &want))
			fail_msg("%s", rows[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_networks), cmocka_unit_test(test_names) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
