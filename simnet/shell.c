#include "simnet/lab/lab.h"
#include "simnet/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* An abstract socket leaves no file behind, however its process ends. Its name says whose lab it is; only the
 * same user is served. A request is one message: NODE NUL ARG NUL ARG NUL…, with the terminal (or stdin,
 * stdout, stderr) as file descriptors; the answer is the exit code in one byte, or a sentence. */
enum { REQUEST_MAX = 4096, ARGS_MAX = 64, FDS = 3 };

static socklen_t name_of(const struct shell_lab *lab, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un) { .sun_family = AF_UNIX };
	int n = snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1, "simnet/%d/%s", lab->pid, lab->name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int shell_listen(const char *name, struct errbuf *eb)
{
	struct shell_lab lab = { .pid = (int)getpid() };
	struct sockaddr_un sa;

	snprintf(lab.name, sizeof(lab.name), "%s", name);
	socklen_t len = name_of(&lab, &sa);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 8) < 0) {
		int err = err_set(eb, -errno, "listen for 'simnet shell'");
		if (fd >= 0)
			close(fd);
		return err;
	}
	return fd;
}

static bool is_ours(int pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &st) == 0 && st.st_uid == geteuid();
}

int shell_find(struct shell_lab *labs, int cap)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512];
	int n = 0;

	while (f && n < cap && fgets(line, sizeof(line), f)) {
		const char *name = strstr(line, " @simnet/");
		int i = 0;
		if (!name || sscanf(name, " @simnet/%d/%79[a-z0-9-]", &labs[n].pid, labs[n].name) != 2)
			continue;
		while (i < n && labs[i].pid != labs[n].pid)
			i++; /* a connection has the name too */
		n += i == n && is_ours(labs[n].pid);
	}
	if (f)
		fclose(f);
	return n;
}

/* ---- the lab's side */

struct session {
	struct shell_server *server;
	struct session *next;
	int fd, pidfd;
	pid_t pid;
	struct loop_fd *watch, *exit_watch;
};
struct shell_server {
	struct lab *lab;
	int fd;
	struct loop_fd *watch;
	struct session *sessions;
};

static void session_free(struct session *s)
{
	struct session **at = &s->server->sessions;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	loop_fd_free(s->watch);
	loop_fd_free(s->exit_watch);
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	if (s->pidfd >= 0)
		close(s->pidfd);
	close(s->fd);
	free(s);
}

static void shell_refuse(struct session *s, const char *why)
{
	char text[400];
	int n = snprintf(text, sizeof(text), "x%s", why);
	(void)!send(s->fd, text, (size_t)n, MSG_NOSIGNAL);
	session_free(s);
}

