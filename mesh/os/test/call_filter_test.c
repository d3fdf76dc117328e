/* In children, since a filter stays: what a program does goes on, what it never does is refused and said. */
#include "mesh/os/call_filter.h"
#include "mesh/base/log.h"
#include "mesh/os/child.h"
#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include "mesh/os/privilege.h"
#include "mesh/os/resolve.h"
#include "mesh/os/work.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	ALL_USES = CALL_WRITES_FILES | CALL_SETS_UP_NETWORK | CALL_RUNS_PROGRAMS,
	NO_SUCH_CALL = 900,
	CHILD_MS = 10000
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED_BUILD = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED_BUILD = 1 };
#else
enum { SANITIZED_BUILD = 0 };
#endif
#else
enum { SANITIZED_BUILD = 0 };
#endif

/* The number of the first line that is not so. */
#define MUST(x) \
	do { \
		if (!(x)) \
			_exit(__LINE__ & 0xff); \
	} while (0)

static void set_filter(unsigned uses)
{
	struct errbuf eb = { 0 };
	if (call_filter_set(uses, &eb) != 0) {
		fprintf(stderr, "%s\n", eb.text);
		MUST(false);
	}
}

/* --- what is refused --- */

static long try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}
static long try_mount(void)
{
	return mount("none", "/tmp", "tmpfs", 0, NULL);
}
static long try_module(void)
{
	return syscall(SYS_init_module, "", 0UL, "");
}
static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0U);
}
static long try_write_and_run(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}
static long try_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}
static long try_terminal(void)
{
	char c = 'x';
	return ioctl(0, TIOCSTI, &c);
}
static long try_clone_space(void)
{
	return syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | SIGCHLD), 0UL, 0UL, 0UL, 0UL);
}
static long try_keys(void)
{
	return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}
static long try_unknown(void)
{
	return syscall(NO_SUCH_CALL);
}
static long try_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0UL);
}
static long try_exec(void)
{
	return execl("/bin/true", "true", NULL);
}
static long try_netfilter(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 12);
}
static long try_write_file(void)
{
	return rename("/nonexistent/a", "/nonexistent/b");
}
/* Each way to a file that is another afterwards. */
static long try_open(int flags)
{
	int fd = openat(AT_FDCWD, "/dev/null", flags, 0600);
	if (fd >= 0)
		close(fd);
	return fd;
}
static long try_open_write(void)
{
	return try_open(O_WRONLY);
}
static long try_open_both(void)
{
	return try_open(O_RDWR | O_CLOEXEC);
}
static long try_open_create(void)
{
	return try_open(O_RDONLY | O_CREAT);
}
static long try_open_empty(void)
{
	return try_open(O_RDONLY | O_TRUNC);
}
#ifdef SYS_open
static long try_old_open(void)
{
	return syscall(SYS_open, "/dev/null", O_WRONLY);
}
#endif
static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static const struct {
	long (*call)(void);
	unsigned uses;
	int error;
	const char *name; /* in the log; NULL: nothing is said */
} refused[] = {
	{ try_unshare, ALL_USES, EPERM, "unshare" },
	{ try_mount, ALL_USES, EPERM, "mount" },
	{ try_module, ALL_USES, EPERM, "init_module" },
	{ try_bpf, ALL_USES, EPERM, "bpf" },
	{ try_write_and_run, ALL_USES, EPERM, "mmap" },
	{ try_packet_socket, ALL_USES, EPERM, "socket" },
	{ try_terminal, ALL_USES, EPERM, "ioctl" },
	{ try_clone_space, ALL_USES, EPERM, "clone" },
	{ try_keys, ALL_USES, EPERM, "keyctl" },
	{ try_unknown, ALL_USES, ENOSYS, "without a name" },
	{ try_clone3, ALL_USES, ENOSYS, NULL },
	{ try_exec, CALL_WRITES_FILES | CALL_SETS_UP_NETWORK, EPERM, "execve" },
	{ try_netfilter, CALL_WRITES_FILES, EPERM, "socket" },
	{ try_write_file, 0, EPERM, "rename" },
	{ try_open_write, 0, EPERM, "openat" },
	{ try_open_both, 0, EPERM, "openat" },
	{ try_open_create, CALL_SETS_UP_NETWORK, EPERM, "openat" },
	{ try_open_empty, 0, EPERM, "openat" },
#ifdef SYS_open
	{ try_old_open, 0, EPERM, "open" },
#endif
};

/* Runs what in a child, its standard error in said. */
static void in_child(void (*what)(void *arg), void *arg, char *said, size_t cap)
{
	int status, fd[2];
	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	if (!pid) {
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		what(arg);
		_exit(0);
	}
	close(fd[1]);
	size_t n = 0;
	for (ssize_t got; n + 1 < cap && (got = read(fd[0], said + n, cap - 1 - n)) > 0;)
		n += (size_t)got;
	said[n] = 0;
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("status %x (line %d modulo 256): %s", (unsigned)status, WEXITSTATUS(status), said);
}

