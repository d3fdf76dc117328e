/* Exit codes and sentences of the command line, each in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/control/cli/cli.h"
#include "mesh/control/config/config.h"
#include "mesh/control/control.h"
#include "mesh/control/fleet/test/place.h"
#include "mesh/os/sock.h"
#include "mesh/os/tied.h"
#include "mesh/transport/stream.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 12, TEXT_MAX = 8192 };

struct fixture {
	struct place place;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	if (!x)
		return 1;
	place_make(&x->place);
	*state = x;
	return chdir(x->place.dir);
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	place_remove(&x->place);
	free(x);
	return chdir("/");
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What the program says, its standard output too unless that goes to fd (-1: it does not); returns the exit code. */
static int run_to(int fd, const char *as, const char *const *args, char text[static TEXT_MAX])
{
	char name[32], *argv[ARGS_MAX + 1] = { name };
	snprintf(name, sizeof(name), "%s", as);
	int argc = 1, status, out[2];
	for (; args[argc - 1]; argc++)
		argv[argc] = strdup(args[argc - 1]);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid_t pid = fork_tied();
	if (!pid) {
		dup2(fd >= 0 ? fd : out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		int code = control_main(argc, argv);
		fflush(NULL);
		_exit(code);
	}
	close(out[1]);
	size_t len = 0;
	for (ssize_t n; (n = read(out[0], text + len, TEXT_MAX - 1 - len)) > 0; len += (size_t)n)
		;
	text[len] = 0;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (int i = 1; i < argc; i++)
		free(argv[i]);
	return WEXITSTATUS(status);
}

static int run_as(const char *as, const char *const *args, char text[static TEXT_MAX])
{
	return run_to(-1, as, args, text);
}

static int run(const char *const *args, char text[static TEXT_MAX])
{
	return run_as("ropewalk-control", args, text);
}

/* A socket of the unit is named with what starts the unit. */
static void test_not_running(void **state)
{
	char text[512];
	(void)state;
	ask_not_running(CONFIG_SOCKET, text, sizeof(text));
	assert_non_null(strstr(text, "start it with `systemctl start ropewalk-control` (`journalctl -u "
				     "ropewalk-control` says why it is "
				     "not there), or `ropewalk-control serve -c FILE`"));
	ask_not_running("/x", text, sizeof(text));
	assert_non_null(
		strstr(text, "nobody answers on /x): start it with `ropewalk-control serve -c FILE`"));
}

static void test_sentences(void **state)
{
	static const struct {
		const char *args[ARGS_MAX];
		int code;
		const char *text; /* somewhere in the output */
	} rows[] = {
		{ { "--help" }, 0, "preauthkeys create" },
		{ { "users", "create", "--help" }, 0, "NAME" },
		{ { "nodes", "--help" }, 0, "Verbs:\n  nodes list " },
		{ { "help" }, 0, "preauthkeys create" },
		{ { "help", "nodes" }, 0, "Verbs:\n  nodes list " },
		{ { "help", "invite" }, 0, "  --reusable                the key lets several nodes in\n" },
		{ { "help", "preauthkeys", "create" }, 0, "-e, --expiration TIME     how long the key" },
		{ { "help", "nodez" }, 2, "unknown verb \"nodez\"" },
		{ { "nodez", "--help" }, 2, "unknown verb \"nodez\"" },
		{ { "-V" }, 0, "ropewalk-control " RW_VERSION },
		{ { "--man" }, 0, ".SH" },
		{ { "version" }, 0, "ropewalk-control " RW_VERSION },
		{ { NULL }, 2, "preauthkeys create" },
		{ { "user", "list" }, 2, "unknown verb \"user list\"; did you mean \"users list\"?" },
		{ { "users" }, 2, "users what? One of: create, list, role, destroy" },
		{ { "users", "create" }, 2, "users create needs NAME" },
		{ { "users", "create", "a", "b" }, 2, "users create: too many words (\"b\")" },
		{ { "nodes", "approve-routes", "7", "--socket", "none.sock" }, 2,
			"nodes approve-routes needs --routes, all that" },
		{ { "nodes", "approve-routes", "7", "--routes=", "--socket", "none.sock" }, 3,
			"not running" },
		{ { "nodes", "delete", "x", "--socket", "s" }, 2,
			"nodes delete: \"x\" is not a number; the list shows the numbers" },
		{ { "users", "list", "--jsno" }, 2, "unknown option --jsno; did you mean --json?" },
		{ { "users", "list", "--jsno", "--json" }, 2,
			"{\"error\":{\"message\":\"unknown option --jsno" },
		{ { "users", "list", "-c", "none.yaml" }, 1,
			"none.yaml is not there: -c FILE says where the settings are" },
		{ { "users", "list", "--socket", "none.sock" }, 3,
			"the server is not running (nobody answers on none.sock): start it with "
			"`ropewalk-control serve -c FILE`" },
		{ { "users", "list", "-o", "yaml" }, 2, "--output \"yaml\": json is the only format" },
		{ { "version", "-o", "json-line" }, 0, "{\"version\":" },
		{ { "users", "list", "--socket", "none.sock", "--json" }, 3,
			"{\"error\":{\"message\":\"the server is not running" },
		{ { "configtest", "-c", "good.yaml" }, 0, "good.yaml: good" },
		{ { "configtest", "-c", "more.yaml" }, 1,
			"more.yaml asks for what this server has not: derp.urls; take that out, or "
			"accept the "
			"network without it with --lax" },
		{ { "configtest", "--lax", "-c", "more.yaml" }, 0, "more.yaml: good" },
		{ { "configtest", "--json", "-c", "more.yaml" }, 1,
			"{\"error\":{\"message\":\"more.yaml asks for" },
		{ { "configtest", "-c", "cert.yaml" }, 0,
			"c.pem is not for hs.test: clients that come by this name refuse it" },
		{ { "configtest", "-c", "cert.yaml" }, 0, "cert.yaml: good" },
		{ { "configtest", "-c", "nocert.yaml" }, 1, "gone.pem: No such file" },
		{ { "configtest", "-c", "words.yaml" }, 0, "words.yaml: good" },
		{ { "configtest", "-c", "bad.yaml" }, 1, "bad.yaml:1:1: unknown key \"server\"" },
		{ { "configtest", "-c", "several.yaml" }, 1,
			"ropewalk-control: several.yaml:2:14: listen_addr: \"here\" is not an address such "
			"as "
			"0.0.0.0:8080 or :8080\n"
			"ropewalk-control: several.yaml:4:14: dns.magic_dns: \"maybe\" is not true or false\n"
			"ropewalk-control: several.yaml:5:27: dns.nameservers.split: \"#\" is not a domain "
			"name\n"
			"ropewalk-control: several.yaml:5:45: dns.nameservers.split: \"a b\" is not a domain "
			"name\n"
			"ropewalk-control: several.yaml:6:1: unknown key \"prefixs\"; did you mean "
			"\"prefixes\"?\n"
			"ropewalk-control: several.yaml:7:28: derp.server.enabled: must be true or false\n" },
		{ { "configtest", "--json", "-c", "several.yaml" }, 1,
			"{\"error\":{\"message\":\"several.yaml:2:14: listen_addr: \\\"here\\\" is not an "
			"address such "
			"as 0.0.0.0:8080 or :8080\"}}\n" },
		{ { "configtest", "-c", "both.yaml" }, 1,
			"missing.yaml: No such file or directory\nropewalk-control: " },
		{ { "configtest", "-c", "both.yaml" }, 1, "gone.pem: No such file" },
		{ { "serve", "-c", "bad.yaml" }, 78, "bad.yaml:1:1: unknown key \"server\"" },
		{ { "configtest", "-c", "noderp.yaml" }, 1, "missing.yaml" },
		{ { "import", "none.sqlite", "-c", "good.yaml" }, 1, "none.sqlite: No such file" },
		{ { "import", "bad.hujson", "-c", "here.yaml" }, 1, "bad.hujson" },
		{ { "import" }, 2, "import needs FILE" },
		{ { "policy", "check", "good.hujson" }, 0, "good.hujson: good" },
		{ { "policy", "check", "bad.hujson" }, 1, "bad.hujson:1:" },
		{ { "policy", "check", "test.hujson" }, 1,
			"test.hujson:1:21: tests[0].accept[0]: the rules do not allow this" },
		{ { "configtest", "-c", "test.yaml" }, 1,
			"test.hujson:1:21: tests[0].accept[0]: the rules do not allow this" },
		{ { "policy", "check", "acl.hujson" }, 1,
			"acl.hujson:1:10: acls[0].action: must be \"accept\"" },
		{ { "policy", "check", "-c", "good.yaml" }, 0,
			"no policy.path in good.yaml: everything is allowed" },
		{ { "serve", "-c", "key.yaml" }, 1,
			"is not a private key (privkey: and 64 hex digits): restore it from a backup" },
		{ { "serve", "-c", "tls.yaml" }, 1, "none.pem" },
	};
	char text[TEXT_MAX];
	(void)state;
	write_file("good.yaml", "server_url: http://a.test\n");
	write_file("more.yaml", "server_url: http://a.test\nderp: { urls: [https://a.test] }\n"
				"taildrop: { enabled: True }\nlogtail: { enabled: False }\n");
	write_file("words.yaml", "server_url: http://a.test\ndns: { magic_dns: True }\nnode: { expiry: 1y }\n"
				 "preauth_keys: { revoked_retention: 2w }\nrandomize_client_port: False\n");
	write_file("here.yaml", "server_url: http://a.test\ndatabase: { sqlite: { path: i.sqlite } }\n"
				"noise: { private_key_path: i.key }\n");
	static const char *const names[] = { "other.test" };
	assert_int_equal(tls_self_signed("c.pem", "k.pem", names, 1, NULL), 0);
	write_file("cert.yaml", "server_url: https://hs.test\ntls_cert_path: c.pem\ntls_key_path: k.pem\n");
	write_file(
		"nocert.yaml", "server_url: https://hs.test\ntls_cert_path: gone.pem\ntls_key_path: k.pem\n");
	write_file("bad.yaml", "server: a\n");
	write_file("several.yaml", "server_url: http://a.test\nlisten_addr: here\ndns:\n  magic_dns: maybe\n"
				   "  nameservers: { split: { \"#\": [192.0.2.1], \"a b\": [192.0.2.1], "
				   "c.test: [192.0.2.1] } }\n"
				   "prefixs: {}\nderp: { server: { enabled: perhaps } }\n");
	write_file("both.yaml",
		"server_url: https://hs.test\ntls_cert_path: gone.pem\ntls_key_path: gone.key\n"
		"derp: { paths: [ missing.yaml ] }\n");
	write_file("noderp.yaml", "server_url: http://a.test\nderp: { paths: [missing.yaml] }\n");
	write_file("good.hujson", "{ // all\n \"acls\": [], }");
	write_file("bad.hujson", "{ acls }");
	write_file("test.hujson", "{\"acls\":[],\"tests\":[{\"src\":\"a@\",\"accept\":[\"b@:22\"]}]}");
	write_file("test.yaml", "server_url: http://a.test\npolicy: { path: test.hujson }\n");
	write_file("acl.hujson", "{\"acls\":[{}]}");
	write_file("bad.key", "hello\n");
	assert_int_equal(chmod("bad.key", 0600), 0);
	write_file("key.yaml", "server_url: http://a.test\nnoise: { private_key_path: bad.key }\n");
	write_file("tls.yaml",
		"server_url: http://a.test\nlisten_addr: 127.0.0.1:0\nnoise: { private_key_path: n.key }\n"
		"database: { sqlite: { path: d.sqlite } }\nunix_socket: c.sock\n"
		"tls_cert_path: none.pem\ntls_key_path: none.pem\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int code = run(rows[i].args, text);
		if (code != rows[i].code || !strstr(text, rows[i].text))
			fail_msg("row %zu: %d: %s", i, code, text);
	}
}

static void test_port_in_use(void **state)
{
	static const char *const args[] = { "serve", "-c", "c.yaml", NULL };
	struct endpoint at;
	struct errbuf eb;
	char text[TEXT_MAX], config[512], where[ENDPOINT_TEXT];
	(void)state;
	assert_true(endpoint_parse("127.0.0.1:0", &at));
	int fd = sock_tcp_listen(&at, &eb);
	assert_true(fd >= 0);
	sock_local(fd, &at);
	snprintf(config, sizeof(config),
		"server_url: http://a.test\nlisten_addr: %s\nnoise: { private_key_path: n.key }\n"
		"database: { sqlite: { path: d.sqlite } }\nunix_socket: c.sock\n",
		endpoint_format(&at, where));
	write_file("c.yaml", config);
	assert_int_equal(run(args, text), 1);
	assert_non_null(strstr(
		text, "is in use by another program: stop it, or choose another listen_addr in c.yaml"));
	close(fd);
}

/* What cannot all be written, as a policy or a key into a file on a full disk, is no success. */
static void test_full_disk(void **state)
{
	static const struct {
		const char *as, *args[ARGS_MAX];
	} rows[] = {
		{ "ropewalk-control", { "--help" } },
		{ "ropewalk-control", { "help", "serve" } },
		{ "ropewalk-control", { "--man" } },
		{ "ropewalk-control", { "version" } },
		{ "ropewalk-control", { "configtest", "-c", "good.yaml" } },
		{ "headscale", { NULL } },
		{ "headscale", { "version" } },
		{ "headscale", { "generate", "private-key" } },
	};
	char text[TEXT_MAX];
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	(void)state;
	assert_true(full >= 0);
	write_file("good.yaml", "server_url: http://a.test\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int code = run_to(full, rows[i].as, rows[i].args, text);
		if (code != 1 || !strstr(text, ": what it prints cannot be written"))
			fail_msg("row %zu: %d, %s", i, code, text);
	}
	close(full);
}

/* Numbers with a fraction and what has members stand in their cell too; what is not known is left out. */
static void test_table(void **state)
{
	static const char want[] = "name   latency_ms  network\n"
				   "alpha  3.2         udp=yes link=wifi latency_ms.1=7.0\n"
				   "beta   -           -\n";
	char text[512] = "";
	json_t *list =
		json_loads("[{\"name\":\"alpha\",\"latency_ms\":3.21,\"network\":{\"udp\":true,\"ipv6\":null,"
			   "\"link\":\"wifi\",\"latency_ms\":{\"1\":7.0}}},"
			   "{\"name\":\"beta\",\"latency_ms\":null,\"network\":null}]",
			0, NULL);
	FILE *f = fopen("out", "w+");
	(void)state;
	assert_non_null(list);
	assert_non_null(f);
	fflush(stdout);
	int before = dup(STDOUT_FILENO);
	dup2(fileno(f), STDOUT_FILENO);
	cli_print_table(list, "name latency_ms network");
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	rewind(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	json_decref(list);
	assert_string_equal(text, want);
}

/* Answers all that comes to the socket with this body, until it is killed. */
static pid_t answer_all(int fd, const char *body)
{
	char text[TEXT_MAX];
	pid_t pid = fork_tied();
	if (!pid && fcntl(fd, F_SETFL, 0))
		_exit(1);
	for (int c; !pid && (c = accept(fd, NULL, NULL)) >= 0; close(c)) {
		ssize_t got = read(c, text, sizeof(text)); /* a small request comes at once */
		int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
			strlen(body), body);
		if (got <= 0 || write(c, text, (size_t)n) != n)
			break;
	}
	if (!pid)
		_exit(0);
	close(fd);
	return pid;
}

/* An answer is read within bounds: nothing of this one is printed. */
static void test_bounds(void **state)
{
#define DEEP10 "[[[[[[[[[["
#define FLAT10 "]]]]]]]]]]"
	static const char deep[] = "{\"users\":[],\"name\":\"alice\",\"x\":" DEEP10 DEEP10 DEEP10 DEEP10
		FLAT10 FLAT10 FLAT10 FLAT10 "}";
	static const char *const here[] = { "users", "create", "alice", "--socket", "fake.sock", NULL };
	static const char *const elsewhere[] = { "users", "list", NULL };
	struct endpoint at = { .ip = addr_v4(0x7f000001) };
	char text[TEXT_MAX], address[64], where[ENDPOINT_TEXT];
	struct errbuf eb;
	int fd;
	(void)state;
	fd = sock_unix_listen("fake.sock", 0600, &eb);
	assert_true(fd >= 0);
	pid_t pid = answer_all(fd, deep);
	assert_int_equal(run(here, text), 1);
	assert_non_null(strstr(text, "the server's answer makes no sense"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fd = sock_tcp_listen(&at, &eb);
	assert_true(fd >= 0 && sock_local(fd, &at) == 0);
	snprintf(address, sizeof(address), "http://%s", endpoint_format(&at, where));
	setenv("HEADSCALE_CLI_ADDRESS", address, 1);
	setenv("HEADSCALE_CLI_API_KEY", "k", 1);
	pid = answer_all(fd, deep);
	assert_int_equal(run_as("headscale", elsewhere, text), 1);
	assert_non_null(strstr(text, "the server's answer makes no sense"));
	unsetenv("HEADSCALE_CLI_ADDRESS");
	unsetenv("HEADSCALE_CLI_API_KEY");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_not_running),
		cmocka_unit_test_setup_teardown(test_sentences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
