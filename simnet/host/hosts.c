#include "simnet/host/hosts.h"

#include "simnet/host/host_files.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A host is a process, its init: pid 1 of a pid namespace, forked into fresh mount, uts and IPC namespaces
 * while this process stands in the host's network. It mounts the host's files, says on a pipe that it is done
 * (or what failed), and from then on only reaps. Whoever wants into the host enters by the init's pidfd; when
 * the init is killed the kernel ends everything in the host. This process itself never leaves its own mounts.
 *
 *   NET      the network namespace is open, nothing else is there (a router's first state)
 *   BORN     the init runs and mounts; birth is the pipe it speaks on
 *   WHOLE    the init has said that it is done: the only state in which processes can be started */

enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC };
enum host_state { HOST_NONE, HOST_NET, HOST_BORN, HOST_WHOLE };

struct host {
	enum host_state state;
	struct netns net;
	pid_t init;
	int pidfd, birth; /* -1 = none */
};
struct hosts {
	const struct scenario *s;
	const char *work_dir;
	char *cwd; /* where programs start; NULL when it is gone */
	struct netns home;
	int home_pid_ns;
	struct rlimit files; /* what programs get: we hold more open than most may */
	struct host *list;
	size_t n;
};

struct birth { /* what an init says that could not mount */
	int err;
	char text[200];
};

const char *hosts_name(const struct hosts *h, int place)
{
	size_t i = (size_t)place;
	return i < h->s->n_nodes ? h->s->nodes[i].name : h->s->routers[i - h->s->n_nodes].name;
}

int hosts_place_of_router(const struct hosts *h, int router)
{
	return (int)h->s->n_nodes + router;
}

/* Whose processes, network and files a place has: a program of a router has the router's. */
static int host_of(const struct hosts *h, int place)
{
	const struct scn_node *n = (size_t)place < h->s->n_nodes ? &h->s->nodes[place] : NULL;
	return n && n->on_router ? hosts_place_of_router(h, n->router) : place;
}

int hosts_find(const struct hosts *h, const char *name)
{
	int node = scenario_find_node(h->s, name), router = scenario_find_router(h->s, name);
	return node >= 0 ? node : router >= 0 ? hosts_place_of_router(h, router) : -1;
}

const char *hosts_dir(const struct hosts *h, int place, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s/%s", h->work_dir, hosts_name(h, place));
	return buf;
}

const struct netns *hosts_net(const struct hosts *h, int place)
{
	return &h->list[host_of(h, place)].net;
}

const struct netns *hosts_home(const struct hosts *h)
{
	return &h->home;
}

pid_t hosts_init(const struct hosts *h, int place)
{
	return h->list[host_of(h, place)].init;
}

/* Back where simnet was started, or, where that is gone or not ours to enter, at the root. */
static bool go_home(const struct hosts *h)
{
	return (h->cwd && chdir(h->cwd) == 0) || chdir("/") == 0;
}

