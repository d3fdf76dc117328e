#include "mesh/os/program_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A command that prints `n` lines to `path` and ends with `code`: its exit status, and what it says of that. */
static int ended(const char *path, int n, int code, char said[static 128])
{
	int err[2], status;
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(err[1], STDERR_FILENO);
		if (!freopen(path, "w", stdout))
			_exit(99);
		for (int i = 0; i < n; i++)
			puts("a line");
		_exit(program_text_end("prog", code, 7));
	}
	close(err[1]);
	ssize_t len = read(err[0], said, 127);
	said[len > 0 ? len : 0] = 0;
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_end(void **state)
{
	static const struct {
		const char *path;
		int lines, code, want;
		const char *says;
	} rows[] = {
		{ "/dev/null", 9999, 0, 0, "" }, { "/dev/null", 0, 3, 3, "" }, { "/dev/full", 0, 0, 0, "" },
		{ "/dev/full", 1, 0, 7, "prog: what it prints cannot be written: No space left on device\n" },
		{ "/dev/full", 9999, 0, 7,
			"prog: what it prints cannot be written" }, /* found out on the way */
		{ "/dev/full", 1, 3, 3, "" },			    /* it has failed and said why */
	};
	char said[128];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int got = ended(rows[i].path, rows[i].lines, rows[i].code, said);
		if (got != rows[i].want || strncmp(said, rows[i].says, strlen(rows[i].says)) != 0 ||
			!*said != !*rows[i].says)
			fail_msg("row %zu: %d, \"%s\"", i, got, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_end) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
