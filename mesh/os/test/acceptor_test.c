#include "mesh/os/acceptor.h"

#include "mesh/base/err.h"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

enum { BOUND_MS = 20000 };

static struct fixture {
	struct loop *loop;
	struct acceptor *acceptor;
	struct endpoint at;
	int listener;
	uint64_t arrived, paused, asked;
	bool room, frees;
	struct endpoint from;
} fx;

static int broken; /* what the next accept says instead; 0: nothing */
int __real_sock_accept(int fd, struct endpoint *from);
int __wrap_sock_accept(int fd, struct endpoint *from);
int __wrap_sock_accept(int fd, struct endpoint *from)
{
	int code = broken;
	broken = 0;
	return code ? code : __real_sock_accept(fd, from);
}

static void arrived(void *arg, int fd, const struct endpoint *from)
{
	assert_ptr_equal(arg, &fx);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	fx.from = *from;
	fx.arrived++;
	close(fd);
	if (fx.frees) {
		acceptor_free(fx.acceptor);
		fx.acceptor = NULL;
	}
}

static bool has_room(void *arg)
{
	assert_ptr_equal(arg, &fx);
	fx.asked++;
	return fx.room;
}

static int setup(void **state)
{
	static const struct acceptor_ops ops = {
		.arrived = arrived, .has_room = has_room, .arg = &fx, .what = "the test", .paused = &fx.paused
	};
	struct errbuf eb;
	(void)state;
	fx = (struct fixture) { .loop = loop_new(), .room = true, .at = { .ip = addr_v4(0x7f000001) } };
	fx.listener = sock_tcp_listen(&fx.at, &eb);
	assert_true(fx.listener >= 0);
	assert_int_equal(sock_local(fx.listener, &fx.at), 0);
	fx.acceptor = acceptor_new(fx.loop, fx.listener, &ops);
	assert_non_null(fx.acceptor);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	acceptor_free(fx.acceptor);
	close(fx.listener);
	loop_free(fx.loop);
	return 0;
}

static int call(void)
{
	struct errbuf eb;
	int fd = sock_tcp_connect(&fx.at, &eb);
	assert_true(fd >= 0);
	return fd;
}

static void bound_over(void *arg)
{
	(void)arg;
	fail_msg("nothing came in %d ms", BOUND_MS);
}

/* Until *n is at least least. */
static void wait_until(const uint64_t *n, uint64_t least)
{
	struct loop_timer *bound = loop_timer_new(fx.loop, bound_over, NULL);
	loop_timer_set(bound, BOUND_MS);
	while (*n < least)
		loop_run_once(fx.loop);
	loop_timer_free(bound);
}

/* All of them, of more than a turn takes, and from where. */
static void test_all_come(void **state)
{
	enum { MANY = 100 };
	int fds[MANY];
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		fds[i] = call();
	wait_until(&fx.arrived, MANY);
	assert_true(addr_equal(&fx.from.ip, &fx.at.ip));
	assert_int_equal(fx.paused, 0);
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
}

static int cpu_ms(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (int)((u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
		     (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
}

/* Without a descriptor the loop sleeps between two tries, and who waits comes in when there is one again. */
static void test_out_of_descriptors(void **state)
{
	enum { PAUSES = 5 };
	struct rlimit before, low;
	(void)state;
	int fd = call();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit) { .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int cpu = cpu_ms();
	uint64_t began = clock_now_ms();
	wait_until(&fx.paused, PAUSES);
	assert_true(clock_now_ms() - began >= (PAUSES - 1) * (ACCEPTOR_PAUSE_MS - 1));
	assert_true(cpu_ms() - cpu < (PAUSES - 1) * ACCEPTOR_PAUSE_MS / 2);
	assert_int_equal(fx.paused, PAUSES);
	assert_int_equal(fx.arrived, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wait_until(&fx.arrived, 1);
	close(fd);
}

/* No place: nothing is taken and nothing counted, until there is one. */
static void test_no_room(void **state)
{
	(void)state;
	int fd = call();
	fx.room = false;
	wait_until(&fx.asked, 3);
	assert_int_equal(fx.arrived, 0);
	assert_int_equal(fx.paused, 0);
	fx.room = true;
	wait_until(&fx.arrived, 1);
	close(fd);
}

static void test_freed_inside(void **state)
{
	(void)state;
	int fds[2] = { call(), call() };
	fx.frees = true;
	wait_until(&fx.arrived, 1);
	assert_null(fx.acceptor);
	assert_int_equal(fx.arrived, 1);
	close(fds[0]);
	close(fds[1]);
}

/* What became of one connection is no reason to have the others wait. */
static void test_one_is_broken(void **state)
{
	static const int codes[] = { -ECONNABORTED, -EPROTO, -ENETUNREACH, -EPERM };
	struct errbuf eb;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		int fd = sock_tcp_connect(&fx.at, &eb);
		assert_true(fd >= 0);
		broken = codes[i];
		wait_until(&fx.arrived, i + 1);
		assert_int_equal(broken, 0);
		close(fd);
	}
	assert_int_equal(fx.paused, 0);
}

/* A socket of this machine has no address, and a door that cannot accept at all does not spin. */
static void test_unix_and_broken(void **state)
{
	char path[] = "/tmp/acceptor_XXXXXX", at[64];
	struct errbuf eb;
	struct acceptor_ops ops = {
		.arrived = arrived, .arg = &fx, .what = "the test", .paused = &fx.paused
	};
	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(at, sizeof(at), "%s/door", path);
	int listener = sock_unix_listen(at, 0600, &eb), fd = sock_unix_connect(at, &eb);
	assert_true(listener >= 0 && fd >= 0);
	acceptor_free(fx.acceptor);
	fx.acceptor = acceptor_new(fx.loop, listener, &ops);
	fx.from.port = 1;
	wait_until(&fx.arrived, 1);
	assert_int_equal(fx.from.port, 0);
	assert_int_equal(fx.paused, 0);
	acceptor_free(fx.acceptor);
	close(fd);
	fd = sock_unix_connect(at, &eb);
	fx.acceptor = acceptor_new(fx.loop, fd, &ops); /* EINVAL: it does not listen */
	close(listener); /* its end comes to the other side, which is readable so */
	wait_until(&fx.paused, 2);
	acceptor_free(fx.acceptor);
	fx.acceptor = NULL;
	close(fd);
	unlink(at);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_all_come, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_is_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unix_and_broken, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
