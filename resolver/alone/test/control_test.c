/* The words of the command line against a resolver that runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "resolver/alone/test/program.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS = 6 };
static const char conf[] = "listen: 127.0.0.1:0\n"
			   "authority: [ home.example ]\n"
			   "routes: { dead.example: [ 127.0.0.1:1 ] }\n"
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
		{ { "query", "x.dead.example" }, 0, "Route: dead.example\nSERVFAIL" },
		{ { "query" }, 2, "needs a name" },
		{ { "query", "a..b" }, 1, "not a question that can be asked" },
		{ { "top" }, 0, "Names blocked:\n       2  ads.example\nWho asked:\n       5  127.0.0.1\n" },
		{ { "top", "--json" }, 0, "\"Blocked\":[{\"What\":\"ads.example\",\"N\":2}]" },
		{ { "log" }, 0, "127.0.0.1  none.home.example TXT  NXDOMAIN, zone, " },
		{ { "log", "--json" }, 0,
			"\"Name\":\"ads.example\",\"Type\":\"A\",\"RCode\":\"NOERROR\",\"Source\":"
			"\"block\"" },
		{ { "stats" }, 0, "blocked                         2\n" },
		{ { "stats", "--json" }, 0, "\"queries\":5," },
		{ { "servers" }, 0, "dead.example (preferred):\n  - 127.0.0.1:1 " },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocked_total 2\n" },
		{ { "metrics" }, 0, "\nropewalk_resolver_blocking_names 1\n" },
		{ { "metrics" }, 0,
			"ropewalk_resolver_upstream_well{route=\"dead.example\",server=\"127.0.0.1:1\"} " },
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
		{ { "nonsense" }, 2, "\"nonsense\" is not expected here" },
	};
	struct program p;
	(void)state;
	program_start(&p, conf);
	rows_check(&p, rows, ARRAY_LEN(rows));
	program_stop(&p);
}

static void conf_write(const struct program *p, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/conf.yaml", p->folder);
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
	conf_write(&p, "listne: 127.0.0.1\n");
	rows_check(&p, wrong, ARRAY_LEN(wrong));
	conf_write(&p, "listen: 127.0.0.1:0\nrecords: [ { name: nas.home.example, value: 192.168.1.6 } ]\n");
	rows_check(&p, right, ARRAY_LEN(right));
	program_stop(&p);
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
	conf_write(&p, "listen: 127.0.0.1:0\nsecure: { tls: 127.0.0.1:0, certificate: /nonexistent.pem, key: "
		       "/nonexistent.key }\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "read certificate /nonexistent.pem"));
	conf_write(&p, "listen: 127.0.0.1:0\nupstream-authorities: /nonexistent.pem\n");
	assert_int_equal(program_tell(&p, out, sizeof(out), words), 1);
	assert_non_null(strstr(out, "read the authorities in /nonexistent.pem"));
	program_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words), cmocka_unit_test(test_reload),
		cmocka_unit_test(test_socket), cmocka_unit_test(test_check) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
