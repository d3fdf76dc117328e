#include "resolver/alone/test/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 16 };

static const char *binary(char out[static 256])
{
	const char *folder = getenv("RW_BIN_DIR");
	snprintf(out, 256, "%s/ropewalk-resolver", folder ? folder : "build/asan/bin");
	return out;
}

static void write_conf(const struct program *p, const char *conf)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/conf.yaml", p->folder);
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, conf, p->folder);
	fclose(to);
}

static pid_t run(int out, int err, const char *const *argv)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, 1);
	dup2(err, 2);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* Lines until it listens, or ends. */
static void wait_until_it_listens(struct program *p, int fd)
{
	char line[512], at[128], log[8192] = "";
	FILE *from = fdopen(fd, "r");
	assert_non_null(from);
	while (fgets(line, sizeof(line), from)) {
		if (strlen(log) + strlen(line) < sizeof(log))
			strcat(log, line);
		if (sscanf(line, "page at http://%127[^/]", at) == 1)
			assert_true(endpoint_parse(at, &p->page));
		if (sscanf(line, "listening on %127s", at) == 1) {
			assert_true(endpoint_parse(at, &p->dns));
			return; /* the pipe stays: it goes on writing to it */
		}
	}
	fail_msg("it did not start: %s", log);
}

void program_start(struct program *p, const char *conf)
{
	char path[256], config[128], socket[128];
	int fds[2];
	*p = (struct program) { .folder = "/tmp/alone_test.XXXXXX" };
	assert_non_null(mkdtemp(p->folder));
	write_conf(p, conf);
	snprintf(config, sizeof(config), "%s/conf.yaml", p->folder);
	snprintf(socket, sizeof(socket), "%s/socket", p->folder);
	const char *const argv[] = { binary(path), "-c", config, "--socket", socket, NULL };
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p->pid = run(fds[1], fds[1], argv);
	close(fds[1]);
	wait_until_it_listens(p, fds[0]);
}

int program_ended(struct program *p)
{
	char command[128];
	int status = 0;
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	snprintf(command, sizeof(command), "rm -r %s", p->folder);
	assert_int_equal(system(command), 0);
	return status;
}

void program_stop(struct program *p)
{
	kill(p->pid, SIGTERM);
	int status = program_ended(p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void program_kill(struct program *p)
{
	kill(p->pid, SIGKILL);
	assert_true(WIFSIGNALED(program_ended(p)));
}

int program_tell_to(const struct program *p, int to, char *out, size_t cap, const char *const *words)
{
	char path[256], socket[128];
	const char *argv[WORDS_MAX] = { binary(path), "--socket", socket };
	size_t len = 0;
	int fds[2], status = 0, n = 3;
	snprintf(socket, sizeof(socket), "%s/socket", p->folder);
	for (; words[n - 3]; n++) {
		assert_true(n + 1 < WORDS_MAX);
		argv[n] = words[n - 3];
	}
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = run(to >= 0 ? to : fds[1], fds[1], argv);
	close(fds[1]);
	for (ssize_t got; (got = read(fds[0], out + len, cap - 1 - len)) > 0;)
		len += (size_t)got;
	out[len] = 0;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int program_tell(const struct program *p, char *out, size_t cap, const char *const *words)
{
	return program_tell_to(p, -1, out, cap, words);
}
