#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/live/request.h"
#include <string.h>

#define HOST "Host: 127.0.0.1:8080\r\n"

static void test_requests(void **state)
{
	static const struct {
		const char *text;
		int used; /* 0 = more is needed; negative: refused so */
		const char *path, *query, *body;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", 40, "/", "", "" },
		{ "GET /a/b?x=1 HTTP/1.1\r\nhost:  LOCALHOST:8 \r\nAccept: */*\r\n\r\n", 59, "/a/b", "x=1",
			"" },
		{ "POST /do HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET", 65, "/do", "", "abc" },
		{ "POST /do HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab", 0, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "\r", 0, NULL, NULL, NULL },
		{ "", 0, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n\r\n", -400, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", -400, NULL, NULL, NULL },
		{ "PUT / HTTP/1.1\r\n" HOST "\r\n", -405, NULL, NULL, NULL },
		{ "GET / HTTP/2\r\n" HOST "\r\n", -400, NULL, NULL, NULL },
		{ "GET http://x/ HTTP/1.1\r\n" HOST "\r\n", -400, NULL, NULL, NULL },
		{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", -400, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "X : y\r\n\r\n", -400, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", -400, NULL, NULL, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", -400, NULL, NULL, NULL },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 513\r\n\r\n", -413, NULL, NULL, NULL },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", -400, NULL, NULL, NULL },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", -400, NULL, NULL,
			NULL },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", -400, NULL,
			NULL, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request r = { .path = "untouched" };
		int used = request_read(rows[i].text, strlen(rows[i].text), &r);
		bool good = used == rows[i].used &&
			    (used > 0 ? !strcmp(r.path, rows[i].path) && !strcmp(r.query, rows[i].query) &&
						    !strcmp(r.body, rows[i].body)
				      : !strcmp(r.path, "untouched"));
		if (!good)
			fail_msg("row %zu: %d %s", i, used, r.path);
	}
	static char long_head[REQUEST_HEAD + 10];
	struct request r;
	memset(long_head, 'a', sizeof(long_head));
	assert_int_equal(request_read(long_head, REQUEST_HEAD, &r), -431);
	assert_int_equal(request_read(long_head, REQUEST_HEAD - 1, &r), 0);
}

static void test_query(void **state)
{
	static const struct {
		const char *query, *value; /* of `a`, NULL: none */
	} rows[] = {
		{ "a=1", "1" },
		{ "b=2&a=x%20y", "x y" },
		{ "a=", "" },
		{ "aa=1", NULL },
		{ "b=a", NULL },
		{ "a=%2", NULL },
		{ "a=%zz", NULL },
		{ "a=%00x", NULL },
		{ "a=12345678", NULL },
		{ "a=1234567", "1234567" },
		{ "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request r = { 0 };
		char out[8];
		strcpy(r.query, rows[i].query);
		bool got = request_query(&r, "a", out, sizeof(out));
		if (got != (rows[i].value != NULL) || (got && strcmp(out, rows[i].value) != 0))
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_query),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
