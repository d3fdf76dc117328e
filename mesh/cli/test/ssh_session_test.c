#include "mesh/cli/ssh_session.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* A process of a made-up /proc. The environment ends its words by NUL, as the kernel's. */
static void put_process(const char *proc, long pid, const char *stat, const char *env, size_t env_len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%ld", proc, pid);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%ld/stat", proc, pid);
	assert_int_equal(file_write_atomic(path, 0600, stat, strlen(stat), NULL), 0);
	snprintf(path, sizeof(path), "%s/%ld/environ", proc, pid);
	assert_int_equal(file_write_atomic(path, 0600, env, env_len, NULL), 0);
}
#define PUT(proc, pid, stat, env) put_process(proc, pid, stat, env, sizeof(env) - 1)

static void test_addresses(void **state)
{
	(void)state;
	char proc[] = "/tmp/rw-ssh-XXXXXX";
	struct addr at[SSH_SESSIONS_MAX], mesh, lan;
	assert_non_null(mkdtemp(proc));
	assert_true(addr_parse("100.64.0.1", &mesh) && addr_parse("192.168.1.1", &lan));
	PUT(proc, 10, "10 (sshd) S 1 1 1", "PATH=/bin\0");
	PUT(proc, 20, "20 (bash) S 10 1 1", "A=b\0SSH_CONNECTION=100.64.0.2 5 100.64.0.1 22\0C=d\0");
	PUT(proc, 30, "30 (a) b) R 20 1 1", "XSSH_CONNECTION=1.2.3.4 5 1.2.3.4 22\0"); /* sudo */
	PUT(proc, 40, "40 (loop) S 40 1 1", "SSH_CONNECTION=1.2.3.4 5 1.2.3.4 22\0");
	PUT(proc, 50, "nonsense", "SSH_CONNECTION=nonsense\0SSH_CONNECTION=x y z\0");

	assert_int_equal(ssh_session_addresses(NULL, proc, 10, at), 0);
	assert_int_equal(ssh_session_addresses(NULL, proc, 30, at), 1);
	assert_true(addr_equal(&at[0], &mesh));
	assert_int_equal(ssh_session_addresses("192.168.1.2 5 192.168.1.1 22", proc, 30, at), 2);
	assert_true(addr_equal(&at[0], &lan) && addr_equal(&at[1], &mesh));
	assert_int_equal(ssh_session_addresses("", proc, 50, at), 0);
	assert_int_equal(ssh_session_addresses(NULL, proc, 99, at), 0);
	assert_int_equal(ssh_session_addresses(NULL, proc, 40, at), SSH_SESSIONS_MAX); /* and no further */
	assert_int_equal(dir_remove(proc, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
