#include "mesh/os/acceptor.h"
#include "mesh/os/terminal.h"
#include "simnet/lab/lab.h"
#include "simnet/overview.h"
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* An abstract socket leaves no file behind, however its process ends. Its name says whose lab it is; only the
 * same user is served. A request is one message: NODE NUL ARG NUL ARG NUL…, with the terminal (or stdin,
 * stdout, stderr) as file descriptors; the answer is the exit code in one byte, or 'x' and a sentence. NODE may be
 * INJECT, and ARG a step, which waits until the lab takes it; or LOGS, and ARG a node: the answer is 'f' with the file of
 * its log; or TOP: the same with a file of what `simnet top` shows. No node has such a name. */
#define INJECT "!inject"
#define LOGS "!logs"
#define TOP "!top"
enum { REQUEST_MAX = 32768, ARGS_MAX = 64, FDS = 3, OVERVIEW_MAX = 1 << 20, TOP_EVERY_MS = 1000 };

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

/* Anybody may listen by an abstract name, that of another user's lab too, and what is sent there is a terminal. */
static int connect_lab(const struct shell_lab *lab, int flags)
{
	struct sockaddr_un sa;
	struct ucred who = { 0 };
	socklen_t len = name_of(lab, &sa), n = sizeof(who);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0), err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		err = -errno;
	else if (who.uid != geteuid())
		err = -EACCES;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* Not waited for: whoever has that name may answer nobody. */
