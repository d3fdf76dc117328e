/* This program called by the name of Headscale's command, on a running server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/control.h"
#include "mesh/control/test/world.h"
#include "mesh/os/tied.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 10, TEXT_MAX = 8192 };

/* Both outputs together; returns the exit code. Standard input says no. */
static int run(const char *const *args, char text[static TEXT_MAX])
{
	char name[] = "/usr/bin/headscale", *argv[ARGS_MAX + 2] = { name };
	int argc = 1, status, out[2], in[2];
	for (; args[argc - 1]; argc++)
		argv[argc] = strdup(args[argc - 1]);
	assert_int_equal(pipe(out) | pipe(in), 0);
	assert_int_equal(write(in[1], "n\n", 2), 2);
	fflush(NULL);
	pid_t pid = fork_tied();
	if (!pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		int code = control_main(argc, argv);
		fflush(NULL);
		_exit(code);
	}
	close(out[1]);
	close(in[0]);
	close(in[1]);
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

static void test_verbs(void **state)
{
	static const struct {
		const char *args[ARGS_MAX];
		int code;
		const char *text; /* somewhere in the output */
	} rows[] = {
		{ { NULL }, 0, "headscale users create" },
		{ { "nodes", "list", "--help" }, 0, "headscale users create" },
		{ { "version" }, 0, "headscale version v0.29.0+ropewalk." },
		{ { "version", "-o", "json-line" }, 0, "{\"version\":\"v0.29.0" },
		{ { "generate", "private-key" }, 0, "privkey:" },
		{ { "health", "-o", "json-line" }, 0, "{\"databaseConnectivity\":true}" },
		{ { "dance" }, 1, "unknown command \"dance\" for" },
		{ { "nodes", "dance" }, 1, "unknown command \"nodes dance\"" },
		{ { "oauth-clients", "list" }, 1,
			"\"oauth-clients\" is not here: the console makes OAuth clients" },
		{ { "mockoidc" }, 1, "\"mockoidc\" is not here: " },
		{ { "completion", "bash" }, 1, "ropewalk-control --completion" },
		{ { "users", "list", "-o", "xml" }, 1, "json, json-line and yaml are there" },
		{ { "users", "create", "bob" }, 0, "User created" },
		{ { "user", "new", "bob", "-o", "json" }, 1,
			"{\"error\":\"user \\\"bob\\\" exists already\"}" },
		{ { "namespaces", "ls" }, 0, "ID | Name | Username | Email | Created" },
		{ { "users", "list", "--output", "yaml", "--name=bob" }, 0,
			"- id: \"2\"\n  name: \"bob\"\n" },
		{ { "users", "rename", "-n", "bob", "-r", "rob" }, 0, "User renamed" },
		{ { "users", "rename", "-i", "2" }, 1, "required flag(s) \"new-name\" not set" },
		{ { "users", "destroy", "-i", "2" }, 0, "Nothing was done" },
		{ { "users", "destroy", "--name", "nobody", "--force" }, 1, "no user is called \"nobody\"" },
		{ { "users", "destroy", "--name", "rob", "--force" }, 0, "User destroyed" },
		{ { "--output", "json-line", "nodes", "list" }, 0, "\"givenName\":\"alpha\"" },
		{ { "node", "ls" }, 0, "1  | alpha    | alpha | [" },
		{ { "nodes", "list", "-u", "nobody" }, 1, "no user has this name" },
		{ { "nodes", "rename", "-i", "1", "first" }, 0, "Node renamed" },
		{ { "nodes", "tag", "-i", "1", "-t", "tag:a b" }, 1, "is not" },
		{ { "nodes", "approve-routes", "-i", "1", "-r", "10.0.0.0/8,192.0.2.0/24" }, 0,
			"Node updated" },
		{ { "nodes", "routes", "-i", "1" }, 0, "10.0.0.0/8, 192.0.2.0/24" },
		{ { "nodes", "expire", "-i", "1", "-e", "soon" }, 1, "\"soon\" is no time" },
		{ { "nodes", "expire", "-i", "1", "-e", "2100-01-01T00:00:00Z", "-o", "json-line" }, 0,
			"\"expiry\":\"2100-01-01T00:00:00Z\"" },
		{ { "nodes", "backfillips", "--force" }, 0, "Node IPs backfilled successfully" },
		{ { "nodes", "register", "-u", "alice", "-k", "none" }, 1, "nothing waits under \"none\"" },
		{ { "debug", "create-node", "-u", "alice", "-k", "short", "-n", "made" }, 1,
			"has to be 24 letters" },
		{ { "debug", "create-node", "-u", "alice", "-k", "made-up-0123456789abcdef", "-n", "made",
			  "-r", "10.0.0.0/8" },
			0, "Node created" },
		{ { "nodes", "register", "-u", "alice", "-k", "made-up-0123456789abcdef" }, 0,
			"Node registered" },
		{ { "preauthkeys", "create", "-u", "1", "--reusable", "-e", "24h" }, 0, "hskey-auth-" },
		{ { "preauthkeys", "list" }, 0, "| true     | false     | false |" },
		{ { "pre", "expire", "-i", "2" }, 0, "Key expired" },
		{ { "preauthkeys", "delete", "-i", "2" }, 0, "Key deleted" },
		{ { "preauthkeys", "delete", "-i", "2" }, 1, "no such auth key" },
		{ { "apikeys", "create" }, 0, "hskey-api-" },
		{ { "apikeys", "list", "-o", "json-line" }, 0, "\"lastSeen\":null" },
		{ { "apikeys", "expire", "-i", "1" }, 0, "Key expired" },
		{ { "apikeys", "delete", "-i", "1" }, 0, "Key deleted" },
		{ { "policy", "check", "-f", "none.json" }, 1, "none.json" },
		{ { "policy", "set" }, 1, "required flag(s) \"file\" not set" },
		{ { "nodes", "delete", "-i", "1", "--force" }, 0, "Node deleted" },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128], text[TEXT_MAX];
	setenv("HEADSCALE_CONFIG", w->config, 1);
	world_alpha_open(&a, w, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int code = run(rows[i].args, text);
		if (code != rows[i].code || !strstr(text, rows[i].text))
			fail_msg("row %zu (%s %s): %d: %s", i, rows[i].args[0], rows[i].args[1], code, text);
	}
	unsetenv("HEADSCALE_CONFIG");
	world_node_close(&a);
}

/* From elsewhere, with a key. */
static void test_elsewhere(void **state)
{
	static const char *const args[] = { "users", "list", NULL };
	struct world *w = *state;
	char text[TEXT_MAX], address[128], at[ENDPOINT_TEXT];
	json_t *v = world_admin(w, "/v1/apikeys/create", "{}");
	snprintf(address, sizeof(address), "http://%s", endpoint_format(&w->at, at));
	setenv("HEADSCALE_CLI_ADDRESS", address, 1);
	assert_int_equal(run(args, text), 1);
	assert_non_null(strstr(text, "HEADSCALE_CLI_API_KEY environment variable needs to be set"));
	setenv("HEADSCALE_CLI_API_KEY", json_string_value(json_object_get(v, "key")), 1);
	assert_int_equal(run(args, text), 0);
	setenv("HEADSCALE_CLI_API_KEY", "another", 1);
	assert_int_equal(run(args, text), 1);
	unsetenv("HEADSCALE_CLI_ADDRESS");
	unsetenv("HEADSCALE_CLI_API_KEY");
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_verbs, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
