/* echo_bench [NAME PORT PID]...: what a mesh name costs against a bare UDP echo of the same size, in one run: both servers in a process of
 * their own, the same client beside them. Two ways of asking: one question at a time (what a waiting program
 * feels) and 64 outstanding (what a busy machine pays). Each is measured as wall time per query at the client
 * and as CPU time per query of the server. Short rounds of the servers alternate and the median of the
 * rounds' ratios counts, so that a busy machine hits all alike. The floors, 1.1 and 0.9, are for the CPU time. An echo
 * that waits in the program's loop, as whoever has more than one socket must, is measured beside them, one at a time.
 *
 * Other servers may be compared in the same rounds: those that run already on loopback, are one thread each, and know the
 * names host-0.tail.ts.net to host-999.tail.ts.net, as arguments of three: what to call it, its port, its process.
 *
 * Then, by CPU time against the same echo: names that were never asked before, 50 at once, by way of another resolver. And
 * with every upstream dead and 1,000 questions waiting for them: how long a mesh name takes. */
#include "mesh/base/text.h"
#include "mesh/os/loop.h"
#include "mesh/os/tied.h"
#include "resolver/listen.h"
#include "resolver/message.h"
#include "resolver/zone.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 31, QUERIES = 4000, NAMES = 1000, SERVE_BUF = 4 << 20, A_RECORD_LEN = 16 };
enum {
	FORWARD_WINDOW = 50,
	FORWARD_FLOOR_PERCENT = 300,
	WAITING = 1000,
	BURST = 16,
	DEAD_NAMES = 4000,
	DEAD_FLOOR_US = 2000
};

