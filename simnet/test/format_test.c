/* The format of files as `simnet schema` prints it: it takes what the readers take, refuses what they refuse, and the
 * reference says the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char dir[] = "/tmp/format_test.XXXXXX";

/* The output of a shell command that must succeed, in the test's folder. */
static const char *output(struct buf *said, const char *command)
{
	struct buf full = { 0 };
	char some[4096];
	size_t n;

	buf_free(said);
	assert_true(
		buf_printf(&full, "exec 2>&1; cd %s && export PATH=$RW_BIN_DIR:$PATH && %s", dir, command));
	FILE *f = popen(buf_cstr(&full), "re");
	assert_non_null(f);
	while ((n = fread(some, 1, sizeof(some), f)) > 0)
		assert_true(buf_append(said, some, n));
	int status = pclose(f);
	const char *text = said->len ? buf_cstr(said) : "";
	if (status != 0)
		fail_msg("%s\nstatus %d: %s", command, status, text);
	buf_free(&full);
	return text;
}

#define CHECK "/usr/bin/python3 $RW_SOURCE_DIR/simnet/test/schema_check.py "

static int make_schemas(void **state)
{
	struct buf said = { 0 };

	(void)state;
	if (!getenv("RW_BIN_DIR") || !getenv("RW_SOURCE_DIR") || !mkdtemp(dir))
		return -1;
	output(&said, "simnet schema >s.json && simnet schema adapter >a.json");
	buf_free(&said);
	return 0;
}

static int remove_schemas(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void test_takes_what_is_right(void **state)
{
	struct buf said = { 0 };

	(void)state;
	assert_string_equal(output(&said, CHECK "s.json $RW_SOURCE_DIR/scenarios/*.yaml"), "");
	assert_string_equal(output(&said, CHECK "a.json $RW_SOURCE_DIR/simnet/adapters/*.yaml"), "");
	buf_free(&said);
}

#define HEAD "simnet: 1\nname: x\n"
#define WORLD HEAD "routers: {r: {nat: home}}\nnodes: {a: {at: r}, b: {at: internet}}\n"

static void test_refuses_what_is_wrong(void **state)
{
	static const char *const texts[] = {
		"name: x\nnodes: {}\n",
		"simnet: 2\nname: x\nnodes: {}\n",
		HEAD,
		WORLD "step: []\n",
		WORLD "seed: abc\n",
		WORLD "ipv6: yes\n",
		WORLD "start-within: 5\n",
		WORLD "tags: slow\n",
		HEAD "nodes: [a]\n",
		HEAD "nodes: {A: {at: internet}}\n",
		HEAD "nodes: {a: {}}\n",
		HEAD "nodes: {a: {at: internet, interfaces: {eth0: {at: internet}}}}\n",
		HEAD "nodes: {a: {interfaces: {eth0: {at: internet, metric: 0}}}}\n",
		HEAD "nodes: {a: {at: internet, start: soon}}\n",
		HEAD "nodes: {a: {at: internet, with: {k: [v]}}}\n",
		HEAD "routers: {r: {nat: hoem}}\nnodes: {a: {at: r}}\n",
		HEAD "routers: {r: {nat: {mapping: EIMS}}}\nnodes: {a: {at: r}}\n",
		HEAD "routers: {r: {nat: {mapping: EIM, filtering: XDF}}}\nnodes: {a: {at: r}}\n",
		HEAD "services: {s: {at: internet}}\nnodes: {a: {at: internet}}\n",
		WORLD "matrix: {a: []}\n",
		WORLD "steps: [{pign: {from: a, to: b}}]\n",
		WORLD "steps: [{ping: {from: a}}]\n",
		WORLD "steps: [{ping: {from: a, to: b}, kill: a}]\n",
		WORLD "steps: [{say: nothing}]\n",
		WORLD "steps: [{ping: a}]\n",
		WORLD "steps: [{run: {at: a, argv: echo}}]\n",
	};
	struct buf said = { 0 };
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		snprintf(path, sizeof(path), "%s/w.yaml", dir);
		FILE *f = fopen(path, "we");
		assert_true(f && fputs(texts[i], f) >= 0 && fclose(f) == 0);
		if (!*output(&said, CHECK "s.json w.yaml"))
			fail_msg("row %zu is taken:\n%s", i, texts[i]);
	}
	buf_free(&said);
}

static void test_reference(void **state)
{
	struct buf said = { 0 };

	(void)state;
	assert_string_equal(output(&said, "$RW_SOURCE_DIR/ci/reference --check $RW_BIN_DIR"), "");
	buf_free(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_what_is_right),
		cmocka_unit_test(test_refuses_what_is_wrong),
		cmocka_unit_test(test_reference),
	};
	return cmocka_run_group_tests(tests, make_schemas, remove_schemas);
}
