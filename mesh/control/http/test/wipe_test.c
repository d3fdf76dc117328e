/* Keys leave memory with what they were said in: every block that this program frees while a request and its answer come and
 * go is looked through (free is wrapped by the linker for this test). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/api.h"
#include "mesh/proto/json.h"
#include "mesh/proto/json_memory.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET "hskey-auth-0123456789abcdef0123456789abcdef"
enum { BODY = 3000, KEYS = 2000 };

static struct {
	size_t freed, left_behind;
} watched; /* the wrapped free has no argument of its own */

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	size_t len = p ? malloc_usable_size(p) : 0;
	watched.left_behind += p && memmem(p, len, SECRET, strlen(SECRET)) != NULL;
	watched.freed += p != NULL;
	__real_free(p);
}

static void gone(void *arg, struct http_server_conn *conn)
{
	(void)arg, (void)conn;
}

/* Says the key of the request again, many times: more than a socket takes at once. */
static void asked(void *arg, struct http_server_conn *conn, const struct http_head *head, const uint8_t *body,
	size_t len)
{
	const struct json_caps caps = { .bytes = 1 << 20, .string = 1 << 20, .depth = 8, .containers = 100 };
	const struct api_way way = { .conn = conn };
	json_t *args = json_open((const char *)body, len, &caps, NULL), *list = json_array();
	const char *key = json_string_value(json_object_get(args, "key"));
	(void)arg;
	assert_string_equal(http_header(head, "Authorization"), "Bearer " SECRET);
	assert_string_equal(key, SECRET);
	for (int i = 0; i < KEYS; i++)
		json_array_append_new(list, json_pack("{s:s}", "key", key));
	json_decref(args);
	api_reply_json(&way, 200, list);
}

static void test_request(void **state)
{
	static const char key[] = "{\"key\":\"" SECRET "\",", end[] = "\"a\":1}";
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = { .request = asked, .gone = gone, .body_cap = 2 * BODY };
	struct loop *l = loop_new();
	static char text[KEYS * 2 * sizeof(SECRET)], body[BODY];
	int fds[2], small = 4096;
	(void)state;
	memset(body, ' ', sizeof(body));
	memcpy(body, key, strlen(key));
	memcpy(body + sizeof(body) - strlen(end), end, strlen(end));
	int len = snprintf(text, sizeof(text),
		"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " SECRET
		"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%.*s",
		BODY, BODY, body);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	memset(&watched, 0, sizeof(watched));
	assert_non_null(http_server_accept(l, stream_accept(l, fds[0], NULL, &none), &ops));
	for (int at = 0, step = 97; at < len; at += step) { /* in pieces: what grows, moves */
		assert_true(write(fds[1], text + at, (size_t)(at + step < len ? step : len - at)) > 0);
		loop_run_once(l);
	}
	for (ssize_t n = -1; n; n = read(fds[1], text, sizeof(text)))
		loop_run_once(l);
	close(fds[1]);
	loop_free(l);
	assert_true(watched.freed > 0);
	assert_int_equal(watched.left_behind, 0);
}

/* The wrapped free sees what this program frees at all. */
static void test_sees(void **state)
{
	(void)state;
	json_t *v = json_string("a");
	char *block = malloc(100);
	volatile char *written = block; /* what is freed unread, an optimiser would not write */
	for (size_t i = 0; i < sizeof(SECRET); i++)
		written[i] = SECRET[i];
	memset(&watched, 0, sizeof(watched));
	free(block);
	assert_int_equal(*(volatile size_t *)&watched.left_behind, 1);
	json_decref(v);
	assert_true(*(volatile size_t *)&watched.freed > 1); /* the JSON library's too */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sees), cmocka_unit_test(test_request) };
	json_memory_wipes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