static void shell_ended(void *arg, int events)
{
	struct session *s = arg;
	siginfo_t info = { 0 };
	(void)events;

	if (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
		return;
	uint8_t code = (uint8_t)(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
	s->pid = -1;
	(void)!send(s->fd, &code, 1, MSG_NOSIGNAL);
	session_free(s);
}

__attribute__((noreturn)) static void become_shell(
	struct session *s, int node, char **argv, const int *fds, size_t n_fds)
{
	const struct lab *l = s->server->lab;
	char dir[512];
	char *const shell[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-i", NULL };

	setsid();
	for (int i = 0; i < FDS; i++)
		dup2(fds[n_fds == FDS ? i : 0], i);
	if (n_fds == 1)
		ioctl(0, TIOCSCTTY, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(dir, sizeof(dir), "%s# ", hosts_name(l->hosts, node));
	setenv("PS1", dir, 1);
	(void)!chdir(hosts_dir(l->hosts, node, dir, sizeof(dir)));
	execvp(argv[0] ? argv[0] : shell[0], argv[0] ? argv : shell);
	dprintf(2, "simnet: %s: %s\n", argv[0] ? argv[0] : shell[0], strerror(errno));
	_exit(127);
}

static void start_shell(struct session *s, char *text, size_t len, const int *fds, size_t n_fds)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	size_t n = 0;
	int node = hosts_find(s->server->lab->hosts, text);

	for (size_t at = strlen(text) + 1; at < len && n < ARGS_MAX; at += strlen(text + at) + 1)
		argv[n++] = text + at;
	if (node < 0) {
		shell_refuse(s, "no such node or router in the lab");
		return;
	}
	struct errbuf eb = { 0 };
	s->pid = hosts_fork(s->server->lab->hosts, node, &eb);
	if (s->pid == 0)
		become_shell(s, node, argv, fds, n_fds);
	s->pidfd = s->pid > 0 ? (int)syscall(SYS_pidfd_open, s->pid, 0) : -1;
	s->exit_watch = s->pidfd >= 0 ? loop_fd_new(s->server->lab->loop, s->pidfd, shell_ended, s) : NULL;
	if (s->exit_watch)
		loop_fd_set(s->exit_watch, LOOP_READ);
	else
		shell_refuse(s, "no process can be started");
}

static size_t take_fds(struct msghdr *m, int *fds)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < have; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < FDS)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static void request_received(void *arg, int events)
{
	struct session *s = arg;
	char text[REQUEST_MAX + 1], control[CMSG_SPACE(FDS * sizeof(int))];
	struct iovec iov = { .iov_base = text, .iov_len = REQUEST_MAX };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fds[FDS];
	(void)events;

	ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EAGAIN)
		return;
	size_t n_fds = n > 0 ? take_fds(&m, fds) : 0;
	if (n <= 0 || s->pid > 0) {
		session_free(s); /* the other side went away: its shell goes too */
		n_fds = 0;
	} else if (n_fds != 1 && n_fds != FDS) {
		shell_refuse(s, "a request without a terminal");
	} else {
		text[n] = '\0';
		start_shell(s, text, (size_t)n, fds, n_fds);
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
}

static void client_arrived(void *arg, int events)
{
	struct shell_server *server = arg;
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	(void)events;

	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct session *s = calloc(1, sizeof(*s));
	/* Abstract names have no permissions; another user's id does not map to ours here. */
	if (!s || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != geteuid()) {
		free(s);
		close(fd);
		return;
	}
	*s = (struct session) {
		.server = server, .next = server->sessions, .fd = fd, .pidfd = -1, .pid = -1
	};
	server->sessions = s;
	s->watch = loop_fd_new(server->lab->loop, fd, request_received, s);
	if (s->watch)
		loop_fd_set(s->watch, LOOP_READ);
	else
		session_free(s);
}

struct shell_server *shell_serve(struct lab *l, int listen_fd)
{
	struct shell_server *s = listen_fd < 0 ? NULL : calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct shell_server) { .lab = l, .fd = listen_fd };
	s->watch = loop_fd_new(l->loop, listen_fd, client_arrived, s);
	if (s->watch)
		loop_fd_set(s->watch, LOOP_READ);
	return s;
}

void shell_server_free(struct shell_server *s)
{
	if (!s)
		return;
	for (struct session *c = s->sessions, *next; c; c = next) {
		next = c->next;
		session_free(c);
	}
	loop_fd_free(s->watch);
	free(s);
}

/* ---- the user's side */

static int send_request(int fd, const char *node, const char *const *argv, const int *fds, size_t n_fds)
{
	char text[REQUEST_MAX], control[CMSG_SPACE(FDS * sizeof(int))] = { 0 };
	size_t len = strlen(node) + 1;

	if (len > sizeof(text))
		return -E2BIG;
	memcpy(text, node, len);
	for (; argv && *argv; argv++) {
		size_t n = strlen(*argv) + 1;
		if (n > sizeof(text) - len)
			return -E2BIG;
		memcpy(text + len, *argv, n);
		len += n;
	}
	struct iovec iov = { .iov_base = text, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n_fds * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int read_answer(int fd, struct errbuf *eb)
{
	char text[400];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n == 1)
		return (unsigned char)text[0];
	if (n > 1) {
		text[n] = '\0';
		return err_say(eb, ERR_REFUSED, "%s", text + 1);
	}
	return err_say(eb, ERR_CLOSED, "the lab ended");
}

static int open_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	const char *name = master >= 0 && !grantpt(master) && !unlockpt(master) ? ptsname(master) : NULL;
	struct winsize size;

	*slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (*slave < 0 && master >= 0) {
		close(master);
		return -1;
	}
	if (ioctl(0, TIOCGWINSZ, &size) == 0)
		ioctl(master, TIOCSWINSZ, &size);
	return master;
}

static bool copy_some(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	for (ssize_t at = 0; at < n;) {
		ssize_t w = write(to, buf + at, (size_t)(n - at));
		if (w <= 0)
			return false;
		at += w;
	}
	return n > 0;
}

/* Keys to the shell, its output to the screen, until the lab says that it ended. */
static int relay_terminal(int fd, int master, struct errbuf *eb)
{
	struct pollfd p[] = { { .fd = 0, .events = POLLIN }, { .fd = master, .events = POLLIN },
		{ .fd = fd, .events = POLLIN } };
	struct termios old, raw;
	bool tty = tcgetattr(0, &old) == 0;

	if (tty) {
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
	}
	while (poll(p, ARRAY_LEN(p), -1) >= 0 || errno == EINTR) {
		if ((p[1].revents & POLLIN) && !copy_some(master, 1))
			break;
		if ((p[0].revents & (POLLIN | POLLHUP)) && !copy_some(0, master))
			p[0].fd = -1;
		if (p[2].revents && !(p[1].revents & POLLIN))
			break;
		if ((p[1].revents & (POLLHUP | POLLERR)) && !(p[1].revents & POLLIN))
			p[1].fd = -1;
	}
	if (tty)
		tcsetattr(0, TCSANOW, &old);
	return read_answer(fd, eb);
}

int shell_run(const struct shell_lab *lab, const char *node, const char *const *argv, struct errbuf *eb)
{
	struct sockaddr_un sa;
	socklen_t len = name_of(lab, &sa);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), slave = -1, code;
	int master = isatty(0) && isatty(1) ? open_pty(&slave) : -1;
	const int plain[FDS] = { 0, 1, 2 };

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) < 0) {
		code = err_set(eb, -errno, "reach the lab of process %d", lab->pid);
	} else {
		code = master >= 0 ? send_request(fd, node, argv, &slave, 1)
				   : send_request(fd, node, argv, plain, FDS);
		if (slave >= 0)
			close(slave);
		slave = -1;
		if (code)
			err_set(eb, code, "ask the lab for a shell");
		else
			code = master >= 0 ? relay_terminal(fd, master, eb) : read_answer(fd, eb);
	}
	if (slave >= 0)
		close(slave);
	if (master >= 0)
		close(master);
	if (fd >= 0)
		close(fd);
	return code;
}
