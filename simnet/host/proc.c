#include "simnet/host/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4 << 20, READS_PER_WAKEUP = 16, OUT_MAX = 4 << 20 };

struct pipe_end {
	int fd;
	struct loop_fd *watch;
	struct buf line;
};
struct proc {
	struct proc_place at;
	const struct proc_ops *ops;
	void *owner;
	pid_t pid;
	int pidfd;
	struct loop_fd *exit_watch;
	struct pipe_end ends[2]; /* standard output, standard error */
};

/* ---- which file a program name means */

static bool try_file(const char *dir, size_t len, const char *name, int how, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%.*s/%s", (int)len, dir, name);
	return n > 0 && (size_t)n < cap && access(out, how) == 0;
}

static bool try_path(const char *dir, size_t len, const char *name, char *out, size_t cap)
{
	return try_file(dir, len, name, X_OK, out, cap);
}

static bool own_folder(char *out, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", out, cap - 1);
	char *slash;

	out[n > 0 ? n : 0] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
	return slash;
}

/* "v1.2.3/tailscaled": foreign programs have a folder for each version, see ci/peers/install. */
static bool find_peer(const char *name, char *out, size_t cap)
{
	const char *dir = getenv("RW_PEERS_DIR"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[512];

	if (dir)
		return try_path(dir, strlen(dir), name, out, cap);
	snprintf(path, sizeof(path), "%s%s/ropewalk-peers",
		cache  ? cache
		: home ? home
		       : "",
		cache ? "" : "/.cache");
	return try_path(path, strlen(path), name, out, cap);
}

bool proc_find(const char *name, char *out, size_t cap)
{
	const char *dir = getenv("RW_BIN_DIR"), *path = getenv("PATH");
	char self[512];

	if (name[0] == '/' || name[0] == '.')
		return (size_t)snprintf(out, cap, "%s", name) < cap && access(out, X_OK) == 0;
	if (strchr(name, '/'))
		return find_peer(name, out, cap);
	if (dir && try_path(dir, strlen(dir), name, out, cap))
		return true;
	if (own_folder(self, sizeof(self)) && try_path(self, strlen(self), name, out, cap))
		return true;
	while (path && *path) {
		size_t len = strcspn(path, ":");
		if (len && try_path(path, len, name, out, cap))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* ---- output */

static void end_pipe(struct pipe_end *e)
{
	loop_fd_free(e->watch);
	e->watch = NULL;
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
	buf_free(&e->line);
}

static void give_lines(struct proc *p, unsigned which, bool all)
{
	struct pipe_end *e = &p->ends[which];

	while (e->line.len) {
		uint8_t *text = buf_data(&e->line), *nl = memchr(text, '\n', e->line.len);
		size_t n = nl ? (size_t)(nl - text) : e->line.len;
		if (!nl && !all && n < LINE_MAX_BYTES)
			return;
		char *line = strndup((const char *)text, n);
		buf_consume(&e->line, n + (nl != NULL));
		if (line && p->ops->line)
			p->ops->line(p->owner, which == 1, line);
		free(line);
	}
}

static void read_pipe(struct proc *p, unsigned which)
{
	struct pipe_end *e = &p->ends[which];

	for (unsigned i = 0; i < READS_PER_WAKEUP && e->fd >= 0; i++) {
		uint8_t *room = buf_room(&e->line, 4096);
		ssize_t n = room ? read(e->fd, room, 4096) : -1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (n == 0) {
			give_lines(p, which, true);
			end_pipe(e);
			return;
		}
		buf_grown(&e->line, (size_t)n);
		give_lines(p, which, false);
	}
}

static void out_readable(void *arg, int events)
{
	(void)events;
	read_pipe(arg, 0);
}

static void err_readable(void *arg, int events)
{
	(void)events;
	read_pipe(arg, 1);
}

static int open_pipe(struct proc *p, unsigned which, int *child_end, struct errbuf *eb)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(eb, -errno, "make a pipe for a program's output");
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	p->ends[which].fd = fds[0];
	p->ends[which].watch = loop_fd_new(p->at.loop, fds[0], which ? err_readable : out_readable, p);
	*child_end = fds[1];
	if (!p->ends[which].watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(p->ends[which].watch, LOOP_READ);
	return 0;
}

/* ---- its end */

static void proc_release(struct proc *p)
{
	end_pipe(&p->ends[0]);
	end_pipe(&p->ends[1]);
	loop_fd_free(p->exit_watch);
	if (p->pidfd >= 0)
		close(p->pidfd);
	free(p);
}

static void process_exited(void *arg, int events)
{
	struct proc *p = arg;
	siginfo_t info = { 0 };
	(void)events;

	if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
		return;
	p->pid = -1;
	for (unsigned i = 0; i < 2; i++)
		if (p->ends[i].fd >= 0) {
			read_pipe(p, i);
			give_lines(p, i, true);
		}
	int status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	void (*exited)(void *, int) = p->ops->exited;
	void *owner = p->owner;
	struct loop *loop = p->at.loop;
	proc_release(p);
	exited(owner, status);
	loop_stop(loop);
}

/* ---- start */

enum { OWN_VARIABLES = 5 };
struct environment {
	const char **env;
	char *own;
	char home[400], path[1400], preload[600], clock[700], asan[300];
};

static bool is_variable(const char *entry, const char *key)
{
	size_t len = strlen(key);
	return !strncmp(entry, key, len) && entry[len] == '=';
}

/* Of the machine's, what is not the host's own. */
static bool is_inherited(const char *entry, const struct scn_machine *m)
{
	bool ours =
		!is_variable(entry, "HOME") && !is_variable(entry, "PATH") && strncmp(entry, "XDG_", 4) != 0;

	for (size_t i = 0; m && i < m->n_env; i++)
		ours = ours && !is_variable(entry, m->env[i].key);
	return ours;
}

/* As Debian has it a library that is installed may not be run. */
static bool try_library(const char *dir, char *out, size_t cap)
{
	return try_file(dir, strlen(dir), "clock_shift.so", R_OK, out, cap);
}

/* The library that gives programs a clock of their own: in RW_BIN_DIR, beside simnet, or installed with it, wherever that
 * is. */
static bool find_preload(char *out, size_t cap)
{
	const char *bin = getenv("RW_BIN_DIR");
	char self[512];

	if (bin && try_library(bin, out, cap))
		return true;
	if (!own_folder(self, sizeof(self) - strlen(SIMNET_LIBRARIES)))
		return false;
	if (try_library(self, out, cap))
		return true;
	strcat(self, SIMNET_LIBRARIES);
	return try_library(self, out, cap);
}

static int find_clock(char *out, size_t cap, struct errbuf *eb)
{
	return find_preload(out, cap)
		       ? 0
		       : err_say(eb, -ENOSYS,
				 "no clock_shift.so beside simnet: a clock of one's own needs it");
}

int proc_can_have_clock(struct errbuf *eb)
{
	char library[560];
	return find_clock(library, sizeof(library), eb);
}

static int add_clock(struct environment *e, const struct proc_place *at, size_t *k, struct errbuf *eb)
{
	const char *asan = getenv("ASAN_OPTIONS");
	char library[560], file[680];

	if (!hosts_clock_file(at->hosts, at->host, file, sizeof(file)))
		return 0;
	int err = find_clock(library, sizeof(library), eb);
	if (err)
		return err;
	snprintf(e->preload, sizeof(e->preload), "LD_PRELOAD=%s", library);
	snprintf(e->clock, sizeof(e->clock), "SIMNET_CLOCK=%s", file);
	/* A program with that runtime wants to be loaded first. */
	snprintf(e->asan, sizeof(e->asan), "ASAN_OPTIONS=%s%sverify_asan_link_order=0", asan ? asan : "",
		asan ? ":" : "");
	e->env[(*k)++] = e->preload;
	e->env[(*k)++] = e->clock;
	e->env[(*k)++] = e->asan;
	return 0;
}

/* KEY=VALUE of the file's variables, one after the other. */
static bool set_own(struct environment *e, const struct scn_machine *m)
{
	size_t len = 1;
	for (size_t i = 0; i < m->n_env; i++)
		len += strlen(m->env[i].key) + strlen(m->env[i].value) + 2;
	char *at = e->own = malloc(len);
	for (size_t i = 0; at && i < m->n_env; i++) {
		e->env[i] = at;
		at += sprintf(at, "%s=%s", m->env[i].key, m->env[i].value) + 1;
	}
	return e->own;
}

static void drop_environment(struct environment *e)
{
	free(e->own);
	free(e->env);
}

/* The file's variables, then ours, but with a home of the node's own and our programs first in PATH. */
static int set_environment(struct environment *e, const struct proc_place *at, struct errbuf *eb)
{
	const struct scn_machine *m = hosts_machine(at->hosts, at->host);
	const char *bin = getenv("RW_BIN_DIR"), *path = getenv("PATH");
	char self[512] = "", dir[390];
	size_t n = 0, k = 0, own = m ? m->n_env : 0;

	while (environ[n])
		n++;
	e->env = calloc(n + own + OWN_VARIABLES + 1, sizeof(*e->env));
	if (!e->env || (own && !set_own(e, m)))
		return err_say(eb, -ENOMEM, "out of memory");
	k = own;
	own_folder(self, sizeof(self));
	snprintf(e->home, sizeof(e->home), "HOME=%s", hosts_dir(at->hosts, at->host, dir, sizeof(dir)));
	snprintf(e->path, sizeof(e->path), "PATH=%s%s%s:%s", bin ? bin : "", bin ? ":" : "", self,
		path ? path : "/usr/bin:/bin");
	bool clock = hosts_clock_file(at->hosts, at->host, self, sizeof(self));
	for (size_t i = 0; i < n; i++)
		if (is_inherited(environ[i], m) && !(clock && is_variable(environ[i], "ASAN_OPTIONS")))
			e->env[k++] = environ[i];
	bool has_home = false;
	for (size_t i = 0; i < own; i++)
		has_home |= is_variable(e->env[i], "HOME");
	if (!has_home)
		e->env[k++] = e->home;
	e->env[k++] = e->path;
	return add_clock(e, at, &k, eb);
}

static int spawn_in(struct proc *p, const char *const *argv, const int child_ends[2], struct errbuf *eb)
{
	char path[700];
	struct environment e = { 0 };
	size_t n = 0;

	if (!proc_find(argv[0], path, sizeof(path)))
		return err_say(eb, -ENOENT, "no program '%s': %s", argv[0],
			strchr(argv[0], '/') && argv[0][0] != '/' && argv[0][0] != '.'
				? "not in RW_PEERS_DIR or its default; ci/peers/install builds foreign "
				  "programs"
				: "not in RW_BIN_DIR, beside simnet, or in PATH");
	while (argv[n])
		n++;
	const char **full = calloc(n + 1, sizeof(*full));
	int err = full ? set_environment(&e, &p->at, eb) : err_say(eb, -ENOMEM, "out of memory");
	if (!err && full) {
		memcpy(full, argv, n * sizeof(*full));
		full[0] = path;
		p->pid = (p->at.as_user ? hosts_spawn_as : hosts_spawn)(
			p->at.hosts, p->at.host, full, e.env, child_ends, eb);
		err = p->pid < 0 ? p->pid : 0;
	}
	free(full);
	drop_environment(&e);
	if (err)
		return err;
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return err_set(eb, -errno, "watch process %d", (int)p->pid);
	p->exit_watch = loop_fd_new(p->at.loop, p->pidfd, process_exited, p);
	if (!p->exit_watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(p->exit_watch, LOOP_READ);
	return 0;
}

struct proc *proc_start(const struct proc_place *at, const char *const *argv, const struct proc_ops *ops,
	void *owner, struct errbuf *eb)
{
	struct proc *p = calloc(1, sizeof(*p));
	int child_ends[2] = { -1, -1 };

	if (!p) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*p = (struct proc) { .at = *at, .ops = ops, .owner = owner, .pid = -1, .pidfd = -1 };
	p->ends[0].fd = p->ends[1].fd = -1;
	int err = open_pipe(p, 0, &child_ends[0], eb);
	if (!err)
		err = open_pipe(p, 1, &child_ends[1], eb);
	if (!err)
		err = spawn_in(p, argv, child_ends, eb);
	for (unsigned i = 0; i < 2; i++)
		if (child_ends[i] >= 0)
			close(child_ends[i]);
	if (!err)
		return p;
	proc_free(p);
	return NULL;
}

pid_t proc_pid(const struct proc *p)
{
	return p->pid;
}

void proc_signal(struct proc *p, int signo)
{
	if (p && p->pid > 0)
		syscall(SYS_pidfd_send_signal, p->pidfd, signo, NULL, 0);
}

void proc_free(struct proc *p)
{
	if (!p)
		return;
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	proc_release(p);
}

/* ---- jobs */

struct job {
	struct proc *proc;
	struct loop_timer *timer;
	void (*done)(void *owner, const struct job_result *r);
	void *owner;
	struct buf out, said;
	char *last_err; /* line; one that a program of `words` begins with its name goes before all others */
	bool is_signed;
	char *words; /* all arguments, separated by blanks */
	bool timed_out;
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* "curl: (60) SSL certificate problem" of a command with curl in it: many say the reason so, and then give advice. */
static bool names_its_program(const char *words, const char *line)
{
	size_t n = 0;

	while (is_name_char(line[n]))
		n++;
	if (!n || line[n] != ':' || line[n + 1] != ' ')
		return false;
	for (const char *at = words; at && *at; at++)
		if (!strncmp(at, line, n) && !is_name_char(at[n]) && (at == words || !is_name_char(at[-1])))
			return true;
	return false;
}

static char *join_words(const char *const *argv)
{
	struct buf all = { .cap = 1 << 20 };
	bool ok = true;

	for (; *argv && ok; argv++)
		ok = buf_printf(&all, "%s ", *argv);
	char *text = ok && all.len ? strdup(buf_cstr(&all)) : NULL; /* without it the last line is as good */
	buf_free(&all);
	return text;
}

static void keep_line(void *owner, bool err, const char *line)
{
	struct job *j = owner;

	(void)buf_printf(&j->said, "%s\n", line);
	if (!err) {
		(void)buf_printf(&j->out, "%s\n", line); /* what passes the cap is left out */
		return;
	}
	bool is_signed = names_its_program(j->words, line);
	if (!*line || (j->is_signed && !is_signed))
		return;
	free(j->last_err);
	j->last_err = strdup(line);
	j->is_signed = is_signed;
}

const char *job_last_words(const struct job_result *r, char *buf, size_t cap)
{
	const char *text = r->out->len ? (const char *)buf_data(r->out) : "";
	size_t end = r->out->len;

	if (r->last_err)
		return r->last_err;
	while (end && text[end - 1] == '\n')
		end--;
	size_t at = end;
	while (at && text[at - 1] != '\n')
		at--;
	snprintf(buf, cap, "%.*s", (int)(end - at < cap ? end - at : cap - 1), text + at);
	return buf;
}

static void job_exited(void *owner, int status)
{
	struct job *j = owner;
	struct job_result r = { .status = status,
		.timed_out = j->timed_out,
		.out = &j->out,
		.said = &j->said,
		.last_err = j->last_err };

	j->proc = NULL;
	j->done(j->owner, &r);
	job_free(j);
}

static void job_timed_out(void *arg)
{
	struct job *j = arg;
	j->timed_out = true;
	proc_signal(j->proc, SIGKILL);
}

struct job *job_start(const struct proc_place *at, const char *const *argv, uint64_t timeout_ms,
	void (*done)(void *owner, const struct job_result *r), void *owner, struct errbuf *eb)
{
	static const struct proc_ops ops = { .line = keep_line, .exited = job_exited };
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*j = (struct job) {
		.done = done, .owner = owner, .out = { .cap = OUT_MAX }, .said = { .cap = OUT_MAX }
	};
	j->words = join_words(argv);
	j->timer = loop_timer_new(at->loop, job_timed_out, j);
	j->proc = proc_start(at, argv, &ops, j, eb);
	if (!j->proc || !j->timer) {
		job_free(j);
		return NULL;
	}
	loop_timer_set(j->timer, timeout_ms);
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	proc_free(j->proc);
	loop_timer_free(j->timer);
	buf_free(&j->out);
	buf_free(&j->said);
	free(j->last_err);
	free(j->words);
	free(j);
}
