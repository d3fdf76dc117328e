/* One table: which system calls are allowed, in groups by what needs them, and for which use. call_program.c makes of it a
 * program for the kernel, for the machine's own architecture; calls of others (32-bit programs) do not exist. libseccomp knows
 * the numbers, and nothing else of it is used: its generator passes over a failed allocation, and leaves a part out or crashes.
 * The kernel answers a call that is not in the table with SIGSYS, in the thread that made it, and the handler makes an error
 * of it. So a list that is too short shows as a failed call and a line in the log, never as a process that is gone.
 *
 * The handler may do what handlers of other signals may not: SIGSYS comes from the refused call itself, so no lock of
 * malloc, stdio or the log is held by what it interrupts: none of them makes a call that is refused. */
#include "mesh/os/call_filter.h"
#include "mesh/base/log.h"
#include "mesh/os/call_program.h"
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { FRAMES = 24, FRAMES_SAID = 4, CALLS_SAID = 1024, SANITIZED = 1 << 30, CALL_NAME = 40 };

/* What the sanitizers' runtimes ask for besides; they watch the process from inside, and trace it at its end. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define RW_SANITIZED SANITIZED
#endif
#endif
#if !defined(RW_SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define RW_SANITIZED SANITIZED
#endif
#ifndef RW_SANITIZED
#define RW_SANITIZED 0
#endif

/* Names as the kernel has them; those that an architecture lacks are skipped, as open(2) on arm64. */
static const struct {
	unsigned uses; /* one of them is enough; 0: all programs */
	const char *calls;
} call_groups[] = {
	/* malloc, loading of name service modules, locked keys */
	{ 0, "brk munmap mremap madvise mincore msync mlock mlock2 munlock memfd_create membarrier" },
	/* threads of libuv's pool, and how a process ends or finds out about itself */
	{ 0, "futex futex_waitv set_robust_list get_robust_list rseq set_tid_address sched_yield "
	     "sched_getaffinity sched_getparam sched_getscheduler getcpu gettid tgkill tkill exit exit_group "
	     "arch_prctl prctl restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending "
	     "rt_sigtimedwait rt_sigsuspend sigaltstack getpid getppid getpgrp getpgid getsid getuid geteuid "
	     "getgid "
	     "getegid getresuid getresgid getgroups capget getrusage getrlimit prlimit64 sysinfo uname "
	     "getrandom" },
	{ 0, "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times timerfd_create "
	     "timerfd_settime timerfd_gettime setitimer getitimer" },
	/* descriptors of any kind, and waiting for them */
	{ 0, "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close "
	     "close_range "
	     "dup dup2 dup3 fcntl pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl "
	     "epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd4 inotify_init1 inotify_add_watch "
	     "inotify_rm_watch sendfile splice" },
	{ 0, "stat lstat fstat newfstatat statx access faccessat faccessat2 readlink readlinkat "
	     "getdents getdents64 getcwd statfs fstatfs flock fadvise64" },
	{ 0, "socketpair connect bind listen accept accept4 getsockname getpeername getsockopt setsockopt "
	     "sendto "
	     "recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown" },
	/* state files, the database and its journal, sockets and folders at paths */
	{ CALL_WRITES_FILES,
		"open openat rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir link linkat "
		"symlink "
		"symlinkat chmod fchmod fchmodat chown fchown fchownat lchown truncate ftruncate "
		"fallocate fsync fdatasync sync_file_range utimensat umask copy_file_range" },
	/* child.c, and what nft(8) does at its start */
	{ CALL_RUNS_PROGRAMS,
		"vfork fork execve wait4 waitid pidfd_open pidfd_send_signal kill chdir setrlimit" },
	{ SANITIZED,
		"mprotect ptrace process_vm_readv personality kill wait4 sched_setaffinity setrlimit unlink "
		"rt_tgsigqueueinfo setpriority getpriority" },
};

/* Not there, so that libc and libuv take the way around; not worth a line. The flags of clone3 are behind a pointer, which
 * a filter cannot follow: clone has them in sight. */
static const char *const absent_calls[] = { "clone3", "io_uring_setup", "io_uring_enter",
	"io_uring_register" };

