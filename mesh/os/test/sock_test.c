#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <unistd.h>
#include <cmocka.h>

/* The least where nothing is known of the way; on loopback five times the kernel's shortest wait, within the
 * bounds given. */
static void test_patience(void **state)
{
	struct endpoint at = { .ip = addr_v4(0x7f000001) };
	struct errbuf eb;
	(void)state;
	int listener = sock_tcp_listen(&at, &eb), udp = sock_udp(&at, &eb);
	assert_true(listener >= 0 && udp >= 0);
	assert_int_equal(sock_local(listener, &at), 0);
	int fd = sock_tcp_connect(&at, &eb);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	assert_int_equal(poll(&wait, 1, 10000), 1);
	assert_in_range(sock_tcp_patience(fd, 1, 60000), 2900, 30000);
	assert_int_equal(sock_tcp_patience(fd, 40000, 60000), 40000);
	assert_int_equal(sock_tcp_patience(fd, 1, 100), 100);
	assert_int_equal(sock_tcp_patience(udp, 7, 100), 7);
	close(fd);
	close(udp);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_patience) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
