/* What a mesh name costs against a bare UDP echo of the same size, in one run: both servers in turn in a
 * process of their own, the same client beside them. Prints CPU time of the server per query and wall time
 * per query of each, and their ratios; `ratio` is CPU, the floor of which is 1.5. Rounds alternate and the
 * least of each counts, so that a busy machine hits both alike. */
#include "mesh/os/loop.h"
#include "resolver/listen.h"
#include "resolver/message.h"
#include "resolver/zone.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, QUERIES = 40000, OUTSTANDING = 32, NAMES = 1000, SERVE_BUF = 4 << 20 };

struct server {
	const char *name;
	struct endpoint at;
	pid_t pid;
	double cpu_ns, wall_ns; /* per query, the least of all rounds */
};

static void name_of(unsigned i, char *buf, size_t cap)
{
	snprintf(buf, cap, "host-%u.tail.ts.net", i);
}

static int bound_socket(struct endpoint *at)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) || getsockname(fd, (struct sockaddr *)&sa, &len))
		return -1;
	*at = (struct endpoint) { .ip = addr_v4(INADDR_LOOPBACK), .port = ntohs(sa.sin_port) };
	return fd;
}

/* The floor: the question goes back as long as its answer would be. */
static void echo_serve(int fd, size_t extra)
{
	uint8_t buf[2048] = { 0 };
	struct sockaddr_in from;
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf) - extra, 0, (struct sockaddr *)&from, &from_len);
		if (n < 0)
			_exit(1);
		buf[2] |= 0x80;
		sendto(fd, buf, (size_t)n + extra, 0, (struct sockaddr *)&from, from_len);
	}
}

static struct zone *zone_make(void)
{
	struct zone_builder *b = zone_builder_new();
	char name[64];
	if (!b || !zone_add_authority(b, "tail.ts.net"))
		return NULL;
	for (unsigned i = 0; i < NAMES; i++) {
		struct addr ip = addr_v4(0x64400000 + i);
		name_of(i, name, sizeof(name));
		if (!zone_add_address(b, name, &ip, true))
			return NULL;
	}
	return zone_build(b);
}

static void resolver_serve(int report)
{
	struct loop *l = loop_new();
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct errbuf eb = { .text = "out of memory" };
	struct resolver_server *s = l ? resolver_server_open(l, &o, &eb) : NULL;
	struct zone *z = zone_make();
	if (!s || !z) {
		fprintf(stderr, "echo_bench: %s\n", eb.text);
		_exit(1);
	}
	resolver_zone_set(resolver_server_core(s), z);
	at = resolver_server_endpoint(s, 0);
	if (write(report, &at, sizeof(at)) != sizeof(at))
		_exit(1);
	loop_run(l);
	_exit(0);
}

/* CPU time the process has had, in ns: first field of schedstat, over all its threads. */
static double cpu_of(pid_t pid)
{
	char path[64];
	unsigned long long ns = 0;
	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	FILE *f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%llu", &ns) != 1)
			ns = 0;
		fclose(f);
	}
	return (double)ns;
}

static double now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static size_t question(uint8_t *buf, unsigned i)
{
	char text[64];
	struct dns_name name;
	name_of(i % NAMES, text, sizeof(text));
	(void)dns_name_parse(text, &name);
	return dns_ask_write(
		buf, &(struct dns_ask) { .id = (uint16_t)i, .type = DNS_A, .edns = true, .name = &name });
}

/* A window of questions kept outstanding; lost ones (a full socket buffer) are made good after a second. */
static int round_run(struct server *s)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&s->at, false, &ss);
	uint8_t q[300], a[2048];
	unsigned sent = 0, got = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SERVE_BUF;
	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	double cpu = cpu_of(s->pid), wall = now_ns();
	while (got < QUERIES) {
		for (; sent < QUERIES && sent - got < OUTSTANDING; sent++)
			if (send(fd, q, question(q, sent), 0) < 0)
				return -1;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (poll(&p, 1, 1000) <= 0) {
			fprintf(stderr, "echo_bench: %s lost %u questions\n", s->name, sent - got);
			got = sent;
		}
		while (recv(fd, a, sizeof(a), MSG_DONTWAIT) > 0)
			got++;
	}
	wall = (now_ns() - wall) / QUERIES;
	cpu = (cpu_of(s->pid) - cpu) / QUERIES;
	close(fd);
	s->wall_ns = !s->wall_ns || wall < s->wall_ns ? wall : s->wall_ns;
	s->cpu_ns = !s->cpu_ns || cpu < s->cpu_ns ? cpu : s->cpu_ns;
	return 0;
}

int main(void)
{
	struct server echo = { .name = "echo" }, mesh = { .name = "mesh name" };
	int fd = bound_socket(&echo.at), report[2], err = 0;
	if (!key_setup() || fd < 0 || pipe(report))
		return 1;
	echo.pid = fork();
	if (!echo.pid)
		echo_serve(fd, 16); /* an A record behind the question */
	mesh.pid = fork();
	if (!mesh.pid)
		resolver_serve(report[1]);
	close(report[1]);
	err = read(report[0], &mesh.at, sizeof(mesh.at)) != sizeof(mesh.at);
	for (int i = 0; !err && i < ROUNDS; i++)
		err = round_run(&echo) || round_run(&mesh);
	kill(echo.pid, SIGKILL);
	kill(mesh.pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	if (err) {
		fprintf(stderr, "echo_bench: a server did not come up or went away\n");
		return 1;
	}
	printf("echo cpu_ns=%.0f wall_ns=%.0f\n", echo.cpu_ns, echo.wall_ns);
	printf("mesh-name cpu_ns=%.0f wall_ns=%.0f\n", mesh.cpu_ns, mesh.wall_ns);
	printf("ratio %.2f wall_ratio %.2f floor 1.50\n", mesh.cpu_ns / echo.cpu_ns,
		mesh.wall_ns / echo.wall_ns);
	return mesh.cpu_ns / echo.cpu_ns <= 1.5 ? 0 : 2;
}
