/* http://100.100.100.100/metrics, in a network namespace of the test's own: who is answered, and what. */
#include "mesh/node/serve/service_web.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/transport/http.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { PORT = 25280 };

struct answer {
	int status;
	char body[256];
	bool over;
};

static bool say_metrics(void *arg, struct buf *out)
{
	return buf_printf(out, "asked %d\n", ++*(int *)arg);
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct answer *a = arg;
	a->status = head->status;
	snprintf(a->body, sizeof(a->body), "%.*s", (int)len, (const char *)body);
	a->over = true;
}

static void failed(void *arg, int code, const char *why)
{
	struct answer *a = arg;
	(void)why;
	a->status = code;
	a->over = true;
}

struct row {
	const char *method, *target, *host, *extra, *at;
	int status; /* -1: no connection */
	const char *body;
};

static struct answer ask(struct loop *l, const struct row *row)
{
	struct answer a = { 0 };
	struct endpoint at = { .port = PORT };
	assert_true(addr_parse(row->at, &at.ip));
	struct http_request rq = { .to = { .host = row->at, .at = &at, .port = PORT },
		.method = row->method,
		.target = row->target,
		.host = row->host,
		.extra = row->extra };
	assert_non_null(http_request(
		l, &rq, &(struct http_client_events) { .done = done, .failed = failed, .arg = &a }));
	while (!a.over)
		loop_run_once(l);
	return a;
}

#define HERE "100.100.100.100"
static const struct row rows[] = {
	{ "GET", "/metrics", HERE, NULL, HERE, 200, "asked 1\n" },
	{ "GET", "/metrics", HERE ":80", NULL, HERE, 200, "asked 2\n" },
	{ "HEAD", "/metrics", HERE, NULL, HERE, 200, "" },
	{ "GET", "/metrics?x=1", HERE, NULL, HERE, 200, "asked 4\n" },
	{ "GET", "/", HERE, NULL, HERE, 404, "ropewalkd has /metrics here, and nothing else\n" },
	{ "POST", "/metrics", HERE, NULL, HERE, 405, "/metrics is read by GET\n" },
	{ "GET", "/metrics", "evil.example", NULL, HERE, 403,
		"this is for programs of this machine, at http://100.100.100.100\n" },
	{ "GET", "/metrics", HERE, "Origin: http://evil.example\r\n", HERE, 403,
		"this is for programs of this machine, at http://100.100.100.100\n" },
	{ "GET", "/metrics", HERE, NULL, "127.0.0.1", -1, "" }, /* it listens nowhere else */
};

/* Whoever of the machine opens connections and says nothing does not keep who asks out. */
static void check_crowd(struct loop *l)
{
	enum { CROWD = 40 };
	struct endpoint at = { .port = PORT };
	struct sockaddr_storage ss;
	int fd[CROWD];
	assert_true(addr_parse(HERE, &at.ip));
	socklen_t len = endpoint_to_sockaddr(&at, false, &ss);
	for (size_t i = 0; i < CROWD; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&ss, len), 0);
	}
	assert_int_equal(ask(l, &rows[0]).status, 200);
	for (size_t i = 0; i < CROWD; i++)
		close(fd[i]);
}

static void test_answers(void **state)
{
	struct loop *l = loop_new();
	int asked = 0;
	(void)state;
	assert_int_equal(system("ip link set lo up && ip addr add 100.100.100.100/32 dev lo"), 0);
	struct service_web *w =
		service_web_open(l, &(struct service_web_ops) { .metrics = say_metrics, .arg = &asked });
	assert_non_null(w);
	assert_true(ask(l, &rows[0]).status < 0); /* the node is down */
	service_web_apply(w, true, PORT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = ask(l, &rows[i]);
		if (rows[i].status < 0 ? a.status >= 0
				       : a.status != rows[i].status || strcmp(a.body, rows[i].body) != 0)
			fail_msg("row %zu: %d %s", i, a.status, a.body);
	}
	check_crowd(l);
	service_web_apply(w, false, 0);
	assert_true(ask(l, &rows[0]).status < 0);
	service_web_close(w);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers) };
	if (!own_ns(CLONE_NEWNET)) {
		fprintf(stderr, "no namespace can be had here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
