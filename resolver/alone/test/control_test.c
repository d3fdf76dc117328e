/* The words of the command line against a resolver that runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/os/sock.h"
#include "resolver/alone/test/program.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS = 8 };
static const char conf[] =
	"listen: 127.0.0.1:0\n"
	"rate-limit: 100000\n"
	"authority: [ home.example ]\n"
	"routes: { dead.example: [ 127.0.0.1:1 ], 'q\\\"r.example': [ 'https://127.0.0.1:1/a\"b\\c' ] }\n"
	"records:\n  - { name: nas.home.example, value: 192.168.1.5 }\n"
	"blocking:\n  pause: 7m\n  lists:\n    - { name: ours, names: [ ads.example ] }\n";

struct row {
	const char *words[WORDS];
	int code;
	const char *has; /* NULL: nothing is said */
};

static void rows_check(const struct program *p, const struct row *rows, size_t n)
{
	char out[16384];
	for (size_t i = 0; i < n; i++) {
		int code = program_tell(p, out, sizeof(out), rows[i].words);
		bool said = rows[i].has ? strstr(out, rows[i].has) != NULL : !*out;
		if (code != rows[i].code || !said)
			fail_msg("row %zu (%s): %d, %s", i, rows[i].words[0], code, out);
	}
}

static void test_words(void **state)
{
	static const struct row rows[] = {
		{ { "top" }, 1, "not written down: `ropewalk-resolver log on`" },
		{ { "log" }, 1, "not written down" },
		{ { "log", "maybe" }, 2, "takes on, off or nothing" },
		{ { "log", "on" }, 0, "written down, in memory" },
		{ { "query", "nas.home.example" }, 0,
			"ms\nNOERROR\nnas.home.example.\t5\tIN\tA\t192.168.1.5\n" },
		{ { "query", "none.home.example", "TXT" }, 0, "From: zone, in " },
		{ { "query", "ads.example" }, 0, "From: block" },
		{ { "query", "ads.example", "--json" }, 0, "{\"Source\":\"block\",\"Route\":\"\"," },
		{ { "query", "x.dead.example" }, 0,
			"Route: dead.example\nReason: network error: no upstream can be reached\nSERVFAIL" },
		{ { "query" }, 2, "needs a name" },
		{ { "top" }, 0, "Names blocked:\n       2  ads.example\nWho asked:\n       5  127.0.0.1\n" },
		{ { "top", "--json" }, 0, "\"Blocked\":[{\"What\":\"ads.example\",\"N\":2}]" },
		{ { "log" }, 0, "127.0.0.1  none.home.example TXT  NXDOMAIN, zone, " },
		{ { "log", "--json" }, 0,
			"\"Name\":\"ads.example\",\"Type\":\"A\",\"RCode\":\"NOERROR\",\"Source\":"
			"\"block\"" },
		{ { "stats" }, 0,
			"blocked                         2   40.0 %  Questions for names that are "
			"blocked.\n" },
		{ { "query", "nas.home.example", "AAA" }, 1, "\"AAA\" is no type of record: A, AAAA, MX" },
		{ { "query", "a..b" }, 1, "\"a..b\" is not a domain name" },
		{ { "stats", "--json" }, 0, "\"queries\":5," },
		{ { "servers" }, 0, "\nEach client: 100000 questions a second, 0 refused so far\n" },
		{ { "servers" }, 0, "dead.example (preferred):\n  - 127.0.0.1:1 " },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocked_total 2\n" },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocking_names 1\n" },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocking_lists_missing 0\n" },
		{ { "metrics" }, 0,
			"ropewalk_resolver_upstream_well{route=\"dead.example\",server=\"127.0.0.1:1\"} " },
		{ { "metrics" }, 0,
			"ropewalk_resolver_upstream_rtt_seconds{route=\"q\\\\\\\"r.example\","
			"server=\"https://127.0.0.1:1/a\\\"b\\\\c\"} " },
		{ { "pause" }, 0, "nothing is blocked for 420 s" },
		{ { "query", "ads.example" }, 0, "SERVFAIL" },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocking_paused 1\n" },
		{ { "pause", "90s" }, 0, "nothing is blocked for 90 s" },
		{ { "pause", "off" }, 0, "names are blocked" },
		{ { "pause", "2d" }, 1, "a pause lasts up to 24h" },
		{ { "pause", "1m", "2m" }, 2, "pause takes [TIME|off]" },
		{ { "query", "ads.example" }, 0, "From: block" },
		{ { "flush" }, 0, "answers forgotten" },
		{ { "flush", "dead.example", "--below", "--json" }, 0, "{\"Forgotten\":" },
		{ { "flush", "--below" }, 2, "needs a name" },
		{ { "flush", "a..b" }, 1, "not a domain name" },
		{ { "log", "off" }, 0, "what was is forgotten" },
		{ { "log" }, 1, "not written down" },
		{ { "deny", "x.example" }, 1, "nothing can be kept: the configuration has no \"state\"" },
		{ { "allow" }, 2, "allow needs a name" },
		{ { "--completion", "bash" }, 0, "convert" },
		{ { "pause", "--help" }, 0, "TIME is as 10m, up to 24h" },
		{ { "convert" }, 2, "convert needs files" },
		{ { "nonsense" }, 2, "unknown verb \"nonsense\"; --help lists them" },
		{ { "stat" }, 2, "unknown verb \"stat\"; did you mean \"stats\"?" },
		{ { "version" }, 0, "ropewalk-resolver " RW_VERSION },
		{ { "-V" }, 0, "ropewalk-resolver " RW_VERSION },
		{ { "help" }, 0, "Verbs:\n  stats " },
		{ { "help", "flush" }, 0, "  --below                   the names under NAME as well\n" },
	};
	struct program p;
	(void)state;
	program_start(&p, conf);
	rows_check(&p, rows, ARRAY_LEN(rows));
	program_stop(&p);
}