static void refuse_row(void *arg)
{
	const size_t i = *(size_t *)arg;
	set_filter(refused[i].uses);
	MUST((refused[i].call() == -1 && errno == refused[i].error) ||
		(fprintf(stderr, "row %zu: %s\n", i, strerror(errno)), false));
	MUST(refused[i].call() == -1 && errno == refused[i].error); /* and it lives */
}

static void test_refused(void **state)
{
	char text[4096], want[80];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		in_child(refuse_row, &i, text, sizeof(text));
		snprintf(want, sizeof(want), "system call %s (", refused[i].name ? refused[i].name : "");
		const char *at = strstr(text, want);
		if (!refused[i].name ? *text != 0 : !at || !strstr(at, "os_call_filter_test+0x"))
			fail_msg("row %zu: the log has \"%s\"", i, text);
		if (at && strstr(at + 1, "system call "))
			fail_msg("row %zu is said twice: %s", i, text);
	}
}

static void no_ptrace(void *arg)
{
	(void)arg;
	set_filter(ALL_USES);
	MUST(try_ptrace() == -1 && errno == EPERM);
}

static void test_no_ptrace(void **state)
{
	char text[4096];
	(void)state;
	if (SANITIZED_BUILD) {
		print_message("the sanitizer traces this process itself\n");
		skip();
	}
	in_child(no_ptrace, NULL, text, sizeof(text));
}

/* A thread that was there before, as those of a pool. */
static atomic_int go;
static void *old_thread(void *arg)
{
	(void)arg;
	while (!go)
		sched_yield();
	return (void *)(intptr_t)(unshare(CLONE_NEWUTS) == -1 && errno == EPERM);
}

static void all_threads(void *arg)
{
	pthread_t t;
	void *was;
	(void)arg;
	MUST(pthread_create(&t, NULL, old_thread, NULL) == 0);
	set_filter(ALL_USES);
	go = 1;
	MUST(pthread_join(t, &was) == 0 && was);
}

static void test_all_threads(void **state)
{
	char text[4096];
	(void)state;
	in_child(all_threads, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "system call unshare"));
}

/* --- what goes on --- */

static void run_work(void *arg)
{
	char path[600];
	struct errbuf eb = { 0 };
	struct buf got = { 0 };
	snprintf(path, sizeof(path), "%s/file", (const char *)arg);
	MUST(file_write_atomic(path, 0600, "text", 4, &eb) == 0);
	MUST(file_read(path, 100, &got, &eb) == 0 && got.len == 4);
	MUST(unlink(path) == 0);
	buf_free(&got);
}

static void work_ended(void *arg)
{
	(void)arg;
}

static void child_done(void *arg, int code, const char *why)
{
	MUST(code == 0 || (fprintf(stderr, "%s\n", why), false));
	loop_stop(arg);
}

static void looked_up(void *arg, int code, const struct endpoint *at, size_t n, const char *why)
{
	(void)at;
	MUST((code == 0 && n) || (fprintf(stderr, "%s\n", why), false));
	loop_stop(arg);
}

static void work_on(void *arg)
{
	const char *const argv[] = { "sh", "-c", "cat >/dev/null; test $(id -u) -ge 0", NULL };
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	set_filter(ALL_USES);
	struct work *w = work_start(l, run_work, work_ended, arg);
	MUST(w);
	work_finish(w);
	MUST(child_run(argv, "input", 5, CHILD_MS, &eb) == 0);
	MUST(child_start(l, argv, "input", 5, CHILD_MS, child_done, l, &eb));
	loop_run(l);
	MUST(resolve_start(l, "localhost", looked_up, l));
	loop_run(l);
	char *big = malloc(64 << 20);
	MUST(big);
	memset(big, 1, 64 << 20);
	free(big);
	loop_free(l);
}

static void test_works_on(void **state)
{
	char text[4096] = "", dir[] = "/tmp/rw-calls-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(dir));
	in_child(work_on, dir, text, sizeof(text));
	assert_int_equal(rmdir(dir), 0);
	assert_string_equal(text, "");
}

/* The child's end says why. */
static void run_forbidden(void *arg)
{
	const char *const argv[] = { "unshare", "--user", "true", NULL };
	struct errbuf eb = { 0 };
	(void)arg;
	set_filter(ALL_USES);
	MUST(child_run(argv, NULL, 0, CHILD_MS, &eb) == ERR_REFUSED && strstr(eb.text, "Bad system call"));
}

static void test_started_programs(void **state)
{
	char text[4096];
	(void)state;
	in_child(run_forbidden, NULL, text, sizeof(text));
}

static void begin(void *arg)
{
	(void)arg;
	log_setup(LOG_INFO, false);
	call_filter_begin(ALL_USES);
}

static void begin_without(void *arg)
{
	(void)arg;
	log_setup(LOG_INFO, false);
	/* As in a container that allows no filters of one's own: the next one is refused by this one. */
	set_filter(0);
	call_filter_begin(0);
}

static void test_says_so(void **state)
{
	char text[4096];
	(void)state;
	in_child(begin, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "system calls are filtered"));
	in_child(begin_without, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "none are filtered here"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_ptrace),
		cmocka_unit_test(test_all_threads),
		cmocka_unit_test(test_works_on),
		cmocka_unit_test(test_started_programs),
		cmocka_unit_test(test_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