/* --- a refused call --- */

/* Which were said: one line a kind. A handler has no other place to keep it. */
static atomic_bool said[CALLS_SAID];

/* "ropewalkd+0x1f2a4 < libc.so.6+0x2724a": who called, the nearest first, as addr2line takes it. */
static void format_callers(char *out, size_t cap)
{
	void *at[FRAMES];
	int n = backtrace(at, FRAMES), shown = 0;
	size_t len = 0;
	out[0] = 0;
	/* The first two are this file and the kernel's way into the handler. */
	for (int i = 2; i < n && shown < FRAMES_SAID && len < cap; i++) {
		Dl_info of = { 0 };
		if (!dladdr(at[i], &of) || !of.dli_fname || !of.dli_fbase)
			continue;
		const char *slash = strrchr(of.dli_fname, '/');
		len += (size_t)snprintf(out + len, cap - len, "%s%s+0x%llx", shown++ ? " < " : "",
			slash ? slash + 1 : of.dli_fname,
			(unsigned long long)((uintptr_t)at[i] - (uintptr_t)of.dli_fbase));
	}
}

static int say_refused(int call)
{
	char callers[400];
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
	int answer = name ? -EPERM : -ENOSYS;
	if (call < 0 || call >= CALLS_SAID || !atomic_exchange(&said[call], true)) {
		format_callers(callers, sizeof(callers));
		log_error("system call %s (%d) is not one that this program makes, and was refused; from %s",
			name ? name : "without a name", call, callers);
	}
	free(name);
	return answer;
}

static void call_refused(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	int before = errno;
	(void)signo;
	int answer = say_refused(info->si_syscall);
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = answer;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (uint64_t)(int64_t)answer;
#else
#error "say where this architecture has the result of a system call"
#endif
	errno = before;
}

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer does not know where the signal comes from, and reports every allocation in a handler. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "report_signal_unsafe=0";
}
#endif