/* ---- a host's init ---- */

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void run_init(const struct hosts *h, int place, int birth)
{
	struct birth b = { 0 };
	struct errbuf eb = { 0 };
	sigset_t child;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "init");
	setsid();
	reset_signals();
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if ((b.err = host_files_mount(h->s, hosts_name(h, place), h->work_dir, &eb))) {
		snprintf(b.text, sizeof(b.text), "%.199s", eb.text);
		(void)!write(birth, &b, sizeof(b));
		_exit(1);
	}
	if (chdir("/") != 0)
		_exit(1);
	/* The pipes of others must end with their owners; closing `birth` is the good news. */
	(void)close_range(0, ~0U, 0);
	for (;;) {
		(void)sigwaitinfo(&child, NULL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* Like fork, into new namespaces. The raw call: glibc has no fork with flags. */
static pid_t fork_with(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0UL, NULL, NULL, 0UL);
}

/* In the host's network. */
static int bear(struct hosts *h, int place, struct errbuf *eb)
{
	struct host *one = &h->list[place];
	int birth[2];
	if (pipe2(birth, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "start the host %s", hosts_name(h, place));
	pid_t pid = fork_with(NAMESPACES);
	if (pid == 0)
		run_init(h, place, birth[1]);
	int err = pid < 0 ? -errno : 0;
	close(birth[1]);
	one->birth = birth[0];
	one->init = err ? -1 : pid;
	one->pidfd = err ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (!err && one->pidfd < 0)
		err = -errno;
	if (err == -ENOSPC)
		return err_say(eb, -ENOSYS,
			"this machine allows no more namespaces: raise max_pid_namespaces and "
			"max_mnt_namespaces in /proc/sys/user");
	if (err)
		return err_set(eb, err, "start the host %s", hosts_name(h, place));
	one->state = HOST_BORN;
	return 0;
}

/* Waits for the init's word. */
static int await(struct hosts *h, int place, struct errbuf *eb)
{
	struct host *one = &h->list[place];
	struct birth b;
	if (one->state != HOST_BORN)
		return 0;
	ssize_t n = read(one->birth, &b, sizeof(b));
	close(one->birth);
	one->birth = -1;
	if (n == (ssize_t)sizeof(b))
		return err_say(eb, b.err, "%s: %s", hosts_name(h, place), b.text);
	one->state = HOST_WHOLE;
	return 0;
}

static int complete(struct hosts *h, int place, struct errbuf *eb)
{
	struct host *one = &h->list[place];
	if (one->state != HOST_NET)
		return 0;
	int err = netns_enter(&one->net, eb);
	if (!err)
		err = bear(h, place, eb);
	netns_return(&h->home);
	return err ? err : await(h, place, eb);
}

/* ---- open and close ---- */

/* Two descriptors a host and the sockets of every probe: a big network needs more than the usual 1024. */
static void raise_file_limit(struct hosts *h)
{
	(void)getrlimit(RLIMIT_NOFILE, &h->files);
	struct rlimit more = { .rlim_cur = h->files.rlim_max, .rlim_max = h->files.rlim_max };
	(void)setrlimit(RLIMIT_NOFILE, &more);
}

static struct hosts *hosts_new(const struct scenario *s, const char *work_dir)
{
	struct hosts *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	*h = (struct hosts) { .s = s, .work_dir = work_dir, .home = netns_none, .home_pid_ns = -1 };
	h->cwd = getcwd(NULL, 0);
	h->list = calloc(s->n_nodes + s->n_routers + 1, sizeof(*h->list));
	if (!h->list) {
		hosts_close(h);
		return NULL;
	}
	h->n = s->n_nodes + s->n_routers;
	for (size_t i = 0; i < h->n; i++)
		h->list[i] = (struct host) { .net = netns_none, .init = -1, .pidfd = -1, .birth = -1 };
	return h;
}

/* The inits mount side by side. */
static int open_all(struct hosts *h, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; i < h->n && !err; i++) {
		if (host_of(h, (int)i) != (int)i)
			continue;
		err = netns_new(&h->list[i].net, eb);
		if (err)
			break;
		h->list[i].state = HOST_NET;
		if (i < h->s->n_nodes)
			err = bear(h, (int)i, eb);
	}
	netns_return(&h->home);
	for (size_t i = 0; i < h->n && !err; i++)
		err = await(h, (int)i, eb);
	return err;
}

static int open_machine(struct hosts *h, int node, struct errbuf *eb)
{
	const struct scn_machine *m = &h->s->nodes[node].machine;
	uid_t uid;
	gid_t gid;
	int err = hosts_user(h, node, &uid, &gid, eb);
	return err || !m->own_clock ? err : hosts_set_clock(h, node, m->clock_s, eb);
}

int hosts_open(const struct scenario *s, const char *work_dir, struct hosts **out, struct errbuf *eb)
{
	struct hosts *h = hosts_new(s, work_dir);
	if (!h)
		return err_set(eb, -ENOMEM, "make the hosts");
	raise_file_limit(h);
	fflush(NULL); /* or the inits print it again */
	int err = netns_open_own(&h->home, eb);
	h->home_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (!err && h->home_pid_ns < 0)
		err = err_set(eb, -errno, "open the pid namespace");
	if (!err)
		err = open_all(h, eb);
	for (int i = 0; i < (int)s->n_nodes && !err; i++)
		err = open_machine(h, i, eb);
	if (err)
		hosts_close(h);
	else
		*out = h;
	return err;
}

static void host_fini(struct host *one)
{
	if (one->pidfd >= 0)
		close(one->pidfd);
	if (one->birth >= 0)
		close(one->birth);
	netns_close(&one->net);
}

/* An init's end takes until whoever was born into its host has been waited for, and these may be our
 * children. */
static void end_inits(struct hosts *h)
{
	size_t left = 0;
	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].init > 0 && kill(h->list[i].init, SIGKILL) == 0)
			left++;
	while (left > 0) {
		pid_t pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno != EINTR)
			return;
		for (size_t i = 0; i < h->n && pid > 0; i++)
			left -= h->list[i].init == pid;
	}
}

