/* Who answers by the name of a lab. In a network namespace of its own: no other lab is there, and no other
 * program sees what this one listens by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/runner.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRANGER = 65534, NOTHING_CAME = 0, WAIT_S = 60 };

/* As another user, under the name of this process's lab; its status: 1 when anything was sent to it. */
static pid_t listen_as_stranger(const struct shell_lab *lab)
{
	char byte = 0;
	int up[2];
	assert_int_equal(pipe(up), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_storage ss = { .ss_family = AF_UNIX };
		char *name = (char *)&ss + sizeof(ss.ss_family) + 1, text[64];
		int n = snprintf(name, 100, "simnet/%d/%s", lab->pid, lab->name);
		int fd = setuid(STRANGER) ? -1 : socket(AF_UNIX, SOCK_SEQPACKET, 0);
		alarm(WAIT_S);
		if (fd < 0 ||
			bind(fd, (struct sockaddr *)&ss, (socklen_t)(sizeof(ss.ss_family) + 1 + (size_t)n)) ||
			listen(fd, 4) || write(up[1], &byte, 1) != 1)
			_exit(2);
		int c = accept(fd, NULL, NULL);
		ssize_t got = c < 0 ? -1 : recv(c, text, sizeof(text), 0);
		_exit(got == 0 ? NOTHING_CAME : 1);
	}
	assert_int_equal(read(up[0], &byte, 1), 1);
	close(up[0]);
	close(up[1]);
	return pid;
}

enum { BY_SHELL, BY_ORDER, BY_LOGS, BY_NAME, WAYS };
static int reach(int way, const struct shell_lab *lab, struct errbuf *eb)
{
	struct shell_lab found;
	switch (way) {
	case BY_SHELL: return shell_run(lab, "a", NULL, eb);
	case BY_ORDER: return shell_inject(lab, "wait: 1s", eb);
	case BY_LOGS: return shell_logs(lab, "a", false, eb);
	default: return shell_find(&found, 1) ? 0 : -EACCES;
	}
}

static void test_stranger(void **state)
{
	struct shell_lab lab = { .pid = (int)getpid(), .name = "x" };
	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		skip();
	for (int way = 0; way < WAYS; way++) {
		struct errbuf eb = { 0 };
		int status;
		pid_t pid = listen_as_stranger(&lab);
		int err = reach(way, &lab, &eb);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != NOTHING_CAME || err != -EACCES)
			fail_msg("way %d: %d '%s'; the stranger ended with %x", way, err, eb.text,
				(unsigned)status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stranger) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
