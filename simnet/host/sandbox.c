#include "simnet/host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Three processes: the caller (waits, forwards signals), the sandbox's pid 1 (reaps, forwards), the body.
 * Each dies with its parent, and the pid namespace takes along whatever daemonised itself. */

enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC };
enum { STATUS_SIGNALLED = 128 };

struct birth { /* what pid 1 says to its parent when it could not start */
	int err;
	char text[200];
};

struct setup {
	int (*body)(void *arg);
	void *arg;
	bool user_ns;
	uid_t uid;
	gid_t gid;
	int go[2];    /* pid 1 reads [0]: end of file means that the parent died before PDEATHSIG was armed */
	int birth_fd; /* pid 1 writes a struct birth on failure; closed on success */
	sigset_t old_mask;
};

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	int err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int map_ids(uid_t uid, gid_t gid)
{
	char line[64];
	prctl(PR_SET_DUMPABLE,
		1); /* or /proc/self of a program that dropped its privileges belongs to root */
	int err = write_file("/proc/self/setgroups", "deny");
	if (err && err != -ENOENT)
		return err;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned)uid);
	if ((err = write_file("/proc/self/uid_map", line)))
		return err;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned)gid);
	return write_file("/proc/self/gid_map", line);
}

static int mount_private(struct birth *b)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		snprintf(b->text, sizeof(b->text), "make the mounts private");
		return -errno;
	}
	/* A masked /proc (containers) cannot be mounted anew; the old one still serves /proc/self and
	 * /proc/sys/net. */
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 && errno != EPERM) {
		snprintf(b->text, sizeof(b->text), "mount a private /proc");
		return -errno;
	}
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0) {
		snprintf(b->text, sizeof(b->text), "mount a private /run");
		return -errno;
	}
	return 0;
}

static sigset_t watched_signals(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGCHLD);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGHUP);
	return s;
}

static int status_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNALLED + WTERMSIG(status);
}

/* Waits for `child` and passes on signals that were meant for us. As pid 1 it also reaps every orphan. */
static int attend(pid_t child, bool as_init)
{
	sigset_t set = watched_signals();
	for (;;) {
		siginfo_t info;
		int sig = sigwaitinfo(&set, &info);
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			kill(child, sig); /* SI_KERNEL: the terminal told the whole group already */
		if (sig != SIGCHLD)
			continue;
		int status;
		for (pid_t pid; (pid = waitpid(as_init ? -1 : child, &status, WNOHANG)) > 0;)
			if (pid == child)
				return status_code(status);
	}
}

static void run_body(const struct setup *s)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	int code = s->body(s->arg);
	fflush(NULL);
	_exit(code < 0 || code > 125 ? 125 : code);
}

static void run_init(const struct setup *s)
{
	struct birth b = { 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(s->go[1]);
	struct pollfd pf = { .fd = s->go[0], .events = POLLIN };
	if (poll(&pf, 1, 0) != 0)
		_exit(125);
	close(s->go[0]);
	if (s->user_ns && (b.err = map_ids(s->uid, s->gid)))
		snprintf(b.text, sizeof(b.text), "map the user into a user namespace");
	else
		b.err = mount_private(&b);
	pid_t body = b.err ? 0 : fork();
	if (body < 0) {
		b.err = -errno;
		snprintf(b.text, sizeof(b.text), "start the first process");
	}
	if (b.err) {
		(void)!write(s->birth_fd, &b, sizeof(b));
		_exit(125);
	}
	close(s->birth_fd);
	if (body == 0)
		run_body(s);
	int code = attend(body, true);
	_exit(code);
}

/* Like fork, into the namespaces. The raw call: glibc has no fork with flags. */
static pid_t fork_into(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0UL, NULL, NULL, 0UL);
}

static pid_t start_init(struct setup *s, bool as_root)
{
	s->user_ns = !as_root;
	pid_t pid = fork_into(as_root ? NAMESPACES : NAMESPACES | CLONE_NEWUSER);
	if (pid == 0)
		run_init(s);
	return pid;
}

static int say_no_namespaces(int err, struct errbuf *eb)
{
	if (err == -ENOSPC || err == -EUSERS)
		return err_say(eb, err,
			"this machine allows no more namespaces: raise /proc/sys/user/max_user_namespaces "
			"and "
			"max_net_namespaces");
	if (err == -EPERM || err == -EACCES)
		return err_say(eb, err,
			"this machine lets neither this user nor a container like this one make namespaces: "
			"run as root, "
			"or allow them (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu "
			"kernel.apparmor_restrict_unprivileged_userns=0; in a container --privileged)");
	return err_set(eb, err, "make a private user, network and mount namespace");
}

static int say_killed(int sig, struct errbuf *eb)
{
	if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
		return err_say(eb, -EINTR, "interrupted");
	if (sig == SIGPIPE)
		return err_say(eb, ERR_CLOSED, "nobody reads the output any more");
	return err_say(eb, ERR_CLOSED, "the sandbox was killed by signal %d (%s)", sig, strsignal(sig));
}

static int supervise(struct setup *s, struct errbuf *eb)
{
	bool root = geteuid() == 0;
	pid_t pid = start_init(s, root);
	if (pid < 0 && root && errno == EPERM)
		pid = start_init(s, false);
	if (pid < 0)
		return say_no_namespaces(-errno, eb);
	close(s->birth_fd);
	s->birth_fd = -1;
	return (int)pid;
}

int sandbox_run(int (*body)(void *arg), void *arg, struct errbuf *eb)
{
	int go[2] = { -1, -1 }, birth[2] = { -1, -1 };
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(birth, O_CLOEXEC) < 0) {
		int err = -errno;
		if (go[0] >= 0) {
			close(go[0]);
			close(go[1]);
		}
		return err_set(eb, err, "start the sandbox");
	}
	struct setup s = { .body = body,
		.arg = arg,
		.uid = geteuid(),
		.gid = getegid(),
		.go = { go[0], go[1] },
		.birth_fd = birth[1] };
	sigset_t set = watched_signals();
	sigprocmask(SIG_BLOCK, &set, &s.old_mask);
	fflush(NULL); /* or the children print it again */
	int pid = supervise(&s, eb), result = pid;
	struct birth b = { 0 };
	if (pid > 0 && read(birth[0], &b, sizeof(b)) == (ssize_t)sizeof(b)) {
		waitpid(pid, NULL, 0);
		result = b.err == -EPERM || b.err == -EACCES ? say_no_namespaces(b.err, eb)
							     : err_set(eb, b.err, "%s", b.text);
	} else if (pid > 0) {
		result = attend(pid, false);
		if (result >= STATUS_SIGNALLED)
			result = say_killed(result - STATUS_SIGNALLED, eb);
	}
	sigprocmask(SIG_SETMASK, &s.old_mask, NULL);
	close(go[0]);
	close(go[1]);
	close(birth[0]);
	if (s.birth_fd >= 0)
		close(s.birth_fd);
	return result;
}
