/* LocalAPI and other users of the machine: who holds all its places, who may only look, who has the socket. */
#include "mesh/node/local/local_api.h"
#include "mesh/node/queries.h"
#include "mesh/node/test/local_place.h"
#include "mesh/os/sock.h"
#include "mesh/os/tied.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { MANY = 400 };

/* Another user's process: takes all the connections it can get, half of them to watch, and holds them. */
static void hold_all(const char *sock, int told)
{
	static const char watch[] = "GET " API "watch-ipn-bus HTTP/1.1\r\nHost: " OUR_HOST "\r\n\r\n";
	struct errbuf eb;
	if (setgid(65534) != 0 || setuid(65534) != 0)
		_exit(1);
	for (int i = 0; i < MANY; i++) {
		int fd = sock_unix_connect(sock, &eb);
		if (fd < 0)
			i--; /* the queue is full: the daemon has to take some first */
		else if (i % 2 == 0 && write(fd, watch, sizeof(watch) - 1) < 0)
			continue; /* refused already */
	}
	(void)!write(told, "x", 1);
	pause();
}

static void over(void *arg, int events)
{
	(void)events;
	loop_fd_set(*(struct loop_fd **)arg, 0);
	*(struct loop_fd **)arg = NULL;
}

/* Whoever may not change things cannot shut out who may. */
static void test_crowd(void **state)
{
	struct local_place p;
	struct local_answer a;
	int told[2];
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: it takes root to be two users\n");
		skip();
	}
	local_place_make(&p);
	assert_int_equal(chmod(p.dir, 0755), 0);
	assert_int_equal(pipe(told), 0);
	pid_t crowd = fork_tied();
	if (crowd == 0)
		hold_all(p.sock, told[1]);
	struct loop_fd *watch = loop_fd_new(p.n->loop, told[0], over, &watch), *kept = watch;
	loop_fd_set(watch, LOOP_READ);
	while (watch)
		loop_run_once(p.n->loop);
	loop_fd_free(kept);
	local_ask(&p, &(struct local_question) { .method = "GET", .target = API "status?peers=false" }, &a);
	assert_int_equal(a.status, 200);
	struct local_question q = { .method = "GET", .target = API "watch-ipn-bus" };
	struct http_client *w = local_begin(&p, &q, &a, true);
	while (!a.len && !a.over)
		loop_run_once(p.n->loop);
	assert_non_null(strstr(a.body, "\"State\":2"));
	http_client_cancel(w);
	kill(crowd, SIGKILL);
	waitpid(crowd, NULL, 0);
	close(told[0]);
	close(told[1]);
	local_place_end(&p);
}

/* The status line of one request, by another user's process. */
static bool answered_with(const char *sock, const char *request, const char *status)
{
	char text[512] = "", head[64];
	struct errbuf eb;
	int fd = sock_unix_connect(sock, &eb), flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (fd < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
		return false;
	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: " OUR_HOST "\r\nContent-Length: 0\r\n\r\n",
		request);
	bool ok = write(fd, text, strlen(text)) > 0 && read(fd, text, sizeof(text) - 1) > 12;
	snprintf(head, sizeof(head), "HTTP/1.1 %s", status);
	close(fd);
	return ok && strncmp(text, head, strlen(head)) == 0;
}

/* Which of the paths change something, as somebody who may only look finds out. */
static void try_all(const char *sock, int told)
{
	static const struct {
		const char *request, *status;
	} rows[] = {
		{ "PATCH " API "prefs", "403" },
		{ "POST " API "start", "403" },
		{ "POST " API "login-interactive", "403" },
		{ "POST " API "logout", "403" },
		{ "PUT " API "profiles/", "403" },
		{ "POST " API "profiles/login", "403" },
		{ "GET " API "usermetrics", "200" },
		{ "POST " API "dns-flush", "403" },
		{ "POST " API "dns-log?on=true", "403" },
		{ "GET " API "dns-log", "403" },
		{ "GET " API "dns-top", "403" },
		{ "GET " API "status", "200" },
		{ "GET " API "prefs", "200" },
		{ "POST " API "check-prefs", "200" },
		{ "GET " API "netcheck", "503" },
		{ "GET " API "dns-config", "200" },
		{ "GET " API "profiles/current", "200" },
		{ "POST " API "ping?ip=100.64.0.9", "404" },
	};
	uint8_t wrong = setgid(65534) != 0 || setuid(65534) != 0 ? 255 : 0;
	for (size_t i = 0; !wrong && i < ARRAY_LEN(rows); i++)
		if (!answered_with(sock, rows[i].request, rows[i].status))
			wrong = (uint8_t)(i + 1);
	_exit(write(told, &wrong, 1) == 1 ? 0 : 1);
}

static void test_rights(void **state)
{
	struct local_place p;
	uint8_t wrong = 255;
	int told[2];
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: it takes root to be two users\n");
		skip();
	}
	local_place_make(&p);
	assert_int_equal(chmod(p.dir, 0755), 0);
	assert_int_equal(pipe(told), 0);
	pid_t other = fork_tied();
	if (other == 0)
		try_all(p.sock, told[1]);
	struct loop_fd *watch = loop_fd_new(p.n->loop, told[0], over, &watch), *kept = watch;
	loop_fd_set(watch, LOOP_READ);
	while (watch)
		loop_run_once(p.n->loop);
	loop_fd_free(kept);
	assert_int_equal(read(told[0], &wrong, 1), 1);
	if (wrong)
		fail_msg("row %u", wrong - 1u);
	waitpid(other, NULL, 0);
	close(told[0]);
	close(told[1]);
	local_place_end(&p);
}

static void test_socket_in_use(void **state)
{
	struct local_place p;
	struct errbuf eb = { 0 };
	(void)state;
	local_place_make(&p);
	struct local_node_ops ops = queries_ops(p.n);
	assert_null(local_api_open(p.n->loop, p.sock, &ops, &eb));
	assert_non_null(strstr(eb.text, "--socket"));
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_socket_in_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