void hosts_close(struct hosts *h)
{
	if (!h)
		return;
	end_inits(h);
	for (size_t i = 0; i < h->n; i++)
		host_fini(&h->list[i]);
	netns_close(&h->home);
	if (h->home_pid_ns >= 0)
		close(h->home_pid_ns);
	free(h->list);
	free(h->cwd);
	free(h);
}

/* ---- processes and sockets ---- */

static void become(const struct hosts *h, int place, struct errbuf *eb)
{
	const struct host *one = &h->list[host_of(h, place)];
	if (setns(one->net.fd, CLONE_NEWNET) < 0 || setns(one->pidfd, NAMESPACES & ~CLONE_NEWPID) < 0 ||
		!go_home(h)) {
		err_set(eb, -errno, "enter %s", hosts_name(h, place));
		return;
	}
	(void)setrlimit(RLIMIT_NOFILE, &h->files);
}

/* The child of a process whose children belong to another pid namespace is born there. */
static pid_t fork_there(struct hosts *h, int place, struct errbuf *eb)
{
	int host = host_of(h, place), err = complete(h, host, eb);
	if (err)
		return err;
	if (setns(h->list[host].pidfd, CLONE_NEWPID) < 0)
		return err_set(eb, -errno, "enter %s", hosts_name(h, place));
	fflush(NULL);
	pid_t pid = fork();
	err = pid < 0 ? -errno : 0;
	if (pid != 0 && setns(h->home_pid_ns, CLONE_NEWPID) < 0)
		abort(); /* whatever is started next would be in the wrong place */
	return err ? err_set(eb, err, "start a process on %s", hosts_name(h, place)) : pid;
}

pid_t hosts_fork(struct hosts *h, int place, struct errbuf *eb)
{
	pid_t pid = fork_there(h, place, eb);
	if (pid != 0)
		return pid;
	struct errbuf why = { 0 };
	become(h, place, &why);
	if (why.code) {
		dprintf(2, "simnet: %s\n", why.text);
		_exit(126);
	}
	return 0;
}

struct start { /* of a program on a host */
	int place;
	const char *const *argv, *const *env;
	uid_t uid;
	gid_t gid;
	int out, err, failed; /* failed: gets errno when there is no program to run */
};

static bool become_user(const struct start *s)
{
	return !s->uid || (setgroups(0, NULL) == 0 && setgid(s->gid) == 0 && setuid(s->uid) == 0);
}

static void run_child(const struct hosts *h, const struct start *s)
{
	struct errbuf eb = { 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	int null = open("/dev/null", O_RDONLY), out = fcntl(s->out, F_DUPFD, 3),
	    err_out = fcntl(s->err, F_DUPFD, 3);
	become(h, s->place, &eb);
	if (!eb.code && !become_user(s))
		err_set(&eb, -errno, "be another user on %s", hosts_name(h, s->place));
	if (eb.code || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err_out, 2) < 0) {
		dprintf(err_out, "simnet: %s\n", eb.text[0] ? eb.text : strerror(errno));
		_exit(126);
	}
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	reset_signals();
	/* execvpe wants them without const and changes nothing. */
	execvpe(s->argv[0], (char *const *)(uintptr_t)s->argv,
		s->env ? (char *const *)(uintptr_t)s->env : environ);
	int err = errno;
	(void)!write(s->failed, &err, sizeof(err));
	_exit(127);
}

