/* A terminal of the test's own, and a process that changes its mode and is ended by a signal: the terminal is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/os/prompt.h"
#include "mesh/os/terminal.h"
#include "mesh/os/tied.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { WAIT_S = 60, UNCHANGED = 100, LEFT_BEHIND, OTHER_END, NO_TERMINAL };

static void set_mode(enum terminal_mode mode)
{
	char password[66];
	struct errbuf eb = { 0 };

	if (mode == TERMINAL_HIDDEN)
		(void)prompt_password(8, 64, password, &eb);
	else if (terminal_begin(mode)) {
		for (;;)
			pause();
	}
	_exit(UNCHANGED);
}

static bool same_mode(const struct termios *a, const struct termios *b)
{
	return a->c_lflag == b->c_lflag && a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag;
}

/* In a session of its own, which does not end with the process: the end of a session puts its terminal right. */
static int in_session(enum terminal_mode mode, int signo)
{
	struct termios before, now;
	int master = posix_openpt(O_RDWR | O_NOCTTY), status;
	const char *name = master >= 0 && !grantpt(master) && !unlockpt(master) ? ptsname(master) : NULL;

	alarm(WAIT_S);
	setsid();
	int slave = name ? open(name, O_RDWR) : -1;
	if (slave < 0 || dup2(slave, STDIN_FILENO) < 0 || dup2(slave, STDERR_FILENO) < 0 ||
		tcgetattr(STDIN_FILENO, &before))
		return NO_TERMINAL;
	signal(signo, SIG_DFL); /* who starts this beside a script may have it ignored */
	pid_t pid = fork_tied();
	if (pid == 0)
		set_mode(mode);
	do {
		usleep(1000);
		if (tcgetattr(STDIN_FILENO, &now))
			return NO_TERMINAL;
	} while (same_mode(&before, &now) && waitpid(pid, &status, WNOHANG) == 0);
	kill(pid, signo);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != signo)
		return OTHER_END;
	return tcgetattr(STDIN_FILENO, &now) || !same_mode(&before, &now) ? LEFT_BEHIND : 0;
}

static void test_signals(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	(void)state;
	for (int mode = TERMINAL_KEYS; mode <= TERMINAL_RAW; mode++)
		for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
			int status;
			pid_t pid = fork();
			if (pid == 0)
				_exit(in_session((enum terminal_mode)mode, signals[i]));
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				fail_msg("mode %d, signal %d: %x", mode, signals[i], (unsigned)status);
		}
}

static void test_no_terminal(void **state)
{
	int keep = dup(STDIN_FILENO), null = open("/dev/null", O_RDONLY);
	(void)state;
	assert_true(keep >= 0 && null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO);
	assert_false(terminal_begin(TERMINAL_RAW));
	dup2(keep, STDIN_FILENO);
	close(keep);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_no_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
