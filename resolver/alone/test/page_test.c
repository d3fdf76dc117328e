/* The page as a browser, another site and a stranger ask it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "resolver/alone/test/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 * 1024, HASH_AT_LEAST = 90 };
static const char conf[] = "listen: 127.0.0.1:0\nquery-log: true\nstate: %1$s/state\n"
			   "page: { listen: 127.0.0.1:0, names: [ dns.lan ], metrics: true }\n"
			   "records:\n  - { name: www.example, value: 192.168.1.5 }\n  - { name: "
			   "\"odd<b>.example\", value: 192.168.1.6 }\n"
			   "blocking:\n  lists:\n    - { name: ours, names: [ ads.example ] }\n";

static struct program p;
static char cookie[64], form[80], answer[ANSWER_MAX];

/* The status; the whole answer is in `answer`. headers: whole lines, or "". */
static int ask(const char *method, const char *path, const char *host, const char *headers, const char *body)
{
	struct sockaddr_storage at;
	socklen_t len = endpoint_to_sockaddr(&p.page, false, &at);
	char request[8192];
	size_t got = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
	int n = snprintf(request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: "
		"application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n%s%s%s%s\r\n%s",
		method, path, host, strlen(body), *cookie ? "Cookie: ropewalk-resolver=" : "", cookie,
		*cookie ? "\r\n" : "", headers, body);
	assert_int_equal(send(fd, request, (size_t)n, 0), n);
	for (ssize_t r; (r = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0;)
		got += (size_t)r;
	close(fd);
	answer[got] = 0;
	assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
	return status;
}

static void ask_and_go(const char *path)
{
	struct sockaddr_storage at;
	socklen_t len = endpoint_to_sockaddr(&p.page, false, &at);
	char request[1024];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
	int n = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ropewalk-resolver=%s\r\n\r\n", path, cookie);
	assert_int_equal(send(fd, request, (size_t)n, 0), n);
	close(fd);
}

static int get(const char *path)
{
	return ask("GET", path, "127.0.0.1", "", "");
}

/* With the form's text, as the page of this browser sends it. */
static int post(const char *path, const char *fields)
{
	char body[4096];
	snprintf(body, sizeof(body), "form=%s&%s", form, fields);
	return ask("POST", path, "127.0.0.1", "", body);
}

static bool says(const char *text)
{
	return strstr(answer, text) != NULL;
}

/* Takes what a browser would keep of the answer. */
static void keep(void)
{
	const char *c = strstr(answer, "Set-Cookie: ropewalk-resolver="),
		   *f = strstr(answer, "name=\"form\" value=\"");
	if (c)
		(void)sscanf(c, "Set-Cookie: ropewalk-resolver=%63[^;]", cookie);
	if (f)
		(void)sscanf(f, "name=\"form\" value=\"%79[^\"]", form);
}

static void password_set(const char *password)
{
	char command[512];
	const char *folder = getenv("RW_BIN_DIR");
	snprintf(command, sizeof(command),
		"echo '%s' | %s/ropewalk-resolver --socket %s/socket password >/dev/null", password,
		folder ? folder : "build/asan/bin", p.folder);
	assert_int_equal(system(command), 0);
}

static void log_in(void)
{
	cookie[0] = form[0] = 0;
	assert_int_equal(get("/login"), 200);
	keep();
	assert_int_equal(post("/login", "password=correct+horse"), 303);
	assert_true(says("Location: /\r\n"));
	keep();
	assert_int_equal(get("/"), 200);
	keep();
}

/* Who opens connections and says nothing, or half of something, keeps no browser out. */
static void test_crowd(void **state)
{
	enum { CROWD = 100 };
	struct sockaddr_storage at;
	socklen_t len = endpoint_to_sockaddr(&p.page, false, &at);
	int fd[CROWD];
	(void)state;
	for (size_t i = 0; i < CROWD; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&at, len), 0);
		if (i % 2)
			assert_int_equal(send(fd[i], "GET /", 5, MSG_NOSIGNAL), 5);
	}
	assert_int_equal(get("/style.css"), 200);
	for (size_t i = 0; i < CROWD; i++)
		close(fd[i]);
}