static pid_t start_program(struct hosts *h, struct start *s, struct errbuf *eb)
{
	const char *name = hosts_name(h, s->place);
	int failed[2], err = 0;
	if (pipe2(failed, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "start %s on %s", s->argv[0], name);
	s->failed = failed[1];
	pid_t pid = fork_there(h, s->place, eb);
	if (pid == 0)
		run_child(h, s);
	close(failed[1]);
	if (pid > 0 && read(failed[0], &err, sizeof(err)) != (ssize_t)sizeof(err))
		err = 0; /* closed by exec */
	close(failed[0]);
	if (pid > 0 && err)
		waitpid(pid, NULL, 0);
	return err ? err_set(eb, -err, "start %s on %s", s->argv[0], name) : pid;
}

pid_t hosts_spawn(struct hosts *h, int place, const char *const *argv, const char *const *env,
	const int io[2], struct errbuf *eb)
{
	struct start s = { .place = place, .argv = argv, .env = env, .out = io[0], .err = io[1] };
	return start_program(h, &s, eb);
}

pid_t hosts_spawn_as(struct hosts *h, int place, const char *const *argv, const char *const *env,
	const int io[2], struct errbuf *eb)
{
	struct start s = { .place = place, .argv = argv, .env = env, .out = io[0], .err = io[1] };
	int err = hosts_user(h, place, &s.uid, &s.gid, eb);
	return err ? err : start_program(h, &s, eb);
}

/* ---- what a host is besides ---- */

const struct scn_machine *hosts_machine(const struct hosts *h, int place)
{
	return (size_t)place < h->s->n_nodes ? &h->s->nodes[place].machine : NULL;
}

/* In a child there, so that paths, mounts and processes are the host's; says errno in its status. */
static int hosts_do(
	struct hosts *h, int place, int (*act)(const void *arg), const void *arg, struct errbuf *eb)
{
	int status = 0;
	pid_t pid = hosts_fork(h, place, eb);
	if (pid == 0)
		_exit(act(arg));
	if (pid < 0)
		return (int)pid;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int signal_all(const void *arg)
{
	return kill(-1, *(const int *)arg) < 0 && errno != ESRCH ? errno : 0;
}

int hosts_signal(struct hosts *h, int place, int signo, struct errbuf *eb)
{
	int err = hosts_do(h, place, signal_all, &signo, eb);
	return err ? err_set(eb, err, "signal all that runs on %s", hosts_name(h, place)) : 0;
}

static int find_any(const void *arg)
{
	(void)arg;
	return kill(-1, 0) < 0 ? errno : 0; /* of a process itself and of init it says nothing */
}

bool hosts_busy(struct hosts *h, int place)
{
	struct errbuf eb;
	return hosts_do(h, place, find_any, NULL, &eb) == 0;
}

/* Which mount a file is on; 0: this kernel does not tell (before 5.8). By devices an overlay's files are not known. */
static uint64_t mount_of(int fd, const char *path)
{
	struct statx sx;
	bool known = statx(fd, path, *path ? 0 : AT_EMPTY_PATH, STATX_MNT_ID, &sx) == 0 &&
		     (sx.stx_mask & STATX_MNT_ID);
	return known ? sx.stx_mnt_id : 0;
}

/* Not the machine's: a folder on the way may be a link to one of these. As statx has a path. */
static bool is_of_host(int fd, const char *at)
{
	static const char *const own[] = { "/etc", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/var",
		"/tmp", "/run" };
	uint64_t mount = mount_of(fd, at);
	bool is = !mount;

	for (size_t i = 0; i < ARRAY_LEN(own) && mount != mount_of(AT_FDCWD, "/"); i++)
		is |= mount == mount_of(AT_FDCWD, own[i]);
	return is;
}

static int write_there(const void *arg)
{
	const struct hosts_file *f = arg;
	struct stat st;
	char path[512];
	snprintf(path, sizeof(path), "%s", f->path);
	for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return errno;
		if (!is_of_host(AT_FDCWD, path)) /* before anything is made there */
			return EXDEV;
	}
	if (lstat(f->path, &st) == 0 && S_ISLNK(st.st_mode)) /* as /etc/localtime */
		(void)unlink(f->path);
	int fd = open(f->path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (!is_of_host(fd, ""))
		return EXDEV;
	if (ftruncate(fd, 0) < 0)
		return errno;
	ssize_t n = write(fd, f->data, f->len);
	if (n < 0 || (size_t)n < f->len)
		return n < 0 ? errno : ENOSPC;
	return fchown(fd, f->owner, (gid_t)-1) < 0 || fchmod(fd, f->mode) < 0 ? errno : 0;
}

int hosts_write(struct hosts *h, int place, const struct hosts_file *f, struct errbuf *eb)
{
	int err = hosts_do(h, place, write_there, f, eb);
	if (err == -EXDEV)
		return err_say(eb, -ENOSYS, "%s of %s would be written on the machine itself", f->path,
			hosts_name(h, place));
	return err ? err_set(eb, err, "write %s on %s", f->path, hosts_name(h, place)) : 0;
}

/* The ids that this user namespace knows, one range a line. */
static bool is_mapped(uid_t uid)
{
	unsigned first, outside, n;
	bool mapped = false;
	FILE *f = fopen("/proc/self/uid_map", "re");
	while (f && !mapped && fscanf(f, "%u %u %u", &first, &outside, &n) == 3)
		mapped = uid >= first && uid - first < n;
	if (f)
		fclose(f);
	return mapped;
}

int hosts_user(const struct hosts *h, int place, uid_t *uid, gid_t *gid, struct errbuf *eb)
{
	const struct scn_machine *m = hosts_machine(h, place);
	*uid = 0;
	*gid = 0;
	if (!m || !m->user)
		return 0;
	char *end;
	unsigned long number = strtoul(m->user, &end, 10);
	const struct passwd *p = *end ? getpwnam(m->user) : getpwuid((uid_t)number);
	if (*end && !p)
		return err_say(eb, ERR_REFUSED, "%s: there is no user '%s' on this machine",
			hosts_name(h, place), m->user);
	*uid = p ? p->pw_uid : (uid_t)number;
	*gid = p ? p->pw_gid : (gid_t)number;
	return is_mapped(*uid)
		       ? 0
		       : err_say(eb, -ENOSYS,
				 "%s: nobody but root can be had in the namespaces of a user: 'user: %s' "
				 "needs root",
				 hosts_name(h, place), m->user);
}

const char *hosts_clock_file(const struct hosts *h, int place, char *buf, size_t cap)
{
	const struct scn_machine *m = hosts_machine(h, place);
	if (!m || !m->own_clock)
		return NULL;
	snprintf(buf, cap, "%s/.clock-%s", h->work_dir, hosts_name(h, place));
	return buf;
}

int hosts_set_clock(struct hosts *h, int place, int64_t off_s, struct errbuf *eb)
{
	char path[700];
	int fd = open(hosts_clock_file(h, place, path, sizeof(path)), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, &off_s, sizeof(off_s), 0);
	int err = n == (ssize_t)sizeof(off_s) ? 0 : errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	return err ? err_set(eb, err, "set the clock of %s", hosts_name(h, place)) : 0;
}

int hosts_socket(struct hosts *h, int place, int domain, int type, int protocol, struct errbuf *eb)
{
	int err = netns_enter(hosts_net(h, place), eb);
	if (err)
		return err;
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	err = fd < 0 ? -errno : 0;
	netns_return(&h->home);
	return err ? err_set(eb, err, "open a socket on %s", hosts_name(h, place)) : fd;
}
