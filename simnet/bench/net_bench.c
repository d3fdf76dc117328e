/* Building, probing and tearing down home-to-home's network without programs: medians of N runs (argv[1]). */
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/hosts.h"
#include "simnet/host/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { RUNS_MAX = 200 };
enum column { OPEN, SELF_TEST, CLOSE, SANDBOX, WHOLE, COLUMNS };
static const char *const titles[] = { "build", "self-test", "close", "sandbox", "whole run" };

static double now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* The topology of scenarios/home-to-home.yaml. */
static int build(void *arg)
{
	double *row = arg;
	struct errbuf eb = { 0 };
	struct hosts *h;
	struct engine *e;
	struct scn_router routers[] = {
		{ .name = "carrier",
			.behind = -1,
			.nat = true,
			.filtering = NAT_EIF,
			.hairpin = NAT_HAIRPIN_EXTERNAL },
		{ .name = "alice-home", .behind = 0, .nat = true, .filtering = NAT_APDF },
		{ .name = "bob-home", .behind = -1, .nat = true, .filtering = NAT_APDF },
	};
	struct scn_node nodes[] = {
		{ .name = "control", .router = -1, .is_service = true },
		{ .name = "relay-eu", .router = -1, .is_service = true },
		{ .name = "relay-us", .router = -1, .is_service = true },
		{ .name = "alice", .router = 1 },
		{ .name = "bob", .router = 2 },
	};
	struct scenario s = { .file = "bench",
		.name = "bench",
		.seed = 1,
		.routers = routers,
		.n_routers = ARRAY_LEN(routers),
		.nodes = nodes,
		.n_nodes = ARRAY_LEN(nodes) };
	double t0 = now_ms();
	if (topology_plan(&s, &eb) || hosts_open(&s, "/run", &h, &eb) || engine_kernel.open(&s, h, &e, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	double t1 = now_ms();
	if (engine_kernel.self_test(e, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	double t2 = now_ms();
	engine_kernel.close(e);
	hosts_close(h);
	row[OPEN] = t1 - t0;
	row[SELF_TEST] = t2 - t1;
	row[CLOSE] = now_ms() - t2;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 20;
	double columns[COLUMNS][RUNS_MAX];
	double *row = mmap(
		NULL, sizeof(double) * COLUMNS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (row == MAP_FAILED || n < 1 || n > RUNS_MAX) {
		fprintf(stderr, "usage: %s [RUNS, at most %d]\n", argv[0], RUNS_MAX);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		struct errbuf eb = { 0 };
		double t0 = now_ms();
		int r = sandbox_run(build, row, &eb);
		if (r) {
			fprintf(stderr, "%s\n", eb.text);
			return 1;
		}
		row[WHOLE] = now_ms() - t0;
		row[SANDBOX] = row[WHOLE] - row[OPEN] - row[SELF_TEST] - row[CLOSE];
		for (int c = 0; c < COLUMNS; c++)
			columns[c][i] = row[c];
	}
	for (int c = 0; c < COLUMNS; c++) {
		qsort(columns[c], (size_t)n, sizeof(columns[c][0]), by_size);
		printf("%-10s median %6.1f ms   best %6.1f   worst %6.1f\n", titles[c], columns[c][n / 2],
			columns[c][0], columns[c][n - 1]);
	}
	double total = columns[WHOLE][n / 2] - columns[SELF_TEST][n / 2];
	printf("build and tear down: %.1f ms (floor 300 ms, %d runs)\n", total, n);
	return total <= 300 ? 0 : 1;
}
