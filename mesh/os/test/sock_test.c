#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
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

static int segment_of(int fd)
{
	int mss = 0;
	socklen_t n = sizeof(mss);
	return getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &n) == 0 ? mss : -1;
}

/* Both ends keep to it, though one of them was told nothing; loopback itself carries 64 KiB. */
static void test_small(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct endpoint at = { .ip = addr_v4(0x7f000001) }, from;
		struct errbuf eb;
		int listener = sock_tcp_listen(&at, &eb);
		assert_true(listener >= 0 && sock_local(listener, &at) == 0);
		int fd = sock_tcp_connect_hook(&at, small ? sock_mark_hook : NULL, NULL, &eb);
		struct pollfd wait[] = { { .fd = fd, .events = POLLOUT },
			{ .fd = listener, .events = POLLIN } };
		assert_int_equal(poll(&wait[0], 1, 10000), 1);
		assert_int_equal(poll(&wait[1], 1, 10000), 1);
		int other = sock_accept(listener, &from);
		assert_true(other >= 0);
		assert_in_range(segment_of(fd), small ? 1000 : 10000, small ? 1080 : 65536);
		assert_in_range(segment_of(other), small ? 1000 : 10000, small ? 1080 : 65536);
		close(other);
		close(fd);
		close(listener);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_patience), cmocka_unit_test(test_small) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