static bool is_ours(const struct shell_lab *lab)
{
	int fd = connect_lab(lab, SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
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
		n += i == n && is_ours(&labs[n]);
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
	struct shell_order *order; /* that it waits for */
};
struct shell_order {
	struct session *session; /* NULL: it has gone */
	struct shell_order *next;
	char *text;
	int out_fd;
};
struct shell_server {
	struct lab *lab;
	struct acceptor *acceptor;
	struct session *sessions;
	struct shell_order *orders; /* that nobody has taken yet, oldest first */
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
	if (s->order)
		s->order->session = NULL;
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

/* ---- orders */

static void free_order(struct shell_order *o)
{
	if (o->out_fd >= 0)
		close(o->out_fd);
	free(o->text);
	free(o);
}

static void queue_order(struct session *s, const char *text, int out_fd)
{
	struct shell_order *o = calloc(1, sizeof(*o)), **last = &s->server->orders;

	if (o)
		*o = (struct shell_order) {
			.session = s, .text = strdup(text), .out_fd = fcntl(out_fd, F_DUPFD_CLOEXEC, 3)
		};
	if (!o || !o->text || o->out_fd < 0) {
		if (o)
			free_order(o);
		shell_refuse(s, "no memory for a step");
		return;
	}
	while (*last)
		last = &(*last)->next;
	*last = s->order = o;
	lab_poke(s->server->lab);
}

bool shell_has_order(const struct shell_server *s)
{
	return s && s->orders;
}

struct shell_order *shell_next_order(struct shell_server *s)
{
	struct shell_order *o = s ? s->orders : NULL;

	if (o)
		s->orders = o->next;
	return o;
}

const char *shell_order_text(const struct shell_order *o)
{
	return o->text;
}

int shell_order_fd(const struct shell_order *o)
{
	return o->out_fd;
}

void shell_order_end(struct shell_order *o, int code, const char *why)
{
	uint8_t byte = (uint8_t)code;
	struct session *s = o->session;

	if (why)
		dprintf(o->out_fd, "%s", why);
	if (s) {
		s->order = NULL;
		(void)!send(s->fd, &byte, 1, MSG_NOSIGNAL);
		session_free(s);
	}
	free_order(o);
}

/* ---- logs */

static int send_fd(int to, char kind, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = &kind, .iov_len = 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The connection stays open: its end tells who follows that nothing more will come. */
static void give_log(struct session *s, const char *node)
{
	const struct lab *l = s->server->lab;
	int i = scenario_find_node(l->s, node);
	char path[600];

	if (i < 0) {
		shell_refuse(s, "no such node in the lab");
		return;
	}
	program_follow_log(&l->programs[i]);
	snprintf(path, sizeof(path), "%s/logs/%s.log", l->work_dir, node);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || send_fd(s->fd, 'f', fd))
		shell_refuse(s, "its log cannot be read");
	if (fd >= 0)
		close(fd);
}

static void give_overview(struct session *s)
{
	struct buf text = { .cap = OVERVIEW_MAX };
	int fd = memfd_create("top", MFD_CLOEXEC);
	bool ok = fd >= 0 && overview_write(s->server->lab, &text) &&
		  write(fd, buf_data(&text), text.len) == (ssize_t)text.len && lseek(fd, 0, SEEK_SET) == 0;

	if (!ok || send_fd(s->fd, 'f', fd))
		shell_refuse(s, "no memory for an overview");
	if (fd >= 0)
		close(fd);
	buf_free(&text);
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
	/* Two ends more than a request may have: one of its first word alone has an empty second. */
	char text[REQUEST_MAX + 2], control[CMSG_SPACE(FDS * sizeof(int))];
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
	} else if (s->order) {
		shell_refuse(s, "one thing at a time");
	} else if (text[n] = text[n + 1] = '\0', !strcmp(text, INJECT)) {
		queue_order(s, text + sizeof(INJECT), fds[n_fds == FDS ? 1 : 0]);
	} else if (!strcmp(text, LOGS)) {
		give_log(s, text + sizeof(LOGS));
	} else if (!strcmp(text, TOP)) {
		give_overview(s);
	} else {
		start_shell(s, text, (size_t)n, fds, n_fds);
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
}

static void client_arrived(void *arg, int fd, const struct endpoint *from)
{
	struct shell_server *server = arg;
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	(void)from;
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
	*s = (struct shell_server) { .lab = l };
	const struct acceptor_ops ops = { .arrived = client_arrived, .arg = s, .what = "this run's shell" };
	s->acceptor = acceptor_new(l->loop, listen_fd, &ops);
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
	for (struct shell_order *o; (o = shell_next_order(s));)
		free_order(o);
	acceptor_free(s->acceptor);
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
	bool tty = terminal_begin(TERMINAL_RAW);

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
		terminal_end();
	return read_answer(fd, eb);
}

/* A connection on which a request of two words has been sent, with our standard files; negative with eb. */
static int send_words(const struct shell_lab *lab, const char *kind, const char *word, struct errbuf *eb)
{
	const char *const argv[] = { word, NULL };
	const int plain[FDS] = { 0, 1, 2 };
	int fd = connect_lab(lab, 0), err = fd < 0 ? fd : 0;

	if (!err)
		err = send_request(fd, kind, argv, plain, FDS);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(eb, err, "reach the lab of process %d", lab->pid);
}

int shell_inject(const struct shell_lab *lab, const char *step, struct errbuf *eb)
{
	int fd = send_words(lab, INJECT, step, eb);

	if (fd < 0)
		return fd;
	fflush(stdout);
	int code = read_answer(fd, eb);
	close(fd);
	return code;
}

static int receive_log(int fd, struct errbuf *eb)
{
	char text[400], control[CMSG_SPACE(FDS * sizeof(int))];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fds[FDS];
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return err_say(eb, ERR_CLOSED, "the lab ended");
	if (take_fds(&m, fds) == 1)
		return fds[0];
	text[n] = '\0';
	return err_say(eb, ERR_REFUSED, "%s", text + 1);
}

int shell_logs(const struct shell_lab *lab, const char *node, bool follow, struct errbuf *eb)
{
	int fd = send_words(lab, LOGS, node, eb), log = fd < 0 ? fd : receive_log(fd, eb);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (log >= 0) {
		while (copy_some(log, STDOUT_FILENO))
			;
		/* A file tells nobody that it has grown. */
		if (!follow || poll(&p, 1, 100) != 0)
			break;
	}
	if (log >= 0)
		(void)copy_some(log, STDOUT_FILENO);
	if (fd >= 0)
		close(fd);
	if (log < 0)
		return log;
	close(log);
	return 0;
}

/* One picture; 1: the lab has ended. */
static int show_overview(const struct shell_lab *lab, bool screen, struct errbuf *eb)
{
	int fd = send_words(lab, TOP, "", eb), file = fd < 0 ? fd : receive_log(fd, eb);

	if (file >= 0 && screen)
		(void)!write(STDOUT_FILENO, "\033[H\033[2J", 7);
	while (file >= 0 && copy_some(file, STDOUT_FILENO))
		;
	if (file >= 0)
		close(file);
	if (fd >= 0)
		close(fd);
	return file < 0 ? file : 0;
}

int shell_top(const struct shell_lab *lab, struct errbuf *eb)
{
	bool screen = isatty(STDOUT_FILENO);
	struct pollfd p = { .fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1, .events = POLLIN };
	bool keys = screen && terminal_begin(TERMINAL_KEYS);
	int err;
	char key = 0;

	do {
		err = show_overview(lab, screen, eb);
		if (!err && screen)
			(void)!write(STDOUT_FILENO, "\nq ends this\n", 13);
	} while (!err && screen &&
		 (poll(&p, 1, TOP_EVERY_MS) <= 0 || (read(STDIN_FILENO, &key, 1) == 1 && key != 'q')));
	if (keys)
		terminal_end();
	return err;
}

int shell_run(const struct shell_lab *lab, const char *node, const char *const *argv, struct errbuf *eb)
{
	int fd = connect_lab(lab, 0), slave = -1, code;
	int master = isatty(0) && isatty(1) ? open_pty(&slave) : -1;
	const int plain[FDS] = { 0, 1, 2 };

	if (fd < 0) {
		code = err_set(eb, fd, "reach the lab of process %d", lab->pid);
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
