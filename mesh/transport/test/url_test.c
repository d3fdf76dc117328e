/* URLs taken apart, targets of requests, and the values in a form. */
#include "mesh/base/buf.h"
#include "mesh/transport/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_url_join(void **state)
{
	static const struct {
		const char *text, *is;
	} rows[] = {
		{ "https://b.test/x", "https://b.test:443/x" },
		{ "//b.test/x", "https://b.test:443/x" },
		{ "//[2001:db8::2]:8/x", "https://2001:db8::2:8/x" },
		{ "/x?y#z", "https://2001:db8::1:444/x?y" },
		{ "x", "https://2001:db8::1:444/a/b/x" },
		{ "x/?y=/../#z", "https://2001:db8::1:444/a/b/x/?y=/../" },
		{ "?y", "https://2001:db8::1:444/a/b/c?y" },
		{ "", "https://2001:db8::1:444/a/b/c?d=/e" },
		{ "#z", "https://2001:db8::1:444/a/b/c?d=/e" },
		{ "../x", "https://2001:db8::1:444/a/x" },
		{ "../../../x", "https://2001:db8::1:444/x" },
		{ "./x/.", "https://2001:db8::1:444/a/b/x/" },
		{ "x/..", "https://2001:db8::1:444/a/b/" },
		{ "/..?q", "https://2001:db8::1:444/?q" },
		{ "/.../..a", "https://2001:db8::1:444/.../..a" },
		{ "//", NULL },
		{ "ftp://b.test/", NULL },
		{ "x y", NULL },
	};
	char text[600], at[1024];
	struct url base, u;
	(void)state;
	assert_true(url_parse("https://[2001:db8::1]:444/a/b/c?d=/e", &base));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ok = url_join(&base, rows[i].text, &u);
		snprintf(at, sizeof(at), "%s://%s:%u%s", u.https ? "https" : "http", u.host, u.port, u.path);
		if (ok != !!rows[i].is || (ok && strcmp(at, rows[i].is) != 0))
			fail_msg("row %zu: %s", i, ok ? at : "no URL");
	}
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[sizeof(u.path)] = '\0';
	assert_false(url_join(&base, text, &u)); /* one byte too long: nothing is cut */
	text[sizeof(u.path) - 1] = '\0';
	assert_true(url_join(&base, text, &u));
	assert_string_equal(u.path, text);
}

static void test_url_host(void **state)
{
	static const char *const rows[][2] = {
		{ "https://a.test/x", "a.test" },
		{ "https://a.test:443", "a.test" },
		{ "http://a.test:443", "a.test:443" },
		{ "http://a.test:80", "a.test" },
		{ "https://[2001:db8::1]/", "[2001:db8::1]" },
		{ "http://[2001:db8::1]:8080", "[2001:db8::1]:8080" },
	};
	char out[URL_HOST_TEXT];
	struct url u;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(url_parse(rows[i][0], &u));
		assert_string_equal(url_host(&u, out), rows[i][1]);
	}
}

static void test_url(void **state)
{
	static const struct {
		const char *text;
		bool https;
		const char *host;
		uint16_t port;
		const char *path;
	} rows[] = {
		{ "http://a.test", false, "a.test", 80, "/" },
		{ "https://a.test/x?y=1#z", true, "a.test", 443, "/x?y=1" },
		{ "http://10.0.0.1:8080/", false, "10.0.0.1", 8080, "/" },
		{ "https://[2001:db8::1]:444/p", true, "2001:db8::1", 444, "/p" },
		{ "https://[::1]", true, "::1", 443, "/" },
		{ "HTTP://A.test?q", false, "A.test", 80, "/?q" },
		{ "http://a.test:", false, "a.test", 80, "/" },
	};
	static const char *const bad[] = { "ftp://a", "http://", "http://:80", "http://a:0", "http://a:65536",
		"http://a:1x", "http://u@h/", "http://[::1", "http://[::1]x", "http://a b/", "http://a/ b",
		"http://[[fd]", "http://[fd]", "http://[::1[]", "http://a]/", "" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct url u = { .port = 7 };
		if (url_parse(bad[i], &u) || u.port != 7)
			fail_msg("row %zu: %s", i, bad[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct url u;
		if (!url_parse(rows[i].text, &u))
			fail_msg("row %zu: %s", i, rows[i].text);
		if (u.https != rows[i].https || strcmp(u.host, rows[i].host) != 0 || u.port != rows[i].port ||
			strcmp(u.path, rows[i].path) != 0)
			fail_msg("row %zu: %d %s %u %s", i, u.https, u.host, u.port, u.path);
	}
}

static void test_target(void **state)
{
	static const struct {
		const char *target, *path;
	} rows[] = {
		{ "/a%2fb?x", "/a/b" },
		{ "/", "/" },
		{ "*", "*" },
		{ "http://h", "/" },
		{ "/%00", NULL },
		{ "/%4", NULL },
		{ "/%zz", NULL },
		{ "/0123456789abcdef", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[16] = "as it was";
		struct http_head h = { .target = rows[i].target };
		bool ok = http_target_path(&h, path, sizeof(path));
		if (ok != !!rows[i].path || strcmp(path, ok ? rows[i].path : "as it was") != 0)
			fail_msg("row %zu", i);
	}
	struct http_head h = { .target = "/p?a=1&flag&b=%3d&a=2" };
	char v[8];
	assert_true(http_target_query(&h, "a", v, sizeof(v)));
	assert_string_equal(v, "1");
	assert_true(http_target_query(&h, "flag", v, sizeof(v)));
	assert_string_equal(v, "");
	assert_true(http_target_query(&h, "b", v, sizeof(v)));
	assert_string_equal(v, "=");
	assert_false(http_target_query(&h, "c", v, sizeof(v)));
	assert_false(http_form_value(NULL, 0, "a", v, sizeof(v)));
	assert_int_equal(http_form_find(NULL, 0, "a", v, sizeof(v)), HTTP_VALUE_NONE);
	static const char form[] = "long=12345678&cut=%4&nul=%00&fits=1234567#";
	static const struct {
		const char *name;
		enum http_value is;
	} values[] = { { "long", HTTP_VALUE_BAD }, { "cut", HTTP_VALUE_BAD }, { "nul", HTTP_VALUE_BAD },
		{ "none", HTTP_VALUE_NONE } };
	h.target = "/p?long=12345678&cut=%4&nul=%00#&none=1";
	snprintf(v, sizeof(v), "default");
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (http_form_find(form, strlen(form), values[i].name, v, sizeof(v)) != values[i].is ||
			http_target_find(&h, values[i].name, v, sizeof(v)) != values[i].is ||
			strcmp(v, "default") != 0)
			fail_msg("%s", values[i].name);
	assert_int_equal(http_form_find(form, strlen(form) - 1, "fits", v, sizeof(v)), HTTP_VALUE_GOOD);
	assert_string_equal(v, "1234567");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_url_join),
		cmocka_unit_test(test_url_host),
		cmocka_unit_test(test_target),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