static int setup(void **state)
{
	(void)state;
	cookie[0] = form[0] = 0;
	program_start(&p, conf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	program_stop(&p);
	return 0;
}

static void test_password(void **state)
{
	char path[128], first[64];
	struct stat st;
	(void)state;
	assert_int_equal(get("/"), 303);
	assert_true(says("Location: /login\r\n"));
	assert_int_equal(get("/login"), 200);
	assert_true(says("No password yet"));
	password_set("correct horse");
	snprintf(path, sizeof(path), "%s/state/password", p.folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_size > HASH_AT_LEAST);
	assert_int_equal(get("/login"), 200);
	keep();
	strcpy(first, cookie);
	assert_int_equal(post("/login", "password=wrong+horse"), 303);
	assert_true(says("Location: /login?why=wrong"));
	assert_int_equal(get("/"), 303);
	log_in();
	assert_string_not_equal(first, cookie); /* another than before the login */
	assert_true(says("Blocking is on"));
	password_set("another horse"); /* whoever was in is not any more */
	assert_int_equal(get("/"), 303);
}

static void test_throttled(void **state)
{
	(void)state;
	password_set("correct horse");
	assert_int_equal(get("/login"), 200);
	keep();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(post("/login", "password=wrong+horse"), 303);
		assert_true(says("why=wrong"));
	}
	assert_int_equal(post("/login", "password=correct+horse"), 303);
	assert_true(says("why=wait"));
}

static void test_strangers(void **state)
{
	static const struct {
		const char *method, *path, *host, *headers;
		int status;
	} rows[] = {
		{ "GET", "/login", "127.0.0.1:8053", "", 200 },
		{ "GET", "/login", "[::1]", "", 200 },
		{ "GET", "/login", "[::1]:8053", "", 200 },
		{ "GET", "/login", "localhost:8053", "", 200 },
		{ "GET", "/login", "DNS.lan", "", 200 },
		{ "GET", "/login", "evil.example", "", 421 },
		{ "GET", "/login", "dns.lan.evil.example", "", 421 },
		{ "GET", "/metrics", "evil.example", "", 421 },
		{ "GET", "/login", "", "", 421 },
		{ "GET", "/nonsense", "127.0.0.1", "", 404 },
		{ "POST", "/", "127.0.0.1", "", 405 },
		{ "GET", "/pause", "127.0.0.1", "", 405 },
		{ "POST", "/pause", "127.0.0.1", "", 303 },
		{ "POST", "/login", "127.0.0.1", "", 403 },
	};
	(void)state;
	password_set("correct horse");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int status = ask(rows[i].method, rows[i].path, rows[i].host, rows[i].headers, "");
		if (status != rows[i].status)
			fail_msg("row %zu: %d", i, status);
	}
	log_in();
	char body[256];
	snprintf(body, sizeof(body), "form=%s&for=5m", form);
	assert_int_equal(ask("POST", "/pause", "127.0.0.1", "Origin: http://evil.example\r\n", body), 403);
	assert_int_equal(ask("POST", "/pause", "127.0.0.1", "Origin: null\r\n", body), 403);
	assert_int_equal(ask("POST", "/pause", "127.0.0.1", "Sec-Fetch-Site: cross-site\r\n", body), 403);
	assert_int_equal(ask("POST", "/pause", "127.0.0.1", "", "for=5m"), 403);
	assert_int_equal(get("/"), 200);
	assert_true(says("Blocking is on"));
	assert_int_equal(ask("POST", "/pause", "127.0.0.1", "Origin: http://127.0.0.1\r\n", body), 303);
	assert_true(says("Location: /?done=paused"));
	assert_int_equal(get("/?done=paused"), 200);
	assert_true(says("Nothing is blocked for a while.") &&
		    (says("Nothing is blocked</strong> for 5 min 00 s") || says("for 4 min 59 s")));
	assert_int_equal(post("/pause", ""), 303);
	assert_int_equal(get("/?done=<b>"), 200);
	assert_true(says("Blocking is on") && !says("<b>"));
	assert_true(says("Content-Security-Policy: default-src 'none';") && !says("<script"));
	assert_false(says("Cross-Origin-Opener-Policy")); /* without TLS browsers ignore it, and say so */
	assert_int_equal(post("/logout", ""), 303);
	assert_int_equal(get("/"), 303);
}

static bool name_is_blocked(const char *name)
{
	char out[4096];
	assert_int_equal(
		program_tell(&p, out, sizeof(out), (const char *const[]) { "query", name, NULL }), 0);
	return strstr(out, "From: block") != NULL;
}

/* It is true when the lists are read again: soon, not at once. */
static void wait_blocked(const char *name, bool want)
{
	for (int i = 0; i < 500; i++) {
		if (name_is_blocked(name) == want)
			return;
		usleep(10000);
	}
	fail_msg("%s is%s blocked", name, want ? " not" : "");
}