struct server {
	const char *name;
	struct endpoint at;
	pid_t pid;
	bool once;				/* no name is asked twice */
	double cpu_ns[ROUNDS], wall_ns[ROUNDS]; /* per query */
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

struct looped {
	int fd;
	size_t extra;
};

static void looped_readable(void *arg, int events)
{
	const struct looped *e = arg;
	static uint8_t buf[2048];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	(void)events;
	ssize_t n = recvfrom(
		e->fd, buf, sizeof(buf) - e->extra, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n < 0)
		return;
	buf[2] |= 0x80;
	sendto(e->fd, buf, (size_t)n + e->extra, 0, (struct sockaddr *)&from, from_len);
}

/* The same, told by the loop that there is something. */
static void looped_serve(int fd, size_t extra)
{
	struct looped e = { fd, extra };
	struct loop *l = loop_new();
	struct loop_fd *watch = l ? loop_fd_new(l, fd, looped_readable, &e) : NULL;
	if (!watch)
		_exit(1);
	loop_fd_set(watch, LOOP_READ);
	loop_run(l);
	_exit(0);
}

static struct zone *zone_make(void)
{
	struct zone *z = zone_new();
	char name[64];
	struct addr any = addr_v4(0x64500000);
	if (!z || zone_add_authority(z, "tail.ts.net") ||
		zone_add_address(z, "*.outside.example", &any, false))
		return NULL;
	for (unsigned i = 0; i < NAMES; i++) {
		struct addr ip = addr_v4(0x64400000 + i);
		name_of(i, name, sizeof(name));
		if (zone_add_address(z, name, &ip, true))
			return NULL;
	}
	return z;
}

/* upstream: of all that is not in the zone; NULL: there is none. */
static void resolver_serve(int report, bool with_zone, const struct endpoint *upstream)
{
	struct loop *l = loop_new();
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct errbuf eb = { .text = "out of memory" };
	struct resolver_server *s = l ? resolver_server_open(l, &o, &eb) : NULL;
	struct resolver_upstream up = { .at = upstream ? *upstream : at };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = upstream != NULL };
	struct zone *z = with_zone ? zone_make() : zone_new();
	if (!s || !z ||
		resolver_server_configure(
			s, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, &eb)) {
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

static size_t question(uint8_t *buf, unsigned i, bool once)
{
	char text[64];
	struct dns_name name;
	if (once)
		snprintf(text, sizeof(text), "u%u.outside.example", i);
	else
		name_of(i % NAMES, text, sizeof(text));
	(void)dns_name_parse(text, &name);
	return dns_ask_write(
		buf, &(struct dns_ask) { .id = (uint16_t)i, .type = DNS_A, .edns = true, .name = &name });
}

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

static double median(const double *v)
{
	double sorted[ROUNDS];
	memcpy(sorted, v, sizeof(sorted));
	qsort(sorted, ROUNDS, sizeof(*sorted), by_size);
	return sorted[ROUNDS / 2];
}

static double median_ratio(const double *of, const double *to)
{
	double ratios[ROUNDS];
	for (size_t i = 0; i < ROUNDS; i++)
		ratios[i] = of[i] / to[i];
	return median(ratios);
}

static int client_open(const struct endpoint *at)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, false, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SERVE_BUF;
	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

/* A window of questions kept outstanding; lost ones (a full socket buffer) are made good after a second. */
static int round_run(struct server *s, unsigned window, size_t number)
{
	static unsigned asked_once;
	uint8_t q[300], a[2048];
	unsigned sent = 0, got = 0;
	int fd = client_open(&s->at);
	double cpu = cpu_of(s->pid), wall = now_ns();
	while (fd >= 0 && got < QUERIES) {
		for (; sent < QUERIES && sent - got < window; sent++)
			if (send(fd, q, question(q, s->once ? asked_once++ : sent, s->once), 0) < 0)
				return -1;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (poll(&p, 1, 1000) <= 0) {
			fprintf(stderr, "echo_bench: %s lost %u questions\n", s->name, sent - got);
			got = sent;
		}
		while (recv(fd, a, sizeof(a), MSG_DONTWAIT) > 0)
			got++;
	}
	s->wall_ns[number] = (now_ns() - wall) / QUERIES;
	s->cpu_ns[number] = (cpu_of(s->pid) - cpu) / QUERIES;
	return fd < 0 || close(fd);
}

enum { ECHO, LOOPED, MESH, OURS, OTHERS_MAX = 4, SIDES_MAX = OURS + OTHERS_MAX };
struct sides {
	struct server *v[SIDES_MAX]; /* from OURS on: others */
	size_t n;
};
struct window {
	unsigned n;
	double floor_percent;
};

/* One line; 1 when the floor is missed. */
static int window_report(const struct sides *sides, const struct window *w)
{
	const struct server *echo = sides->v[ECHO], *mesh = sides->v[MESH];
	double cpu = median_ratio(mesh->cpu_ns, echo->cpu_ns);
	printf("window=%u mesh_wall_ns=%.0f echo_wall_ns=%.0f wall_ratio=%.2f mesh_cpu_ns=%.0f "
	       "echo_cpu_ns=%.0f "
	       "cpu_ratio=%.2f\n",
		w->n, median(mesh->wall_ns), median(echo->wall_ns),
		median_ratio(mesh->wall_ns, echo->wall_ns), median(mesh->cpu_ns), median(echo->cpu_ns), cpu);
	if (w->n == 1)
		printf("loop=%u cpu_ratio=%.2f\n", w->n,
			median_ratio(sides->v[LOOPED]->cpu_ns, echo->cpu_ns));
	for (size_t i = OURS; i < sides->n; i++)
		printf("other=%s window=%u cpu_ratio=%.2f wall_ratio=%.2f\n", sides->v[i]->name, w->n,
			median_ratio(sides->v[i]->cpu_ns, echo->cpu_ns),
			median_ratio(sides->v[i]->wall_ns, echo->wall_ns));
	return cpu * 100 > w->floor_percent;
}

/* One at a time client and server never work at once. On an idle machine the kernel puts one pair on one processor and the
 * other on two, which wake each other from idle at 13 times the time: so both are on one. */
static int stay_on(const cpu_set_t *where, const struct sides *sides)
{
	int failed = sched_setaffinity(0, sizeof(*where), where);
	for (size_t i = 0; i < sides->n; i++)
		failed = failed || sched_setaffinity(sides->v[i]->pid, sizeof(*where), where);
	return failed;
}

static int rounds_run(const struct sides *sides, unsigned window)
{
	for (size_t i = 0; i < ROUNDS; i++)
		for (size_t k = 0; k < sides->n; k++)
			if ((k != LOOPED || window == 1) && round_run(sides->v[k], window, i))
				return -1;
	return 0;
}

static int measure(const struct sides *sides, int *missed)
{
	static const struct window windows[] = { { 1, 110 }, { 64, 90 } };
	cpu_set_t all, one;
	int first = 0;
	if (sched_getaffinity(0, sizeof(all), &all))
		return -1;
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	for (size_t w = 0; w < ARRAY_LEN(windows); w++) {
		if (stay_on(windows[w].n == 1 ? &one : &all, sides) || rounds_run(sides, windows[w].n))
			return -1;
		*missed |= window_report(sides, &windows[w]);
	}
	return 0;
}

static int measure_forward(struct server *echo, struct server *forward, int *missed)
{
	for (size_t i = 0; i < ROUNDS; i++)
		if (round_run(echo, FORWARD_WINDOW, i) || round_run(forward, FORWARD_WINDOW, i))
			return -1;
	double cpu = median_ratio(forward->cpu_ns, echo->cpu_ns);
	printf("forward=%d forward_cpu_ns=%.0f echo_cpu_ns=%.0f cpu_ratio=%.2f\n", FORWARD_WINDOW,
		median(forward->cpu_ns), median(echo->cpu_ns), cpu);
	*missed |= cpu * 100 > FORWARD_FLOOR_PERCENT;
	return 0;
}

/* Microseconds; negative: there was no answer. */
static double ask_one(int fd, unsigned i)
{
	uint8_t q[300], a[2048];
	double began = now_ns();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (send(fd, q, question(q, i, false), 0) < 0 || poll(&p, 1, 5000) != 1 ||
		recv(fd, a, sizeof(a), 0) < 0)
		return -1;
	return (now_ns() - began) / 1000;
}

/* A few at a time, so that none is lost; what fails has others come in its place. */
static bool keep_waiting(int fd, unsigned *waiting, unsigned *next)
{
	uint8_t q[300], a[2048];
	while (recv(fd, a, sizeof(a), MSG_DONTWAIT) > 0)
		--*waiting;
	for (unsigned i = 0; *waiting < WAITING && i < BURST; ++*waiting, i++)
		if (send(fd, q, question(q, (*next)++, true), 0) < 0)
			return false;
	return true;
}

static int measure_dead(const struct server *echo, const struct server *dead, int *missed)
{
	static double us[DEAD_NAMES], echo_us[DEAD_NAMES];
	int waits = client_open(&dead->at), fd = client_open(&dead->at), bare = client_open(&echo->at);
	unsigned waiting = 0, next = 0;
	for (unsigned i = 0; i < DEAD_NAMES; i++) {
		if (!keep_waiting(waits, &waiting, &next) || (us[i] = ask_one(fd, i)) < 0 ||
			(echo_us[i] = ask_one(bare, i)) < 0)
			return -1;
	}
	qsort(us, DEAD_NAMES, sizeof(*us), by_size);
	qsort(echo_us, DEAD_NAMES, sizeof(*us), by_size);
	size_t p99 = DEAD_NAMES / 100 * 99;
	printf("dead=%d p50_us=%.0f p99_us=%.0f echo_p99_us=%.0f\n", WAITING, us[DEAD_NAMES / 2], us[p99],
		echo_us[p99]);
	*missed |= us[p99] > DEAD_FLOOR_US;
	return close(fd) || close(waits) || close(bare);
}

/* false: it did not come up. */
static bool server_start(struct server *s, bool with_zone, const struct endpoint *upstream)
{
	int report[2];
	if (pipe(report))
		return false;
	s->pid = fork_tied();
	if (!s->pid)
		resolver_serve(report[1], with_zone, upstream);
	close(report[1]);
	bool ok = read(report[0], &s->at, sizeof(s->at)) == sizeof(s->at);
	close(report[0]);
	return ok;
}

/* What runs already, as the command line names it. */
static bool others_add(struct sides *sides, int argc, char **argv)
{
	static struct server others[OTHERS_MAX];
	bool ok = argc % 3 == 1 && argc / 3 <= OTHERS_MAX;
	for (int i = 1; ok && i + 2 < argc; i += 3) {
		struct server *s = &others[i / 3];
		uint64_t port = 0, pid = 0;
		ok = text_u64(argv[i + 1], 1, UINT16_MAX, &port) && text_u64(argv[i + 2], 1, INT32_MAX, &pid);
		*s = (struct server) { .name = argv[i],
			.at = { .ip = addr_v4(INADDR_LOOPBACK), .port = (uint16_t)port },
			.pid = (pid_t)pid };
		sides->v[sides->n++] = s;
	}
	return ok;
}

int main(int argc, char **argv)
{
	static struct server echo = { .name = "echo" }, looped = { .name = "echo in a loop" },
			     mesh = { .name = "mesh name" },
			     forward = { .name = "forwarded name", .once = true }, dead = { .name = "dead" };
	struct endpoint nobody;
	int fd = bound_socket(&echo.at), other = bound_socket(&looped.at), silent = bound_socket(&nobody);
	int missed = 0;
	if (!key_setup() || fd < 0 || other < 0 || silent < 0)
		return 1;
	echo.pid = fork_tied();
	if (!echo.pid)
		echo_serve(fd, A_RECORD_LEN);
	looped.pid = fork_tied();
	if (!looped.pid)
		looped_serve(other, A_RECORD_LEN);
	struct sides sides = { .v = { [ECHO] = &echo, [LOOPED] = &looped, [MESH] = &mesh }, .n = OURS };
	bool ok = others_add(&sides, argc, argv) && server_start(&mesh, true, NULL) &&
		  server_start(&forward, false, &mesh.at) && server_start(&dead, true, &nobody);
	ok = ok && !measure(&sides, &missed) && !measure_forward(&echo, &forward, &missed) &&
	     !measure_dead(&echo, &dead, &missed);
	const struct server *all[] = { &echo, &looped, &mesh, &forward, &dead };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i]->pid > 0)
			kill(all[i]->pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	if (!ok) {
		fprintf(stderr, "echo_bench: a server did not come up or went away\n");
		return 1;
	}
	return missed ? 2 : 0;
}