static void file_write(const struct program *p, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", p->folder, name);
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static void test_reload(void **state)
{
	static const struct row wrong[] = { { { "reload" }, 1, "conf.yaml:1:1: unknown key \"listne\"" },
		{ { "query", "nas.home.example" }, 0, "192.168.1.5" } };
	static const struct row right[] = { { { "reload" }, 0, "read again" },
		{ { "query", "nas.home.example" }, 0, "192.168.1.6" } };
	struct program p;
	(void)state;
	program_start(&p, conf);
	file_write(&p, "conf.yaml", "listne: 127.0.0.1\n");
	rows_check(&p, wrong, ARRAY_LEN(wrong));
	file_write(&p, "conf.yaml",
		"listen: 127.0.0.1:0\nrecords: [ { name: nas.home.example, value: 192.168.1.6 } ]\n");
	rows_check(&p, right, ARRAY_LEN(right));
	program_stop(&p);
}

/* Lists are read on a thread: after a reload the old ones serve a little longer. */
static void wait_lists(const struct program *p, const char *name, const char *has)
{
	const char *const words[] = { "blocked", name, NULL };
	char out[4096] = "";
	for (int i = 0; i < 1000 && !strstr(out, has); i++) {
		(void)program_tell(p, out, sizeof(out), words);
		usleep(10000);
	}
	if (!strstr(out, has))
		fail_msg("%s", out);
}

/* Which list and which line, of the one that runs and of a file; for whom, and not while there is a pause. */
static void test_blocked(void **state)
{
	static const struct row rows[] = {
		{ { "blocked", "Games.Test" }, 0, "/more.txt:2: games.test\nGames.Test is blocked\n" },
		{ { "blocked", "a.games.test" }, 1, "a.games.test is not blocked: no list has it\n" },
		{ { "blocked", "a.ads.test" }, 0,
			"blocked by the list ours, *.ads.test\na.ads.test is blocked\n" },
		{ { "blocked", "good.ads.test" }, 1,
			"allowed by the list fine, good.ads.test\ngood.ads.test is not blocked\n" },
		{ { "blocked", "a.ads.test", "--client", "192.0.2.7" }, 1,
			"a.ads.test is not blocked for 192.0.2.7, of the group kids: no list has it\n" },
		{ { "blocked", "games.test", "--client", "192.0.2.7" }, 0,
			"games.test is blocked for 192.0.2.7, of the group kids\n" },
		{ { "blocked", "games.test", "--json" }, 0,
			"{\"On\":true,\"Blocked\":true,\"Group\":\"\",\"Lines\":[\"blocked by the list "
			"more, " },
		{ { "blocked", "a..b" }, 1, "\"a..b\" is not a domain name" },
		{ { "blocked", "." }, 1, "\".\" is not a domain name" },
		{ { "blocked", "a.test", "--client", "kid" }, 1, "a client is an address, not \"kid\"" },
		{ { "blocked" }, 2, "blocked needs a name" },
		{ { "blocked", "a.test", "b.test" }, 2, "blocked takes NAME" },
		{ { "pause" }, 0, "nothing is blocked" },
		{ { "blocked", "games.test" }, 1, "blocked by the list more (not now), " },
	};
	struct program p;
	char conf_path[128], text[1024], out[4096];
	(void)state;
	program_start(&p, conf);
	file_write(&p, "more.txt", "# games\n0.0.0.0 games.test\n");
	snprintf(text, sizeof(text),
		"listen: 127.0.0.1:0\nblocking:\n  lists:\n    - { name: ours, names: [ \"*.ads.test\" ] }\n"
		"    - { name: more, file: %s/more.txt }\n    - { name: fine, allow: true, names: [ "
		"good.ads.test ] }\n"
		"  groups: [ { name: kids, clients: [ 192.0.2.0/24 ], lists: [ more ] } ]\n",
		p.folder);
	file_write(&p, "conf.yaml", text);
	assert_int_equal(program_tell(&p, out, sizeof(out), (const char *const[]) { "reload", NULL }), 0);
	wait_lists(&p, "games.test", "games.test is blocked");
	rows_check(&p, rows, ARRAY_LEN(rows));
	/* nobody is asked: no pause there */
	snprintf(conf_path, sizeof(conf_path), "%s/conf.yaml", p.folder);
	const struct row of_file[] = {
		{ { "-c", conf_path, "blocked", "games.test" }, 0,
			"/more.txt:2: games.test\ngames.test is blocked\n" },
		{ { "-c", conf_path, "blocked", "games.test", "--json" }, 0, "\"Blocked\":true" },
		{ { "-c", conf_path, "blocked", "good.ads.test" }, 1, "good.ads.test is not blocked\n" },
		{ { "-c", conf_path, "blocked", "a..b" }, 1, "not a domain name" },
	};
	rows_check(&p, of_file, ARRAY_LEN(of_file));
	program_stop(&p);
	assert_int_equal(
		program_tell(&p, out, sizeof(out), (const char *const[]) { "blocked", "a.test", NULL }), 1);
	assert_non_null(strstr(out, "no ropewalk-resolver answers at "));
}

/* The log is nobody else's business, and the socket goes with the program. */
static void test_socket(void **state)
{
	struct program p;
	struct stat st;
	char path[128], out[1024];
	(void)state;
	program_start(&p, conf);
	snprintf(path, sizeof(path), "%s/socket", p.folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	program_stop(&p);
	assert_int_equal(program_tell(&p, out, sizeof(out), (const char *const[]) { "stats", NULL }), 1);
	assert_non_null(strstr(out, "no ropewalk-resolver answers at "));
}

#define CLOSE "Host: x\r\nConnection: close\r\n\r\n"

/* Requests as the program itself does not send them. */
static void test_raw(void **state)
{
	static const struct {
		const char *request, *answer;
	} rows[] = {
		{ "POST /password HTTP/1.1\r\n" CLOSE, "HTTP/1.1 409 " },
		{ "GET /blocked HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "POST /blocked?name=a.test HTTP/1.1\r\n" CLOSE, "HTTP/1.1 405 " },
		{ "GET /blocked?name=a%00b.test HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "GET /nothing HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404 " },
		{ "GET /log?after=x HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "GET /log?after=0000000000000000000000000 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "GET /query?name=a.test&type=AAAAAAAAAAAAAAAA HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "POST /flush?below=yes HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "POST /flush?below=%74%72%75%65%00 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
		{ "POST /flush?name=a%00.test HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 " },
	};
	char at[128];
	struct program p;
	(void)state;
	program_start(&p, "listen: 127.0.0.1:0\nstate: %s/state\n");
	snprintf(at, sizeof(at), "%s/socket", p.folder);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char answer[4096];
		size_t len = 0;
		int fd = sock_unix_connect(at, NULL);
		assert_true(fd >= 0);
		assert_int_equal(
			send(fd, rows[i].request, strlen(rows[i].request), 0), strlen(rows[i].request));
		struct pollfd p1 = { .fd = fd, .events = POLLIN };
		for (ssize_t n = 1; n > 0 && len<sizeof(answer) - 1; len += n> 0 ? (size_t)n : 0) {
			assert_int_equal(poll(&p1, 1, 30000), 1);
			n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
		}
		close(fd);
		answer[len] = 0;
		if (strncmp(answer, rows[i].answer, strlen(rows[i].answer)) != 0)
			fail_msg("row %zu: %s", i, answer);
	}
	program_stop(&p);
}

/* --check reads the certificates too. */
static void test_check(void **state)
{
	struct program p;
	char path[128], out[1024];
	(void)state;
	program_start(&p, conf);
	snprintf(path, sizeof(path), "%s/conf.yaml", p.folder);
	const char *const words[] = { "-c", path, "--check", NULL };
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 0);
	assert_non_null(strstr(out, "configuration is right"));
	file_write(&p, "conf.yaml",
		"listen: 127.0.0.1:0\nsecure: { tls: 127.0.0.1:0, certificate: /nonexistent.pem, key: "
		"/nonexistent.key }\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "read certificate /nonexistent.pem"));
	file_write(&p, "conf.yaml", "listen: 127.0.0.1:0\nupstream-authorities: /nonexistent.pem\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "read the authorities in /nonexistent.pem"));
	file_write(&p, "conf.yaml",
		"listen: 127.0.0.1:0\nupstream-authorities: /nonexistent.pem\n"
		"blocking: { lists: [ { name: ads, file: /nonexistent.ads } ] }\n"
		"names-from: [ { hosts: /nonexistent.hosts } ]\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "names of machines: open /nonexistent.hosts: No such file"));
	assert_non_null(strstr(out, "read the authorities in /nonexistent.pem"));
	assert_non_null(strstr(out, "/nonexistent.ads"));
	/* It may come: who serves begins without it, and says the same. */
	file_write(&p, "conf.yaml", "listen: 127.0.0.1:0\nnames-from: [ { leases: /nonexistent.leases } ]\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 0);
	assert_non_null(strstr(out, "names of machines: open /nonexistent.leases: No such file"));
	assert_non_null(strstr(out, "configuration is right"));
	/* All at once. */
	file_write(&p, "conf.yaml", "listen: here\nttl: soon\nrecords: [ { name: a.b, value: x } ]\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "conf.yaml:1:9: \"here\""));
	assert_non_null(strstr(out, "\nropewalk-resolver: "));
	assert_non_null(strstr(out, "conf.yaml:2:6: ttl"));
	assert_non_null(strstr(out, "conf.yaml:3:12: \"x\""));
	program_stop(&p);
}

/* What cannot all be written, as a configuration onto a full disk, is no success. */
static void test_full_disk(void **state)
{
	struct program p;
	char path[128], out[1024];
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	(void)state;
	assert_true(full >= 0);
	program_start(&p, conf);
	file_write(&p, "hosts.conf", "address=/a.example/192.0.2.1\n");
	snprintf(path, sizeof(path), "%s/hosts.conf", p.folder);
	const char *const convert[] = { "convert", path, "--from", "dnsmasq", NULL };
	const char *const *const rows[] = { convert, (const char *const[]) { "--version", NULL },
		(const char *const[]) { "help", "stats", NULL }, (const char *const[]) { "metrics", NULL },
		(const char *const[]) { "stats", "--json", NULL } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int code = program_tell_to(&p, full, out, sizeof(out), rows[i]);
		if (code != 1 || !strstr(out, "what it prints cannot be written"))
			fail_msg("row %zu: %d, %s", i, code, out);
	}
	close(full);
	program_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words), cmocka_unit_test(test_reload),
		cmocka_unit_test(test_blocked), cmocka_unit_test(test_socket), cmocka_unit_test(test_raw),
		cmocka_unit_test(test_check), cmocka_unit_test(test_full_disk) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
