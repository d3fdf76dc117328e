#include "mesh/base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* What log_write says for `text`, from the level's name on. */
static void capture(const char *text, char *out, size_t cap)
{
	int pipe_fd[2], saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipe_fd), 0);
	dup2(pipe_fd[1], STDERR_FILENO);
	log_write(LOG_INFO, "peer %s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fd[1]);
	ssize_t n = read(pipe_fd[0], out, cap - 1);
	close(pipe_fd[0]);
	assert_true(n > 0);
	out[n] = 0;
}

/* A stranger's name neither begins a line of its own nor moves the cursor. */
static void test_controls(void **state)
{
	char line[512];
	(void)state;
	log_setup(LOG_INFO, false);
	capture("a\nroot logged in\r\033[2J\x7f\xc2\x9b"
		"2J",
		line, sizeof(line));
	assert_non_null(strstr(line, "info  peer a?root logged in??[2J??2J\n"));
	log_setup(LOG_INFO, true);
	capture("a\n\"b\\", line, sizeof(line));
	assert_non_null(strstr(line, "\"msg\":\"peer a?\\\"b\\\\\"}\n"));
	log_setup(LOG_INFO, false);
}

/* Standard error is the journal when JOURNAL_STREAM names it, and not because it is set. */
static void test_journal(void **state)
{
	int pipe_fd[2], saved = dup(STDERR_FILENO);
	char line[512], stream[64];
	struct stat st;
	(void)state;
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(fstat(pipe_fd[1], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_setup(LOG_INFO, false);
	capture("other", line, sizeof(line));
	assert_non_null(strstr(line, "Z info  peer other"));

	dup2(pipe_fd[1], STDERR_FILENO);
	log_setup(LOG_INFO, false);
	log_write(LOG_ERROR, "bad\nnews");
	log_setup(LOG_INFO, true);
	log_write(LOG_WARN, "odd");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fd[1]);
	ssize_t n = read(pipe_fd[0], line, sizeof(line) - 1);
	close(pipe_fd[0]);
	line[n > 0 ? n : 0] = 0;
	assert_string_equal(line, "<3>bad?news\n<4>{\"level\":\"warn\",\"msg\":\"odd\"}\n");
	unsetenv("JOURNAL_STREAM");
	log_setup(LOG_INFO, false);
}

static void test_levels(void **state)
{
	enum log_level level = LOG_INFO;
	(void)state;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse("loud", &level));
	assert_false(log_wanted(LOG_DEBUG));
	assert_true(log_wanted(LOG_ERROR));
}

/* So many a second; the rest is counted. */
static void test_limit(void **state)
{
	struct log_limit l = { 0 };
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(log_allowed(&l, 3, 5000));
	assert_false(log_allowed(&l, 3, 5999));
	assert_true(log_allowed(&l, 3, 6000));
	assert_int_equal(l.suppressed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_controls), cmocka_unit_test(test_journal),
		cmocka_unit_test(test_levels), cmocka_unit_test(test_limit) };
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
