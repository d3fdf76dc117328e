/* join: what of an invitation is asked of the daemon, and what is refused before anything is. */
#include "mesh/base/blake2s.h"
#include "mesh/cli/test/line.h"
#include "mesh/os/file.h"
#include "mesh/proto/invite.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define API "/localapi/v0/"
#define SEVENS "0707070707070707070707070707070707070707070707070707070707070707"

static struct invite plain(void)
{
	struct invite v = { .server = "https://hq.test", .auth_key = "k1" };
	memset(v.key.b, 7, KEY_LEN);
	return v;
}

static char *line_of(const struct invite *v)
{
	struct buf b = { 0 };
	assert_true(invite_write(v, &b));
	char *line = strdup(buf_cstr(&b));
	buf_free(&b);
	return line;
}

/* Runs "join WORDS"; prefs: what the daemon has now. */
static struct result run_join(const char *prefs, const char *words, char *requests, size_t cap)
{
	const struct fake_route routes[] = { { "GET " API "watch-ipn-bus", 200, "{\"State\":6}\n", true },
		{ "GET " API "prefs", 200, prefs, false }, { "PATCH " API "prefs", 200, "{}", false },
		{ "GET " API "status", 200,
			"{\"BackendState\":\"Running\",\"TailscaleIPs\":[\"100.64.0.7\"],"
			"\"Self\":{\"DNSName\":\"web.rope.test.\"}}",
			false },
		{ "POST " API "start", 204, "", false }, { 0 } };
	char text[4096];
	struct fake_api *f = fake_api_start(routes);
	snprintf(text, sizeof(text), "join %s", words);
	struct result r = run_line(fake_api_socket(f), text);
	snprintf(requests, cap, "%s", fake_api_requests(f));
	fake_api_stop(f);
	return r;
}

#define FRESH "{\"ControlURL\":\"\",\"LoggedOut\":true}"
#define THERE "{\"ControlURL\":\"https://HQ.test:443/\",\"LoggedOut\":false}"
#define ELSEWHERE "{\"ControlURL\":\"https://other.test\",\"LoggedOut\":false}"
#define LOOKS "GET " API "prefs \nGET " API "prefs \n"
#define SETS "PATCH " API "prefs {\"ControlURL\":\"https://hq.test\",\"ServerKey\":\"mkey:" SEVENS "\","
#define TOLD "GET " API "status \n"
#define STARTS "POST " API "start {\"AuthKey\":\"k1\"}\nGET " API "watch-ipn-bus?mask=2 \n"

static void test_asks(void **state)
{
	static const struct {
		const char *prefs, *options, *name, *tags, *requests, *err;
		int code;
	} rows[] = {
		{ FRESH, "", "", "", LOOKS SETS "\"ControlURLSet\":true,\"ServerKeySet\":true}\n" STARTS TOLD,
			"Joining the network of https://hq.test.\nThis machine is web, 100.64.0.7. ",
			CLI_OK },
		{ FRESH, "", "web", "tag:a,tag:b",
			LOOKS SETS "\"Hostname\":\"web\",\"ControlURLSet\":true,\"ServerKeySet\":true,"
				   "\"HostnameSet\":true}\n" STARTS TOLD,
			"Joining the network of https://hq.test as web, with tag:a,tag:b.\n", CLI_OK },
		{ FRESH, " --hostname mine", "web", "",
			LOOKS SETS "\"Hostname\":\"mine\",\"ControlURLSet\":true,\"ServerKeySet\":true,"
				   "\"HostnameSet\":true}\n" STARTS TOLD,
			"https://hq.test as mine.\n", CLI_OK },
		/* one that is there keeps its name */
		{ THERE, "", "web", "", LOOKS SETS "\"ControlURLSet\":true,\"ServerKeySet\":true}\n" STARTS,
			"This machine was in that network already", CLI_OK },
		{ ELSEWHERE, "", "", "", LOOKS, "this machine is in the network of https://other.test",
			CLI_FAILED },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct invite v = plain();
		char words[2048], requests[4096];
		snprintf(v.name, sizeof(v.name), "%s", rows[i].name);
		snprintf(v.tags, sizeof(v.tags), "%s", rows[i].tags);
		char *line = line_of(&v);
		snprintf(words, sizeof(words), "%s%s", line, rows[i].options);
		struct result r = run_join(rows[i].prefs, words, requests, sizeof(requests));
		if (r.code != rows[i].code || strcmp(requests, rows[i].requests) != 0 ||
			!strstr(r.err, rows[i].err))
			fail_msg("row %zu: %d\n%s%s", i, r.code, requests, r.err);
		result_free(&r);
		free(line);
	}
}

/* Broken into words, out of a file: the same line. */
static void test_sources(void **state)
{
	(void)state;
	struct invite v = plain();
	char words[2048], requests[4096], dir[] = "/tmp/rw-join-XXXXXX", path[64];
	char *line = line_of(&v);
	struct result r;
	snprintf(words, sizeof(words), "%.30s %.30s %s", line, line + 30, line + 60);
	r = run_join(FRESH, words, requests, sizeof(requests));
	assert_int_equal(r.code, CLI_OK);
	assert_non_null(strstr(requests, SETS));
	result_free(&r);

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/line", dir);
	assert_int_equal(file_write_atomic(path, 0600, line, strlen(line), NULL), 0);
	snprintf(words, sizeof(words), "file:%s", path);
	r = run_join(FRESH, words, requests, sizeof(requests));
	assert_int_equal(r.code, CLI_OK);
	assert_non_null(strstr(requests, SETS));
	assert_null(strstr(r.err, "warning"));
	result_free(&r);

	/* a secret, whoever wrote it there */
	assert_int_equal(chmod(path, 0644), 0);
	r = run_join(FRESH, words, requests, sizeof(requests));
	assert_int_equal(r.code, CLI_OK);
	assert_non_null(strstr(r.err, "line can be read by every user of this machine"));
	result_free(&r);
	unlink(path);
	rmdir(dir);
	free(line);
}

/* Whoever wrote it does not get a file of this machine sent to a server of his. */
static void test_key_is_no_file(void **state)
{
	(void)state;
	struct invite v = plain();
	char requests[4096];
	strcpy(v.auth_key, "file:/etc/passwd");
	char *line = line_of(&v);
	struct result r = run_join(FRESH, line, requests, sizeof(requests));
	assert_int_equal(r.code, CLI_OK);
	assert_non_null(strstr(requests, "start {\"AuthKey\":\"file:/etc/passwd\"}"));
	result_free(&r);
	free(line);
}

static void test_refused(void **state)
{
	static const struct {
		const char *words, *err;
	} rows[] = {
		{ "https://hq.test", "use ropewalk up --login-server" },
		{ "hskey-auth-a-b", "--auth-key" },
		{ "ropewalk+https://AAAA@hq.test", "format 0" },
		{ "ropewalk+https://AQAA@hq.test", "too short" },
		{ "file:/nowhere/line", "/nowhere/line" },
		{ "", "join" },
	};
	char requests[256];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct result r = run_join(FRESH, rows[i].words, requests, sizeof(requests));
		if (r.code != CLI_USAGE || requests[0] || !strstr(r.err, rows[i].err))
			fail_msg("row %zu: %d %s%s", i, r.code, requests, r.err);
		result_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_key_is_no_file),
		cmocka_unit_test(test_refused),
	};
	return key_setup() && blake2s_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
