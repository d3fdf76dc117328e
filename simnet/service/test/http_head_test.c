#include "simnet/service/http_head.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_heads(void **state)
{
	static const struct {
		const char *text;
		enum http_head_state state;
		const char *method, *target, *auth;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", HTTP_HEAD_DONE, "GET", "/", "" },
		{ "GET / HTTP/1.0\n\n", HTTP_HEAD_DONE, "GET", "/", "" },
		{ "CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nproxy-Authorization:  Basic eDp5\r\n\r\nmore",
			HTTP_HEAD_DONE, "CONNECT", "a.test:443", "Basic eDp5" },
		{ "GET / HTTP/1.1\r\nHost", HTTP_HEAD_MORE, NULL, NULL, NULL },
		{ "", HTTP_HEAD_MORE, NULL, NULL, NULL },
		{ "GET / HTTP/2.0\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET / x HTTP/1.1\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET  HTTP/1.1\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ " / HTTP/1.1\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "averyverylongmethod / HTTP/1.1\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\nno colon\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n: x\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\na b: x\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "GET /\001 HTTP/1.1\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "\r\n\r\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
		{ "\x16\x03\x01\x02\n", HTTP_HEAD_BAD, NULL, NULL, NULL },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_head h = { .method = "before" };
		enum http_head_state got = http_head_read(rows[i].text, strlen(rows[i].text), &h);
		if (got != rows[i].state)
			fail_msg("row %zu", i);
		if (got != HTTP_HEAD_DONE) {
			assert_string_equal(h.method, "before");
			continue;
		}
		assert_string_equal(h.method, rows[i].method);
		assert_string_equal(h.target, rows[i].target);
		assert_string_equal(h.proxy_auth, rows[i].auth);
		assert_true(h.len == strlen(rows[i].text) || !strcmp(rows[i].text + h.len, "more"));
	}
}

/* What a call of UPnP has besides. */
static void test_calls(void **state)
{
	static const struct {
		const char *text, *action;
		enum http_head_state state;
		uint32_t body_len;
	} rows[] = {
		{ "POST / HTTP/1.1\r\nSOAPAction: \"a#b\"\r\nContent-Length: 12\r\n\r\n", "\"a#b\"",
			HTTP_HEAD_DONE, 12 },
		{ "POST / HTTP/1.1\r\nsoapaction:a\r\n\r\n", "a", HTTP_HEAD_DONE, 0 },
		{ "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "", HTTP_HEAD_BAD, 0 },
		{ "POST / HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n", "", HTTP_HEAD_BAD, 0 },
		{ "POST / HTTP/1.1\r\nContent-Length: 00000000000000001\r\n\r\n", "", HTTP_HEAD_BAD, 0 },
		{ "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "", HTTP_HEAD_BAD, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_head h;
		if (http_head_read(rows[i].text, strlen(rows[i].text), &h) != rows[i].state ||
			(rows[i].state == HTTP_HEAD_DONE &&
				(strcmp(h.action, rows[i].action) != 0 || h.body_len != rows[i].body_len)))
			fail_msg("row %zu", i);
	}
}

static void test_endless(void **state)
{
	static char text[HTTP_HEAD_MAX];
	struct http_head h;
	(void)state;

	assert_int_equal(http_head_read(NULL, 0, &h), HTTP_HEAD_MORE);
	memset(text, 'a', sizeof(text));
	assert_int_equal(http_head_read(text, sizeof(text) - 1, &h), HTTP_HEAD_MORE);
	assert_int_equal(http_head_read(text, sizeof(text), &h), HTTP_HEAD_BAD);
}

static void test_authority(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} rows[] = {
		{ "a.test:443", "a.test", 443 },
		{ "[2001:db8::1]:80", "2001:db8::1", 80 },
		{ "1.2.3.4:1", "1.2.3.4", 1 },
		{ "a.test", NULL, 0 },
		{ "a.test:0", NULL, 0 },
		{ "a.test:65536", NULL, 0 },
		{ ":443", NULL, 0 },
		{ "2001:db8::1:80", NULL, 0 },
		{ "[]:80", NULL, 0 },
		{ "[a:80", NULL, 0 },
		{ "http://a/:80", NULL, 0 },
	};
	char host[32];
	unsigned port;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (http_authority(rows[i].text, host, sizeof(host), &port) != !!rows[i].host)
			fail_msg("row %zu", i);
		if (rows[i].host) {
			assert_string_equal(host, rows[i].host);
			assert_int_equal(port, rows[i].port);
		}
	}
	assert_false(
		http_authority("a-name-that-is-too-long-for-its-buffer.test:1", host, sizeof(host), &port));
}

/* RFC 7617 section 2, RFC 4648 section 10. */
static void test_basic(void **state)
{
	(void)state;
	assert_true(http_basic_is("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin:open sesame"));
	assert_true(http_basic_is("basic Zm9vYmE=", "fooba"));
	assert_true(http_basic_is("Basic Zm9vYmFy", "foobar"));
	assert_false(http_basic_is("Basic Zm9vYmFy", "foobaz"));
	assert_false(http_basic_is("Bearer Zm9vYmFy", "foobar"));
	assert_false(http_basic_is("", "foobar"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_basic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
