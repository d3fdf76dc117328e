#include "mesh/os/crowd.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { BUSY_MOST = 3072, BUSY_EACH = 3, BOUND_S = 30 };

struct crowd {
	pid_t busy[BUSY_MOST];
	size_t n;
	char path[64]; /* of the number of idle tasks */
};

/* Three tasks for each processor, as far as the table goes, that want it until they are ended. */
static int begin(void **state)
{
	static struct crowd c;
	size_t n = (size_t)sysconf(_SC_NPROCESSORS_ONLN) * BUSY_EACH;

	*state = &c;
	snprintf(c.path, sizeof(c.path), "/tmp/crowd_test.XXXXXX");
	int fd = mkstemp(c.path);
	if (fd < 0)
		return -1;
	close(fd);
	for (; c.n < n && c.n < BUSY_MOST; c.n++) {
		pid_t pid = fork();
		if (pid < 0)
			return -1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(3 * BOUND_S);
			for (volatile unsigned i = 0;; i++)
				;
		}
		c.busy[c.n] = pid;
	}
	return 0;
}

static int end(void **state)
{
	struct crowd *c = *state;

	for (; c->n; c->n--) {
		kill(c->busy[c->n - 1], SIGKILL);
		waitpid(c->busy[c->n - 1], NULL, 0);
	}
	unsetenv("RW_IDLE_TASKS");
	unlink(c->path);
	return 0;
}

static void say(const struct crowd *c, const char *text)
{
	FILE *f = fopen(c->path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* The tasks are seen, at some moment. */
static void assert_crowded(void)
{
	time_t until = time(NULL) + BOUND_S;

	while (crowd_now() < 2)
		assert_true(time(NULL) < until);
}

static void test_idle_tasks_are_no_crowd(void **state)
{
	const struct crowd *c = *state;

	unsetenv("RW_IDLE_TASKS");
	assert_crowded();
	setenv("RW_IDLE_TASKS", c->path, 1);
	say(c, "100000\n");
	for (int i = 0; i < 1000; i++)
		assert_true(crowd_now() == 1);
}

/* Nothing is taken away for a file that is not there, or that has no number. */
static void test_no_number(void **state)
{
	const struct crowd *c = *state;
	const char *texts[] = { "0\n", "", "many\n" };

	setenv("RW_IDLE_TASKS", c->path, 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		say(c, texts[i]);
		assert_crowded();
	}
	setenv("RW_IDLE_TASKS", "/nowhere/idle", 1);
	assert_crowded();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_tasks_are_no_crowd),
		cmocka_unit_test(test_no_number),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
