/* LocalAPI and other users of the machine: who holds all its places, who may call what, who has the socket. */
#include "mesh/node/host/dns_facts.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/queries.h"
#include "mesh/node/test/local_place.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/os/tied.h"
#include <fcntl.h>
#include <sched.h>
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

/* --- every route, for each kind of caller --- */

enum caller {
	PAGE,
	OTHER,
	OPERATOR,
	FORMER,
	CALLERS
}; /* FORMER: was the operator when the connection was made */

/* What any user of the machine may call. A route that is not here takes a right, and a new one of these has to be put
 * down here as well. */
static const char *const open_to_all[] = { "GET status", "GET prefs", "GET suggest-exit-node",
	"POST check-prefs", "GET watch-ipn-bus", "POST ping", "GET whois", "GET netcheck", "POST bugreport",
	"POST upload-client-metrics", "GET usermetrics", "GET metrics", "GET derpmap",
	"POST debug-derp-region", "GET debug-peer-endpoint-changes", "GET dns-query", "GET dns-osconfig",
	"GET dns-config", "GET dns-servers", "GET dns-blocking", "GET profiles/", "GET profiles/current",
	"GET file-targets", "GET serve-config", "GET tka/status", "GET check-ip-forwarding",
	"GET check-udp-gro-forwarding" };

static bool is_open_to_all(const struct local_api_route *r)
{
	char name[128];
	snprintf(name, sizeof(name), "%s %s", r->method, r->path + strlen(API));
	for (size_t i = 0; i < ARRAY_LEN(open_to_all); i++)
		if (!strcmp(open_to_all[i], name))
			return true;
	return false;
}

