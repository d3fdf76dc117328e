/* Input and complaint are unnamed files in memory: neither side ever waits for the other to read, so no pipe
 * has to be served, and the end of the process (a pidfd) is the only event. */
#include "mesh/os/child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct process {
	pid_t pid;
	int end, said; /* fds: readable once it has ended; its standard error */
	const char *name;
};

struct child {
	struct process p;
	char name[64];
	struct loop_fd *watch;
	struct loop_timer *limit;
	bool late;
	void (*done)(void *arg, int code, const char *why);
	void *arg;
};

/* Full path of an executable file, as execvp(3) looks for it. */
static bool find_program(const char *name, char *out)
{
	const char *path = getenv("PATH");
	if (strchr(name, '/')) {
		snprintf(out, PATH_MAX, "%s", name);
		return access(out, X_OK) == 0;
	}
	for (const char *p = path ? path : SYSTEM_PATH; *p; p += strspn(p, ":")) {
		size_t n = strcspn(p, ":");
		if (snprintf(out, PATH_MAX, "%.*s/%s", (int)n, p, name) < PATH_MAX && access(out, X_OK) == 0)
			return true;
		p += n;
	}
	return false;
}

/* A descriptor, or a negative code. */
static int memory_file(const char *name, const void *p, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = len ? write(fd, p, len) : 0;
	int err = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int spawn_it(struct process *p, const char *file, const char *const *argv, int in)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, p->said, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, p->said, STDERR_FILENO);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* exec does not write to the words; its prototype is older than const. */
	char *const *words = (char *const *)(uintptr_t)argv;
	int err = posix_spawn(&p->pid, file, &files, &how, words, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

static void process_free(struct process *p)
{
	if (p->end >= 0)
		close(p->end);
	if (p->said >= 0)
		close(p->said);
}

static int process_start(
	struct process *p, const char *const *argv, const void *input, size_t len, struct errbuf *eb)
{
	char file[PATH_MAX];
	*p = (struct process) { .pid = -1, .end = -1, .said = -1, .name = argv[0] };
	if (!find_program(argv[0], file))
		return err_say(eb, -ENOENT, "there is no program %s on this machine", argv[0]);
	int in = memory_file("input", input, len);
	p->said = memory_file("said", NULL, 0);
	int err = in < 0 ? in : p->said < 0 ? p->said : spawn_it(p, file, argv, in);
	if (in >= 0)
		close(in);
	if (!err) {
		p->end = (int)syscall(SYS_pidfd_open, p->pid, 0);
		if (p->end < 0) {
			err = -errno;
			kill(p->pid, SIGKILL); /* it was spawned: never -1 */
			waitpid(p->pid, NULL, 0);
		}
	}
	if (err) {
		process_free(p);
		return err_set(eb, err, "run %s", argv[0]);
	}
	return 0;
}

static int process_reap(struct process *p, bool late, struct errbuf *eb)
{
	int status = 0;
	char said[256] = "";
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return err_say(eb, -ETIMEDOUT, "%s did not end in time", p->name);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	ssize_t n = pread(p->said, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	said[strcspn(said, "\n")] = 0;
	return err_say(eb, ERR_REFUSED, "%s failed: %s", p->name,
		said[0]		      ? said
		: WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
				      : "it did not say why");
}

int child_run(const char *const *argv, const void *input, size_t len, int timeout_ms, struct errbuf *eb)
{
	struct process p;
	int err = process_start(&p, argv, input, len, eb);
	if (err)
		return err;
	struct pollfd f = { .fd = p.end, .events = POLLIN };
	int got;
	while ((got = poll(&f, 1, timeout_ms)) < 0 && errno == EINTR)
		;
	if (got <= 0)
		kill(p.pid, SIGKILL);
	err = process_reap(&p, got <= 0, eb);
	process_free(&p);
	return err;
}

static void child_free(struct child *c)
{
	loop_fd_free(c->watch);
	loop_timer_free(c->limit);
	process_free(&c->p);
	free(c);
}

static void child_ended(void *arg, int events)
{
	struct child *c = arg;
	struct errbuf eb = { 0 };
	(void)events;
	int code = process_reap(&c->p, c->late, &eb);
	void (*done)(void *, int, const char *) = c->done;
	void *who = c->arg;
	child_free(c);
	done(who, code, eb.text);
}

static void child_too_late(void *arg)
{
	struct child *c = arg;
	c->late = true;
	kill(c->p.pid, SIGKILL);
}

struct child *child_start(struct loop *l, const char *const *argv, const void *input, size_t len,
	int timeout_ms, void (*done)(void *arg, int code, const char *why), void *arg, struct errbuf *eb)
{
	struct child *c = calloc(1, sizeof(*c));
	if (!c || process_start(&c->p, argv, input, len, eb) != 0) {
		if (!c)
			err_set(eb, -ENOMEM, "run %s", argv[0]);
		free(c);
		return NULL;
	}
	snprintf(c->name, sizeof(c->name), "%s", argv[0]);
	c->p.name = c->name;
	c->done = done;
	c->arg = arg;
	c->watch = loop_fd_new(l, c->p.end, child_ended, c);
	c->limit = loop_timer_new(l, child_too_late, c);
	if (!c->watch || !c->limit) {
		err_set(eb, -ENOMEM, "run %s", argv[0]);
		child_cancel(c);
		return NULL;
	}
	loop_fd_set(c->watch, LOOP_READ);
	loop_timer_set(c->limit, (uint64_t)timeout_ms);
	return c;
}

void child_cancel(struct child *c)
{
	if (!c)
		return;
	kill(c->p.pid, SIGKILL);
	process_reap(&c->p, true, NULL);
	child_free(c);
}
