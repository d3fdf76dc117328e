/* Building, probing and tearing down networks without programs, medians of N runs (argv[1]): home-to-home's, 50 nodes
 * behind 20 routers, 500 behind 150, and 64 on the internet. Beside the last what the kernel takes for as many
 * processes with namespaces of their own, each on a bridge by a veth pair: that, and no file, address or route. */
#include "mesh/os/netlink.h"
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/hosts.h"
#include "simnet/host/netns.h"
#include "simnet/host/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	RUNS_MAX = 200,
	ROUTERS_MAX = 150,
	NODES_MAX = 500,
	REST_MS = 1000,
	HOME_FLOOR_MS = 300,
	MANY_FLOOR_MS = 500,
	LARGE_FLOOR_MS = 5000,
	LARGE_FLOOR_MIB = 1024,
	HOSTS = 64,
	HOST_FLOOR_MS = 2
};
enum column { OPEN, SELF_TEST, CLOSE, SANDBOX, WHOLE, MEMORY, COLUMNS };
static const struct {
	const char *title, *unit;
} columns[] = {
	[OPEN] = { "build", "ms" },
	[SELF_TEST] = { "self-test", "ms" },
	[CLOSE] = { "close", "ms" },
	[SANDBOX] = { "sandbox", "ms" },
	[WHOLE] = { "whole run", "ms" },
	[MEMORY] = { "memory", "MiB" }, /* of the machine, less when the network is there than before */
};

static double now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double free_mib(void)
{
	char line[128];
	double kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "MemAvailable: %lf", &kib);
	if (f)
		fclose(f);
	return kib / 1024;
}