/* As one of those asks; 0: no answer. */
static int status_for(int fd, enum caller who, const struct local_api_route *r)
{
	char text[512] = "";
	snprintf(text, sizeof(text), "%s %s%s HTTP/1.1\r\nHost: " OUR_HOST "\r\n%sContent-Length: 0\r\n\r\n",
		r->method, r->path, r->streamed ? "a" : "", who == PAGE ? "Origin: http://x\r\n" : "");
	if (write(fd, text, strlen(text)) < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return !strncmp(text, "HTTP/1.1 ", 9) ? atoi(text + 9) : 0;
}

static int connect_to(const char *sock)
{
	struct errbuf eb;
	int fd = sock_unix_connect(sock, &eb), flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	return fd >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? fd : -1;
}

static bool is_right(enum caller who, const struct local_api_route *r, int status)
{
	const bool may = who == OPERATOR || (who != PAGE && is_open_to_all(r));
	return status && (status == 403) != may;
}

/* Each on a connection of its own, all of which are made before the first asks; a byte either way, and then a byte for
 * each route: 1 = as it should be. */
static void try_all(const char *sock, enum caller who, int told, int go)
{
	int fd[64] = { 0 };
	struct local_api_route r;
	uint8_t said = who != PAGE && (setgid(65534) != 0 || setuid(65534) != 0) ? 0 : 1;
	for (size_t i = 0; local_api_route(i, &r); i++)
		said = said && i < ARRAY_LEN(fd) && (fd[i] = connect_to(sock)) >= 0;
	if (write(told, &said, 1) != 1 || !said || read(go, &said, 1) != 1)
		_exit(1);
	for (size_t i = 0; local_api_route(i, &r); i++) {
		uint8_t right = is_right(who, &r, status_for(fd[i], who, &r));
		if (write(told, &right, 1) != 1)
			_exit(1);
		close(fd[i]);
	}
	_exit(0);
}

/* The next byte of a caller, while the node serves. */
static uint8_t hear(struct local_place *p, int told)
{
	uint8_t said = 0;
	struct loop_fd *watch = loop_fd_new(p->n->loop, told, over, &watch), *kept = watch;
	loop_fd_set(watch, LOOP_READ);
	while (watch)
		loop_run_once(p->n->loop);
	loop_fd_free(kept);
	assert_int_equal(read(told, &said, 1), 1);
	return said;
}

static void name_operator(struct local_place *p, const char *uid)
{
	struct state_prefs prefs = p->n->state.prefs;
	snprintf(prefs.operator_user, sizeof(prefs.operator_user), "%s", uid);
	node_prefs_set(p->n, &prefs);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void try_as(enum caller who)
{
	struct local_place p;
	char resolv[128];
	struct local_api_route r;
	int told[2], go[2];
	local_place_make(&p);
	snprintf(resolv, sizeof(resolv), "%s/resolv.conf", p.dir);
	const struct dns_places places = { .resolv_conf = resolv,
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	p.n->os_dns = os_dns_open(p.n->loop, &places, nothing, NULL);
	assert_non_null(p.n->os_dns);
	assert_int_equal(chmod(p.dir, 0755), 0);
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(go), 0);
	if (who == OPERATOR || who == FORMER)
		name_operator(&p, "65534");
	pid_t other = fork_tied();
	if (other == 0)
		try_all(p.sock, who, told[1], go[0]);
	assert_int_equal(hear(&p, told[0]), 1);
	if (who == FORMER)
		name_operator(&p, "");
	assert_int_equal(write(go[1], "x", 1), 1);
	for (size_t i = 0; local_api_route(i, &r); i++) {
		if (!hear(&p, told[0]))
			fail_msg("%s %s is answered otherwise to caller %d", r.method, r.path, who);
		if (who == OPERATOR) /* whatever that route did to it */
			name_operator(&p, "65534");
	}
	waitpid(other, NULL, 0);
	for (int i = 0; i < 2; i++) {
		close(told[i]);
		close(go[i]);
	}
	os_dns_close(p.n->os_dns);
	local_place_end(&p);
}

/* Every route of the program, for a page in a browser, another user, the operator, and one who was that a moment ago. */
static void test_rights(void **state)
{
	struct local_api_route r;
	size_t n = 0, open = 0;
	(void)state;
	for (; local_api_route(n, &r); n++) {
		open += is_open_to_all(&r);
		if (is_open_to_all(&r) == r.changes)
			fail_msg("%s %s: the table of this test says otherwise who may call it", r.method,
				r.path);
	}
	assert_int_equal(open, ARRAY_LEN(open_to_all));
	if (geteuid() != 0) {
		print_message("skipped: it takes root to be two users\n");
		skip();
	}
	for (enum caller who = PAGE; who < CALLERS; who++)
		try_as(who);
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

static void set_sysctl(const char *path, const char *value)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(value, f);
	assert_int_equal(fclose(f), 0);
}

/* What official programs ask: before they offer networks, and of nobody in particular. Last: the test stays in a network of
 * its own. */
static void test_asked_in_passing(void **state)
{
	static const char v4[] = "/proc/sys/net/ipv4/ip_forward",
			  v6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	static const struct {
		const char *v4, *v6, *says;
	} rows[] = {
		{ "0", "0", "does not forward packets: sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all." },
		{ "1", "0", "does not forward IPv6: sysctl -w net.ipv6.conf.all.forwarding=1" },
		{ "0", "1", "does not forward IPv4: sysctl -w net.ipv4.ip_forward=1," },
		{ "1", "1", "{\"Warning\":\"\"}" },
	};
	static const struct local_question forwards = { .method = "GET",
		.target = API "check-ip-forwarding" };
	static const struct local_question joins = { .method = "GET",
		.target = API "check-udp-gro-forwarding" };
	static const struct local_question tells = {
		.method = "POST", .target = API "upload-client-metrics", .body = "[]"
	};
	struct local_place p;
	struct local_answer a;
	(void)state;
	if (!own_ns(CLONE_NEWNET))
		skip();
	local_place_make(&p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		set_sysctl(v4, rows[i].v4);
		set_sysctl(v6, rows[i].v6);
		local_ask(&p, &forwards, &a);
		assert_int_equal(a.status, 200);
		if (!strstr(a.body, rows[i].says))
			fail_msg("row %zu: %s", i, a.body);
	}
	local_ask(&p, &joins, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "{\"Warning\":\"\"}");
	local_ask(&p, &tells, &a);
	assert_int_equal(a.status, 204);
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_socket_in_use),
		cmocka_unit_test(test_asked_in_passing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
