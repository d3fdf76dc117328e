/* In children: what is dropped does not come back. As root here, or as root of a user namespace. */
#include "mesh/os/privilege.h"
#include "mesh/os/test/own_ns.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const int keep[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE };

/* One line of /proc/self/status, in hexadecimal. */
static unsigned long long status_number(const char *name)
{
	char line[256];
	unsigned long long value = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name), NULL, 16);
	if (f)
		fclose(f);
	return value;
}

/* The number of the first line that is not so. */
#define MUST(x) \
	do { \
		if (!(x)) \
			_exit(__LINE__ & 0xff); \
	} while (0)

static void drop_and_look(void)
{
	const unsigned long long want = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_BIND_SERVICE;
	struct errbuf eb = { 0 };
	MUST(own_ns(CLONE_NEWNET));
	MUST(privilege_drop(keep, 2, NULL, 0, &eb) == 0);
	MUST(status_number("CapPrm:") == want && status_number("CapEff:") == want);
	MUST(status_number("CapBnd:") == want && status_number("CapAmb:") == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	/* Raw sockets are gone, and a program that we run has no more than we. */
	MUST(socket(AF_INET, SOCK_RAW, 1) < 0 && errno == EPERM);
	MUST(system("grep -q '^CapEff:.*0000000000001400$' /proc/self/status") == 0);
	MUST(privilege_drop(keep, 1, NULL, 0, &eb) == 0);
	MUST(status_number("CapEff:") == 1ULL << CAP_NET_ADMIN);
	_exit(0);
}

/* As under the filter of a unit of systemd: capset(2) is refused. */
static void forbid_capset(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_capset, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_LEN(code), .filter = code };
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void drop_under_systemd(void)
{
	struct errbuf eb = { 0 };
	MUST(own_ns(CLONE_NEWNET));
	MUST(privilege_drop(keep, 2, NULL, 0, &eb) == 0);
	forbid_capset();
	MUST(privilege_drop(keep, 2, NULL, 0, &eb) == 0); /* there is nothing left to drop */
	MUST(privilege_drop(keep, 1, NULL, 0, &eb) == -EPERM && eb.text[0]);
	_exit(0);
}

static void drop_beside_others(void)
{
	struct errbuf eb = { 0 };
	char dir[] = "/tmp/rw-priv-XXXXXX";
	MUST(mkdtemp(dir) && chown(dir, 4711, 4711) == 0 && chmod(dir, 0700) == 0);
	MUST(privilege_drop(keep, 2, (const char *const[]) { "/", NULL, "", dir }, 4, &eb) == 0);
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	MUST(mkdirat(fd, "made", 0700) == 0 && unlinkat(fd, "made", AT_REMOVEDIR) == 0);
	MUST(rmdir(dir) == 0 || errno == EPERM);
	_exit(0);
}

static void hide(void)
{
	privilege_hide_memory();
	MUST(prctl(PR_GET_DUMPABLE) == 0);
	int fd = open("/proc/self/fd/0", O_PATH);
	MUST(fd >= 0); /* sock_unix_listen goes that way */
	_exit(0);
}

static void in_child(void (*what)(void))
{
	int status;
	pid_t pid = fork();
	if (!pid)
		what();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("line %d (modulo 256)", WEXITSTATUS(status));
}

static void test_drop(void **state)
{
	(void)state;
	in_child(drop_and_look);
}

static void test_under_systemd(void **state)
{
	(void)state;
	in_child(drop_under_systemd);
}

static void test_beside_others(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("only root can make a folder that is another's\n");
		skip();
	}
	in_child(drop_beside_others);
}

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void test_hide(void **state)
{
	(void)state;
	if (__lsan_do_recoverable_leak_check) {
		print_message("LeakSanitizer reads this memory\n");
		skip();
	}
	in_child(hide);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_under_systemd),
		cmocka_unit_test(test_beside_others),
		cmocka_unit_test(test_hide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
