/* A link in userspace with a loss model on, against a bare veth pair, each behind the same router of the kernel: one TCP
 * stream of SECONDS; and by how much a one-way delay of 20 ms is missed, of an idle link, with the router behind it in the
 * kernel and in userspace. Prints JSON. */
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/hosts.h"
#include "simnet/host/sandbox.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SECONDS = 2,
	PORT = 5001,
	PROBES = 600,
	PROBE_EVERY_US = 5000,
	DELAY_US = 20000,
	WAIT_MS = 2000,
	JOBS = 4
};

struct job {
	const struct link_model *link; /* NULL: veth */
	const struct engine_ops *engine;
	bool times; /* how late packets are; else a stream */
	double bits_per_s, median_us, p99_us, worst_us;
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct sockaddr_in address(const struct addr *ip)
{
	return (struct sockaddr_in) {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(addr_v4_get(ip))
	};
}

/* From the first host, as fast as it goes, until the end of its process. */
static void send_stream(int fd, const struct sockaddr_in *to)
{
	static char block[1 << 17];
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
		while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
			;
	_exit(0);
}

static int receive_stream(int listener, struct job *j)
{
	static char block[1 << 18];
	struct pollfd pf = { .fd = listener, .events = POLLIN };
	int fd = poll(&pf, 1, WAIT_MS) == 1 ? accept(listener, NULL, NULL) : -1;
	uint64_t start = now_ns(), bytes = 0, now = start;
	while (fd >= 0 && now - start < SECONDS * 1000000000ULL) {
		ssize_t n = recv(fd, block, sizeof(block), 0);
		if (n <= 0)
			break;
		bytes += (uint64_t)n;
		now = now_ns();
	}
	j->bits_per_s = now > start ? (double)bytes * 8e9 / (double)(now - start) : 0;
	return bytes ? 0 : 1;
}

static void send_probes(int fd, const struct sockaddr_in *to)
{
	for (int i = 0; i < PROBES; i++) {
		uint64_t now = now_ns();
		(void)!sendto(fd, &now, sizeof(now), 0, (const struct sockaddr *)to, sizeof(*to));
		usleep(PROBE_EVERY_US);
	}
	_exit(0);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static int receive_probes(int fd, struct job *j)
{
	static double late_us[PROBES];
	struct pollfd pf = { .fd = fd, .events = POLLIN };
	int n = 0;
	while (n < PROBES && poll(&pf, 1, WAIT_MS) == 1) {
		uint64_t sent;
		if (recv(fd, &sent, sizeof(sent), 0) == (ssize_t)sizeof(sent))
			late_us[n++] = (double)(now_ns() - sent) / 1e3 - DELAY_US;
	}
	if (n != PROBES)
		return 1;
	qsort(late_us, PROBES, sizeof(late_us[0]), by_value);
	j->median_us = late_us[PROBES / 2];
	j->p99_us = late_us[PROBES * 99 / 100];
	j->worst_us = late_us[PROBES - 1];
	return late_us[0] < 0; /* a packet that comes early is worse than any that is late */
}

static int exchange(struct hosts *h, const struct scenario *s, struct job *j, struct errbuf *eb)
{
	struct sockaddr_in to = address(&s->nodes[1].ip);
	int type = j->times ? SOCK_DGRAM : SOCK_STREAM;
	int from = hosts_socket(h, 0, AF_INET, type, 0, eb), at = hosts_socket(h, 1, AF_INET, type, 0, eb);
	if (from < 0 || at < 0 || bind(at, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		(!j->times && listen(at, 1) < 0))
		return 1;
	pid_t pid = fork();
	if (pid == 0)
		j->times ? send_probes(from, &to) : send_stream(from, &to);
	int bad = pid < 0 || (j->times ? receive_probes(at, j) : receive_stream(at, j));
	close(at);
	close(from);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return bad;
}

static int play(void *arg)
{
	struct job *j = arg;
	struct errbuf eb = { 0 };
	struct hosts *h;
	struct engine *e;
	struct scn_router routers[] = { { .name = "r", .behind = -1 } };
	struct scn_node nodes[] = { { .name = "a", .link = j->link }, { .name = "b", .router = -1 } };
	struct scenario s = { .file = "bench",
		.name = "bench",
		.seed = 1,
		.routers = routers,
		.n_routers = 1,
		.nodes = nodes,
		.n_nodes = ARRAY_LEN(nodes) };
	if (topology_plan(&s, &eb) || hosts_open(&s, "/run", &h, &eb) || j->engine->open(&s, h, &e, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	int bad = exchange(h, &s, j, &eb);
	j->engine->close(e);
	hosts_close(h);
	return bad;
}

int main(void)
{
	const struct link_model lossy = { .up = { .loss = 1 }, .down = { .loss = 1 } },
				late = { .up = { .delay_us = DELAY_US }, .down = { .delay_us = DELAY_US } };
	struct job *jobs =
		mmap(NULL, sizeof(*jobs) * JOBS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct errbuf eb = { 0 };
	if (jobs == MAP_FAILED)
		return 2;
	jobs[1].link = &lossy;
	for (int i = 0; i < JOBS; i++) {
		bool times = i >= 2;
		jobs[i].engine = i == 3 ? &engine_user : &engine_auto;
		jobs[i].link = times ? &late : jobs[i].link;
		jobs[i].times = times;
		int r = sandbox_run(play, &jobs[i], &eb);
		if (r) {
			fprintf(stderr, "link_bench: %s\n", r < 0 ? eb.text : "packets do not arrive");
			return r < 0 ? 3 : 1;
		}
	}
	printf("{\"veth_bps\": %.0f, \"link_bps\": %.0f", jobs[0].bits_per_s, jobs[1].bits_per_s);
	for (int i = 2; i < JOBS; i++)
		printf(", \"%s\": {\"median_us\": %.1f, \"p99_us\": %.1f, \"worst_us\": %.1f}",
			i == 3 ? "user" : "kernel", jobs[i].median_us, jobs[i].p99_us, jobs[i].worst_us);
	printf("}\n");
	return 0;
}
