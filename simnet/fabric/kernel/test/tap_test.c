/* TAP devices beside a reader that gets no processor. */
#include "simnet/fabric/kernel/test/kernel_lab.h"
#include "simnet/fabric/user/tap.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int packet_socket(const char *name)
{
	struct ifreq up = { .ifr_flags = IFF_UP };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	snprintf(up.ifr_name, sizeof(up.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		return -1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name) };
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -1 : fd;
}

/* Whatever an interface sends before anybody reads comes, in its order. */
static int burst(void *arg)
{
	enum { FRAMES = TAP_QUEUE / 2 };
	struct errbuf eb = { 0 };
	uint8_t frame[64] = { [12] = 0x88, [13] = 0xb5 }; /* of no protocol */
	unsigned n = 0;
	(void)arg;
	int tap = tap_open("burst0", NULL, &eb);
	if (tap == -ENOSYS)
		return 77;
	CHECK(tap >= 0, "%s", eb.text);
	int fd = packet_socket("burst0");
	CHECK(fd >= 0, "%s", strerror(errno));
	for (unsigned i = 0; i < FRAMES; i++) {
		frame[14] = (uint8_t)(i >> 8);
		frame[15] = (uint8_t)i;
		CHECK(send(fd, frame, sizeof(frame), 0) == (ssize_t)sizeof(frame), "%u: %s", i,
			strerror(errno));
	}
	while (read(tap, frame, sizeof(frame)) > 0) {
		if (frame[12] != 0x88 || frame[13] != 0xb5)
			continue; /* the interface's own */
		CHECK((unsigned)(frame[14] << 8 | frame[15]) == n, "frame %u is not there", n);
		n++;
	}
	CHECK(n == FRAMES, "%u of %u", n, (unsigned)FRAMES);
	close(fd);
	close(tap);
	return 0;
}

static void test_burst(void **state)
{
	(void)state;
	in_sandbox(burst, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