static int watch_refusals(void)
{
	struct sigaction act = { .sa_sigaction = call_refused,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	void *first[1];
	sigset_t one;
	(void)backtrace(first, 1); /* loads what it needs, which a handler should not */
	sigemptyset(&act.sa_mask);
	sigemptyset(&one);
	sigaddset(&one, SIGSYS);
	if (sigaction(SIGSYS, &act, NULL) != 0 || sigprocmask(SIG_UNBLOCK, &one, NULL) != 0)
		return -errno;
	return 0;
}

/* --- the rules --- */

/* Calls that are allowed by an argument. */
struct call_argument {
	const char *call;
	struct call_when when;
};

static const uint32_t not_there = SECCOMP_RET_ERRNO | ENOSYS;
static const uint64_t any_bit = UINT64_MAX, low_half = UINT32_MAX, write_exec = PROT_WRITE | PROT_EXEC,
		      new_spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/* One that this architecture lacks, or that is younger than libseccomp, is left out: it is refused, and the log says so. */
static void add_call(struct call_program *f, const char *name, uint32_t answer, const struct call_when *when,
	size_t n_when)
{
	int nr = seccomp_syscall_resolve_name(name);
	if (nr >= 0)
		call_program_rule(f, nr, answer, when, n_when);
}

static void allow_by_argument(struct call_program *f, const struct call_argument *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_call(f, a[i].call, SECCOMP_RET_ALLOW, &a[i].when, 1);
}

/* No memory that is written is run, no process has namespaces of its own, no text is put into a terminal. */
static void allow_with_care(struct call_program *f)
{
	const struct call_argument rows[] = {
		{ "clone", { 0, new_spaces, 0 } },
		{ "mmap", { 2, write_exec, 0 } },
		{ "mmap", { 2, write_exec, PROT_WRITE } },
		{ "mmap", { 2, write_exec, PROT_EXEC } },
		{ "mprotect", { 2, PROT_EXEC, 0 } },
		{ "socket", { 0, any_bit, AF_UNIX } },
		{ "socket", { 0, any_bit, AF_INET } },
		{ "socket", { 0, any_bit, AF_INET6 } },
		{ "ioctl", { 1, low_half, FIONREAD } },
		{ "ioctl", { 1, low_half, FIONBIO } },
		{ "ioctl", { 1, low_half, FIOCLEX } },
		{ "ioctl", { 1, low_half, TCGETS } },
		{ "ioctl", { 1, low_half, TIOCGWINSZ } },
	};
	allow_by_argument(f, rows, ARRAY_LEN(rows));
}

static void allow_network(struct call_program *f, unsigned uses)
{
	const struct call_argument rows[] = {
		{ "socket", { 0, any_bit, AF_NETLINK } },
		{ "ioctl", { 1, low_half, TUNSETIFF } },
		{ "ioctl", { 1, low_half, TUNGETIFF } },
		{ "ioctl", { 1, low_half, TUNSETOFFLOAD } },
		{ "ioctl", { 1, low_half, SIOCETHTOOL } },
		{ "ioctl", { 1, low_half, SIOCGIFNAME } },
		{ "ioctl", { 1, low_half, SIOCGIFINDEX } },
		{ "ioctl", { 1, low_half, SIOCGIFFLAGS } },
		{ "ioctl", { 1, low_half, SIOCGIFMTU } },
	};
	/* getaddrinfo(3) asks which addresses there are. */
	const struct call_when route[] = { { 0, any_bit, AF_NETLINK }, { 2, any_bit, NETLINK_ROUTE } };
	if (uses & CALL_SETS_UP_NETWORK)
		allow_by_argument(f, rows, ARRAY_LEN(rows));
	else
		add_call(f, "socket", SECCOMP_RET_ALLOW, route, ARRAY_LEN(route));
}

/* Files are opened to be read, by who writes none. */
static void allow_reading(struct call_program *f, unsigned uses)
{
	static const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
	const struct call_argument rows[] = {
		{ "open", { 1, writing, O_RDONLY } },
		{ "openat", { 2, writing, O_RDONLY } },
	};
	if (!(uses & CALL_WRITES_FILES))
		allow_by_argument(f, rows, ARRAY_LEN(rows));
}

/* The next word of a group, or false. */
static bool next_call(const char **p, char name[static CALL_NAME])
{
	*p += strspn(*p, " ");
	size_t n = strcspn(*p, " ");
	if (!n || n >= CALL_NAME)
		return false;
	memcpy(name, *p, n);
	name[n] = 0;
	*p += n;
	return true;
}

static void allow_groups(struct call_program *f, unsigned uses)
{
	char name[CALL_NAME];
	for (size_t i = 0; i < ARRAY_LEN(call_groups); i++) {
		const char *p = call_groups[i].calls;
		if (call_groups[i].uses && !(call_groups[i].uses & uses))
			continue;
		while (next_call(&p, name))
			add_call(f, name, SECCOMP_RET_ALLOW, NULL, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(absent_calls); i++)
		add_call(f, absent_calls[i], not_there, NULL, 0);
}

static int load_program(const struct call_program *f)
{
	const struct sock_fprog program = { .len = (unsigned short)f->n,
		.filter = (struct sock_filter *)(uintptr_t)f->p };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	long got = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	return got < 0 ? -errno : got > 0 ? -EBUSY : 0; /* above 0: a thread that has a filter of its own */
}

/* Rules that look at arguments come first: the kernel remembers the answer to the others. */
int call_filter_set(unsigned uses, struct errbuf *eb)
{
	struct call_program f;
	call_program_begin(&f, seccomp_arch_native(), not_there);
	allow_with_care(&f);
	allow_reading(&f, uses);
	allow_network(&f, uses);
	allow_groups(&f, uses | RW_SANITIZED);
	int err = call_program_end(&f, SECCOMP_RET_TRAP) ? watch_refusals() : -ENOSPC;
	if (!err)
		err = load_program(&f);
	return err ? err_set(eb, err, "filter system calls") : 0;
}

void call_filter_begin(unsigned uses)
{
	struct errbuf eb = { 0 };
	if (call_filter_set(uses, &eb) == 0)
		log_info("system calls are filtered: those that this program does not make are refused");
	else
		log_warn("%s; none are filtered here", eb.text);
}