static void test_names(void **state)
{
	(void)state;
	password_set("correct horse");
	log_in();
	assert_false(name_is_blocked("gone.example"));
	assert_true(name_is_blocked("ads.example"));
	assert_int_equal(post("/deny", "name=Gone.Example&back=/lists"), 303);
	assert_true(says("Location: /lists?done=denied"));
	wait_blocked("gone.example", true);
	assert_int_equal(post("/allow", "name=ads.example&back=http://evil.example/"), 303);
	assert_true(says("Location: /?done=allowed"));
	wait_blocked("ads.example", false);
	assert_int_equal(post("/allow", "name=gone.example&back=/log"), 303); /* off the other list */
	wait_blocked("gone.example", false);
	assert_int_equal(get("/lists"), 200);
	assert_true(
		says("<td class=\"name\">gone.example</td>") && says("<td class=\"name\">ads.example</td>"));
	assert_int_equal(post("/forget", "name=ads.example"), 303);
	wait_blocked("ads.example", true);
	assert_int_equal(post("/deny", "name=two%20words"), 303);
	assert_true(says("done=noname"));
	assert_int_equal(post("/deny", "name=com"), 303);
	assert_true(says("done=noname"));
	assert_int_equal(post("/deny", ""), 303);
	assert_true(says("done=noname"));
}

static void test_questions(void **state)
{
	(void)state;
	password_set("correct horse");
	log_in();
	assert_false(name_is_blocked("odd<b>.example"));
	assert_true(name_is_blocked("ads.example"));
	assert_int_equal(get("/log"), 200);
	assert_true(says("<td class=\"name\">odd&lt;b&gt;.example</td>") && !says("odd<b>"));
	assert_true(says(" class=\"is-blocked\""));
	assert_int_equal(get("/log?blocked=yes"), 200);
	assert_true(says(">ads.example</td>") && !says("odd&lt;b&gt;.example</td>"));
	assert_int_equal(get("/log?q=%3Cb%3E.EX"), 200);
	assert_true(!says(">ads.example</td>") && says("odd&lt;b&gt;.example</td>"));
	assert_int_equal(get("/"), 200);
	assert_true(says("Most blocked") && says("<dd>1 (50&nbsp;%)</dd>"));
	assert_int_equal(post("/log", "on=false"), 303);
	assert_int_equal(get("/log"), 200);
	assert_true(says("<strong>not written down</strong>") && !says("ads.example</td>"));
	assert_int_equal(get("/metrics"), 200);
	assert_true(says("\nropewalk_resolver_blocked_total 1\n"));
}

/* Which list has a name, and which line; for whom. */
static void test_why(void **state)
{
	(void)state;
	password_set("correct horse");
	assert_int_equal(get("/why?name=ads.example"), 303);
	assert_true(says("Location: /login\r\n"));
	log_in();
	assert_int_equal(get("/why"), 200);
	assert_true(says("<h1>Why a name is blocked</h1>") && !says("role=\"alert\"") && !says("<h2>"));
	assert_int_equal(get("/why?name=Ads.Example"), 200);
	assert_true(says("<h2>Ads.Example is blocked</h2>") &&
		    says("<td class=\"name\">blocked by the list ours, ads.example</td>"));
	assert_int_equal(get("/why?name=www.example&client=192.0.2.7"), 200);
	assert_true(says("<h2>www.example is not blocked for 192.0.2.7</h2>") && says("No list has it."));
	assert_int_equal(get("/why?name=%3Cb%3E..x"), 200);
	assert_true(says("&quot;&lt;b&gt;..x&quot; is not a domain name") && !says("<b>"));
	assert_int_equal(get("/why?name=ads.example&client=%3Cb%3E"), 200);
	assert_true(says("a client is an address") && !says("<b>"));
	assert_int_equal(get("/why?name=ads.example&client=%00"), 200); /* not as if there were none */
	assert_true(says("a client is an address"));
	assert_int_equal(post("/deny", "name=gone.example"), 303);
	wait_blocked("gone.example", true);
	assert_int_equal(get("/why?name=gone.example"), 200);
	assert_true(says("blocked by the list denied-here, ") && says("/denied.txt:1: gone.example</td>"));
	assert_int_equal(get("/log"), 200);
	assert_true(says("<a href=\"/why?name=gone.example&amp;client=127.0.0.1\""));
	/* one who goes before the answer comes is forgotten */
	for (int i = 0; i < 20; i++)
		ask_and_go("/why?name=gone.example");
	assert_int_equal(get("/why?name=gone.example"), 200);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_password), ONE(test_throttled), ONE(test_strangers),
		ONE(test_names), ONE(test_questions), ONE(test_why), ONE(test_crowd) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
