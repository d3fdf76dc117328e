#include "simnet/test/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/simnet_test.XXXXXX";

int command_line_open(const struct command_line_file *files, size_t n)
{
	char path[128];

	setenv("SIMNET_SLOWDOWN", "1", 0); /* verdicts, whoever else is at work here */
	if (!getenv("RW_BIN_DIR") || !mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		FILE *f = fopen(path, "we");
		if (!f || fputs(files[i].text, f) < 0 || fclose(f) != 0)
			return -1;
	}
	return 0;
}

int command_line_close(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int command_line_run(const char *command, struct buf *said)
{
	struct buf full = { 0 };
	char some[4096];
	size_t n;

	assert_true(buf_printf(&full, "exec 2>&1; cd %s && PATH=$RW_BIN_DIR:$PATH && %s", dir, command));
	FILE *f = popen(buf_cstr(&full), "re");
	assert_non_null(f);
	while ((n = fread(some, 1, sizeof(some), f)) > 0)
		assert_true(buf_append(said, some, n));
	int status = pclose(f);
	buf_free(&full);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void command_line_expect(const char *command, int code, const char *says)
{
	struct buf said = { 0 };
	int got = command_line_run(command, &said);
	const char *text = said.len ? buf_cstr(&said) : "";

	if (got != code || !strstr(text, says))
		fail_msg("%s\ncode %d, not %d, with '%s':\n%s", command, got, code, says, text);
	buf_free(&said);
}

void command_line_needs_namespaces(void)
{
	struct buf said = { 0 };
	int code = command_line_run("simnet doctor", &said);

	if (code != 0)
		print_message("skipped: %s\n", buf_cstr(&said));
	buf_free(&said);
	if (code != 0)
		skip();
}
