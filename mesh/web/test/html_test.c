#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/web/html.h"
#include <string.h>

static void test_text(void **state)
{
	static const struct {
		const char *text, *html;
	} rows[] = { { "", "" }, { "ads.example", "ads.example" },
		{ "<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" },
		{ "\" onload=\"x", "&quot; onload=&quot;x" }, { "a&lt;", "a&amp;lt;" },
		{ "a\x01\nb\xff", "a??b?" } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = { 0 };
		assert_true(html_text(&b, rows[i].text));
		assert_string_equal(buf_cstr(&b), rows[i].html);
		buf_free(&b);
	}
}

static void test_long(void **state)
{
	struct buf b = { 0 }, small = { .cap = 3 };
	char text[2 * HTML_TEXT_SHOWN];
	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_true(html_text(&b, text));
	assert_int_equal(b.len, HTML_TEXT_SHOWN);
	assert_false(html_text(&small, "&"));
	buf_free(&b);
	buf_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_text), cmocka_unit_test(test_long) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
