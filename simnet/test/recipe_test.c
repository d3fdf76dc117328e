/* The commands of pages, run as they are written there, one after another, in a folder of the test's own. A command
 * is an indented line that begins with `simnet`, up to its explanation, which two blanks separate. What a page calls
 * report.json is its block of JSON; a block of YAML that begins with `# NAME.yaml` is that file. Commands that do not fit a machine without the page's addresses are in
 * scenarios. */
#include "mesh/base/buf.h"
#include "mesh/os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE_BYTES = 1 << 20, NO_SANDBOX = 3 };

static struct buf read_page(const char *name)
{
	char path[1024];
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	snprintf(path, sizeof(path), "%s/docs/simnet/%s", getenv("RW_SOURCE_DIR"), name);
	if (file_read(path, PAGE_BYTES, &text, &eb))
		fail_msg("%s", eb.text);
	return text;
}

static int run_in(const char *dir, const char *command)
{
	char line[2048];
	snprintf(line, sizeof(line), "cd '%s' && PATH=\"$RW_BIN_DIR:$PATH\" && (%s) >said.txt 2>&1", dir,
		command);
	int status = system(line); /* as a reader's shell would */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void print_out(const char *dir)
{
	char line[1200];
	snprintf(line, sizeof(line), "tail -n 30 '%s/said.txt' >&2", dir);
	(void)!system(line);
}

static void write_report(const char *dir, const char *page)
{
	const char *at = strstr(page, "```json\n"), *end = at ? strstr(at + 8, "```") : NULL;
	char path[1024];
	struct errbuf eb = { 0 };

	if (!end)
		return;
	snprintf(path, sizeof(path), "%s/report.json", dir);
	assert_int_equal(file_write_atomic(path, 0600, at + 8, (size_t)(end - at - 8), &eb), 0);
}

static void write_scenarios(const char *dir, const char *page)
{
	static const char mark[] = "\n```yaml\n# ";

	for (const char *at = page; (at = strstr(at, mark)); at++) {
		const char *name = at + sizeof(mark) - 1, *text = at + sizeof(mark) - 3,
			   *end = strstr(text, "\n```\n");
		size_t len = strcspn(name, "\n");
		char path[1024];
		struct errbuf eb = { 0 };
		assert_non_null(end);
		if (len < 6 || strncmp(name + len - 5, ".yaml", 5) != 0 || memchr(name, '/', len))
			continue;
		snprintf(path, sizeof(path), "%s/%.*s", dir, (int)len, name);
		assert_int_equal(file_write_atomic(path, 0600, text, (size_t)(end - text + 1), &eb), 0);
	}
}

static unsigned run_page(const char *name)
{
	char dir[] = "/tmp/simnet-recipe-XXXXXX";
	struct buf text = read_page(name);
	struct errbuf eb = { 0 };
	unsigned n = 0;
	bool skipped = false;

	assert_non_null(mkdtemp(dir));
	write_report(dir, buf_cstr(&text));
	write_scenarios(dir, buf_cstr(&text));
	for (const char *at = buf_cstr(&text); !skipped && (at = strstr(at, "\n    simnet ")); at += 5) {
		char command[512];
		size_t len = strcspn(at + 5, "\n");
		const char *gap = memmem(at + 5, len, "  ", 2);
		snprintf(command, sizeof(command), "%.*s", (int)(gap ? (size_t)(gap - at - 5) : len), at + 5);
		int code = run_in(dir, command);
		skipped = code == NO_SANDBOX;
		if (code && !skipped) {
			print_out(dir);
			(void)dir_remove(dir, &eb);
			fail_msg("%s: '%s' ends with %d", name, command, code);
		}
		n++;
	}
	(void)dir_remove(dir, &eb);
	buf_free(&text);
	if (skipped) {
		print_message("this machine has no sandbox\n");
		skip();
	}
	return n;
}

static void test_reproduce(void **state)
{
	(void)state;
	assert_int_equal(run_page("reproduce-a-nat-bug.md"), 4);
}

static void test_matrix(void **state)
{
	(void)state;
	assert_int_equal(run_page("matrix.md"), 5);
}

static void test_tutorial(void **state)
{
	(void)state;
	assert_int_equal(run_page("tutorial.md"), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reproduce),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_tutorial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
