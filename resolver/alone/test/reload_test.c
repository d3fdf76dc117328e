/* The configuration read anew, with the real program: a pipe in the place of a file holds the thread that reads it, and
 * questions are answered meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/transport/stream.h"
#include "resolver/alone/test/program.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURNS = 3000, TURN_US = 10000 };

static const char conf[] =
	"listen: 127.0.0.1:0\nauthority: [ example ]\nnames-from: [ { hosts: %1$s/hosts } ]\nrecords:\n"
	"  - { name: one.example, value: 1.2.3.1 }\n";

static void path_of(const struct program *p, const char *file, char out[static 128])
{
	snprintf(out, 128, "%s/%s", p->folder, file);
}

/* In the place of what was there. */
static void put(const struct program *p, const char *file, const char *text)
{
	char path[128], next[128];
	path_of(p, file, path);
	path_of(p, "next", next);
	FILE *to = fopen(next, "we");
	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	fclose(to);
	assert_int_equal(rename(next, path), 0);
}

static void pipe_put(const struct program *p, const char *file)
{
	char path[128], next[128];
	path_of(p, file, path);
	path_of(p, "next", next);
	assert_int_equal(mkfifo(next, 0644), 0);
	assert_int_equal(rename(next, path), 0);
}

/* When somebody reads that pipe; he waits until what is returned is closed. */
static int pipe_hold(const struct program *p, const char *file)
{
	char path[128];
	int fd;
	path_of(p, file, path);
	for (int i = 0;
		(fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && errno == ENXIO && i < TURNS; i++)
		usleep(TURN_US);
	assert_true(fd >= 0);
	return fd;
}

static void pipe_let_go(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *with_name(char out[static 512], const struct program *p, const char *name)
{
	int n = snprintf(out, 512, conf, p->folder);
	snprintf(out + n, 512 - (size_t)n, "  - { name: %s.example, value: 1.2.3.2 }\n", name);
	return out;
}

static bool is_there(const struct program *p, const char *name, const char *value)
{
	char out[32768], full[64];
	snprintf(full, sizeof(full), "%s.example", name);
	(void)program_tell(p, out, sizeof(out), (const char *const[]) { "query", full, "A", NULL });
	return strstr(out, value);
}

static void await(const struct program *p, const char *name, const char *value)
{
	for (int i = 0; i < TURNS && !is_there(p, name, value); i++)
		usleep(TURN_US);
	assert_true(is_there(p, name, value));
}

/* What was read serves until what is read is there, of the configuration and of the files that it names; who asks for it
 * while it is read has it read once more. */
static void test_meanwhile(void **state)
{
	struct program p;
	char text[512];
	(void)state;
	program_start(&p, conf);
	put(&p, "hosts", "1.2.3.9 nine.example\n");
	assert_int_equal(kill(p.pid, SIGHUP), 0);
	await(&p, "nine", "1.2.3.9");
	pipe_put(&p, "conf.yaml");
	assert_int_equal(kill(p.pid, SIGHUP), 0);
	int fd = pipe_hold(&p, "conf.yaml");
	assert_true(is_there(&p, "one", "1.2.3.1") && is_there(&p, "nine", "1.2.3.9"));
	assert_int_equal(kill(p.pid, SIGHUP), 0);
	assert_true(is_there(&p, "one", "1.2.3.1")); /* it has seen the signal */
	put(&p, "conf.yaml", with_name(text, &p, "three"));
	pipe_let_go(fd, with_name(text, &p, "two"));
	await(&p, "three", "1.2.3.2");
	assert_true(!is_there(&p, "two", "1.2.3.2") && is_there(&p, "nine", "1.2.3.9"));
	program_stop(&p);
}

static pid_t reload_tell(const struct program *p)
{
	char out[4096];
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	_exit(program_tell(p, out, sizeof(out), (const char *const[]) { "reload", NULL }));
}

/* Who asked for it hears when it is done, however it ends; and it may end with the program. */
static void test_told(void **state)
{
	struct program p;
	char text[512];
	int status;
	(void)state;
	for (int i = 0; i < 3; i++) { /* right, wrong, the end */
		program_start(&p, conf);
		pipe_put(&p, "conf.yaml");
		pid_t teller = reload_tell(&p);
		int fd = pipe_hold(&p, "conf.yaml");
		assert_true(is_there(&p, "one", "1.2.3.1"));
		assert_int_equal(waitpid(teller, &status, WNOHANG), 0);
		if (i == 2)
			assert_int_equal(kill(p.pid, SIGTERM), 0);
		pipe_let_go(fd, i == 1 ? "listne: x\n" : with_name(text, &p, "two"));
		assert_int_equal(waitpid(teller, &status, 0), teller);
		if (i == 2) {
			status = program_ended(&p);
			assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
			continue;
		}
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) != 0) == i);
		assert_true(is_there(&p, "two", "1.2.3.2") == !i && is_there(&p, "one", "1.2.3.1"));
		program_stop(&p);
	}
}

/* What could not be taken is told with what was: nothing of it, or the parts before the one that failed. */
static void test_holds(void **state)
{
	static const struct {
		const char *added, *said; /* printf with the folder */
	} rows[] = {
		{ "listne: x\n", "the configuration stays as it was" },
		{ "secure: { tls: 127.0.0.1:0, certificate: %1$s/c, key: %1$s/none }\n",
			"none: No such file or directory; the configuration stays as it was" },
		{ "dnssec: { validate: true, anchors: %1$s/none }\n", "the configuration stays as it was" },
		{ "upstream-authorities: %1$s/c\nsecure: { tls: 127.0.0.1:0, certificate: %1$s/c, key: "
		  "%1$s/k }\n"
		  "dnssec: { validate: true, anchors: %1$s/none }\n",
			"what the configuration says of \"upstream-authorities\", \"secure\" holds, the rest "
			"stays as it was" },
	};
	const char *hosts[] = { "resolver.test" };
	struct program p;
	char text[512], added[512], whole[1100], out[4096], cert[128], key[128];
	(void)state;
	program_start(&p, conf);
	path_of(&p, "c", cert);
	path_of(&p, "k", key);
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(added, sizeof(added), rows[i].added, p.folder);
		snprintf(whole, sizeof(whole), "%s%s", with_name(text, &p, "two"), added);
		put(&p, "conf.yaml", whole);
		assert_true(
			program_tell(&p, out, sizeof(out), (const char *const[]) { "reload", NULL }) != 0);
		if (!strstr(out, rows[i].said))
			fail_msg("row %zu: %s", i, out);
		assert_true(is_there(&p, "one", "1.2.3.1"));
	}
	program_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_meanwhile), cmocka_unit_test(test_told),
		cmocka_unit_test(test_holds) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