static int measure_network(struct scenario *s, double *row)
{
	struct errbuf eb = { 0 };
	struct hosts *h;
	struct engine *e;
	s->file = s->name = "bench";
	s->seed = 1;
	double t0 = now_ms(), before = free_mib();
	if (topology_plan(s, &eb) || hosts_open(s, "/run", &h, &eb) || engine_kernel.open(s, h, &e, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	double t1 = now_ms();
	if (engine_kernel.self_test(e, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	double t2 = now_ms();
	row[MEMORY] = before - free_mib();
	engine_kernel.close(e);
	hosts_close(h);
	row[OPEN] = t1 - t0;
	row[SELF_TEST] = t2 - t1;
	row[CLOSE] = now_ms() - t2;
	return 0;
}

/* The topology of scenarios/home-to-home.yaml. */
static int build(void *arg)
{
	struct scn_router routers[] = {
		{ .name = "carrier", .behind = -1, .nat = true, .model = nat_preset_find("cgnat")->model },
		{ .name = "alice-home", .behind = 0, .nat = true, .model = nat_model_default },
		{ .name = "bob-home", .behind = -1, .nat = true, .model = nat_model_default },
	};
	struct scn_node nodes[] = {
		{ .name = "control", .router = -1, .is_service = true },
		{ .name = "relay-eu", .router = -1, .is_service = true },
		{ .name = "relay-us", .router = -1, .is_service = true },
		{ .name = "alice", .router = 1 },
		{ .name = "bob", .router = 2 },
	};
	struct scenario s = { .routers = routers,
		.n_routers = ARRAY_LEN(routers),
		.nodes = nodes,
		.n_nodes = ARRAY_LEN(nodes) };
	return measure_network(&s, arg);
}

static int build_many(double *row, int n_routers, int n_nodes)
{
	static struct scn_router routers[ROUTERS_MAX];
	static struct scn_node nodes[NODES_MAX];
	static char names[ROUTERS_MAX + NODES_MAX][8];
	for (int i = 0; i < n_routers + n_nodes; i++)
		snprintf(names[i], sizeof(names[i]), "%c%d", i < n_routers ? 'r' : 'n', i);
	for (int i = 0; i < n_routers; i++)
		routers[i] = (struct scn_router) {
			.name = names[i], .behind = -1, .nat = true, .model = nat_model_default
		};
	for (int i = 0; i < n_nodes; i++)
		nodes[i] = (struct scn_node) { .name = names[n_routers + i], .router = i % n_routers };
	struct scenario s = {
		.routers = routers, .n_routers = (size_t)n_routers, .nodes = nodes, .n_nodes = (size_t)n_nodes
	};
	return measure_network(&s, row);
}

static int build_some(void *arg)
{
	return build_many(arg, 20, 50);
}

static int build_large(void *arg)
{
	return build_many(arg, ROUTERS_MAX, NODES_MAX);
}

static int build_hosts(void *arg)
{
	static struct scn_node nodes[HOSTS];
	static char names[HOSTS][8];
	for (int i = 0; i < HOSTS; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		nodes[i] = (struct scn_node) { .name = names[i], .router = -1 };
	}
	struct scenario s = { .nodes = nodes, .n_nodes = HOSTS };
	return measure_network(&s, arg);
}

/* --- the same by the kernel alone --- */

enum { OF_A_HOST = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC };

static int add_bare(struct nl *nl, int bridge, const struct netns *home, int i, pid_t *pid, struct errbuf *eb)
{
	struct netns own;
	char port[16];
	int err = netns_new(&own, eb);
	if (err)
		return err;
	*pid = (pid_t)syscall(SYS_clone, OF_A_HOST | SIGCHLD, 0UL, NULL, NULL, 0UL);
	if (*pid == 0) {
		pause();
		_exit(0);
	}
	netns_return(home);
	snprintf(port, sizeof(port), "p%d", i);
	err = nl_veth_add(nl,
		&(struct nl_veth) {
			.name = port, .peer = "eth0", .peer_ns = own.fd, .master = bridge, .up = true },
		eb);
	netns_close(&own);
	return *pid < 0 ? -EAGAIN : err;
}

static int build_bare(void *arg)
{
	pid_t pids[HOSTS] = { 0 };
	struct netns home = netns_none;
	struct errbuf eb = { 0 };
	double *row = arg, began = now_ms();
	memset(row, 0, sizeof(*row) * COLUMNS);
	struct nl *nl = nl_open(&eb);
	int err = !nl || netns_open_own(&home, &eb) || nl_bridge_add(nl, "br", &eb);
	int bridge = err ? 0 : nl_link_index(nl, "br");
	for (int i = 0; !err && i < HOSTS; i++)
		err = add_bare(nl, bridge, &home, i, &pids[i], &eb);
	row[OPEN] = now_ms() - began;
	for (int i = 0; i < HOSTS; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	row[CLOSE] = now_ms() - began - row[OPEN];
	nl_close(nl);
	netns_close(&home);
	if (err)
		fprintf(stderr, "%s\n", eb.text);
	return err != 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Medians of all columns into `median`; false: a run has failed. rest_ms: in which the kernel removes what the last run has
 * left to it, which else slows the next. */
static bool run_all(
	const char *what, int (*body)(void *row), int n, int rest_ms, double *row, double median[COLUMNS])
{
	double values[COLUMNS][RUNS_MAX];
	for (int i = 0; i < n; i++) {
		struct errbuf eb = { 0 };
		double t0 = now_ms();
		if (sandbox_run(body, row, &eb)) {
			fprintf(stderr, "%s\n", eb.text);
			return false;
		}
		row[WHOLE] = now_ms() - t0;
		(void)poll(NULL, 0, rest_ms);
		row[SANDBOX] = row[WHOLE] - row[OPEN] - row[SELF_TEST] - row[CLOSE];
		for (int c = 0; c < COLUMNS; c++)
			values[c][i] = row[c];
	}
	printf("%s\n", what);
	for (int c = 0; c < COLUMNS; c++) {
		qsort(values[c], (size_t)n, sizeof(values[c][0]), by_size);
		printf("  %-10s median %6.1f %s   best %6.1f   worst %6.1f\n", columns[c].title,
			values[c][n / 2], columns[c].unit, values[c][0], values[c][n - 1]);
		median[c] = values[c][n / 2];
	}
	return true;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 20;
	double home[COLUMNS], many[COLUMNS], large[COLUMNS], hosts[COLUMNS], bare[COLUMNS];
	double *row = mmap(
		NULL, sizeof(double) * COLUMNS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (row == MAP_FAILED || n < 1 || n > RUNS_MAX) {
		fprintf(stderr, "usage: %s [RUNS, at most %d]\n", argv[0], RUNS_MAX);
		return 2;
	}
	if (!run_all("home-to-home", build, n, 0, row, home) ||
		!run_all("50 nodes behind 20 routers", build_some, n, REST_MS, row, many) ||
		!run_all("500 nodes behind 150 routers", build_large, (n + 2) / 3, REST_MS, row, large) ||
		!run_all("64 nodes on the internet", build_hosts, n, REST_MS, row, hosts) ||
		!run_all("as many bare", build_bare, n, REST_MS, row, bare))
		return 1;
	double total = home[WHOLE] - home[SELF_TEST];
	printf("build and tear down: %.1f ms (floor %d ms, %d runs)\n", total, HOME_FLOOR_MS, n);
	printf("50 nodes, whole run: %.1f ms (floor %d ms, %d runs)\n", many[WHOLE], MANY_FLOOR_MS, n);
	printf("500 nodes, built: %.1f ms (floor %d ms, %d runs)\n", large[OPEN], LARGE_FLOOR_MS,
		(n + 2) / 3);
	printf("500 nodes, memory: %.1f MiB (floor %d MiB)\n", large[MEMORY], LARGE_FLOOR_MIB);
	printf("a host, built: %.2f ms (floor %d ms), by the kernel alone %.2f ms\n", hosts[OPEN] / HOSTS,
		HOST_FLOOR_MS, bare[OPEN] / HOSTS);
	return hosts[OPEN] <= HOST_FLOOR_MS * HOSTS && total <= HOME_FLOOR_MS &&
			       many[WHOLE] <= MANY_FLOOR_MS && large[OPEN] <= LARGE_FLOOR_MS &&
			       large[MEMORY] <= LARGE_FLOOR_MIB
		       ? 0
		       : 1;
}
