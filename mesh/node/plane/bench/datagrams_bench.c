/* datagrams_bench send ADDRESS PORT SECONDS BURST: datagrams of 64 bytes as fast as they go, BURST of them with each call, which
 * the kernel cuts (UDP_SEGMENT, as senders of QUIC do). datagrams_bench receive PORT: waits for them, and when they have
 * stopped for a quarter of a second prints how many came, and in how many seconds; again and again, until it is killed.
 * `ci/bench small` runs the two at the ends of a tunnel. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SIZE = 64, BURST_MAX = 64, READS = 32, READ_MAX = 65535, BUFFER = 4 << 20, SILENCE_MS = 250 };

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what)
{
	fprintf(stderr, "datagrams_bench: %s: %s\n", what, strerror(errno));
	return 1;
}

static int send_all(int fd, const struct sockaddr_in *to, double seconds, int burst)
{
	static const char data[BURST_MAX * SIZE];
	int size = SIZE;
	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)))
		return fail("UDP_SEGMENT");
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		return fail("connect");
	double end = now_s() + seconds;
	while (now_s() < end)
		if (send(fd, data, (size_t)burst * SIZE, 0) < 0 && errno != ENOBUFS)
			return fail("send");
	return 0;
}

/* Datagrams of one turn; they come joined where the kernel has them so. */
static long receive_some(int fd, struct mmsghdr msgs[READS])
{
	int n = recvmmsg(fd, msgs, READS, MSG_WAITFORONE, NULL);
	long got = n < 0 ? -1 : 0;
	for (int i = 0; i < n; i++)
		got += msgs[i].msg_len / SIZE;
	return got;
}

static int receive_all(int fd, const struct sockaddr_in *at)
{
	static char data[READS][READ_MAX];
	struct iovec parts[READS];
	struct mmsghdr msgs[READS] = { 0 };
	for (int i = 0; i < READS; i++) {
		parts[i] = (struct iovec) { data[i], READ_MAX };
		msgs[i].msg_hdr.msg_iov = &parts[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	int yes = 1, room = BUFFER;
	struct timeval silence = { .tv_usec = SILENCE_MS * 1000 };
	if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof(yes)) ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)))
		return fail("setsockopt");
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		return fail("bind");
	double first = 0, last = 0;
	long all = 0;
	for (;;) {
		long got = receive_some(fd, msgs);
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return fail("recvmmsg");
		if (got > 0) {
			last = now_s();
			first = all ? first : last;
			all += got;
		} else if (all && now_s() - last > SILENCE_MS / 1000.0 / 2) {
			printf("%ld %.6f\n", all, last - first);
			fflush(stdout);
			all = 0;
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail("socket");
	if (argc == 3 && !strcmp(argv[1], "receive")) {
		addr.sin_port = htons((uint16_t)atoi(argv[2]));
		return receive_all(fd, &addr);
	}
	int burst = argc == 6 ? atoi(argv[5]) : 0;
	if (burst < 1 || burst > BURST_MAX || strcmp(argv[1], "send") ||
		inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1) {
		fprintf(stderr,
			"usage: datagrams_bench send ADDRESS PORT SECONDS BURST (1 to %d) | receive PORT\n",
			BURST_MAX);
		return 2;
	}
	addr.sin_port = htons((uint16_t)atoi(argv[3]));
	return send_all(fd, &addr, atof(argv[4]), burst);
}
