/* Resident memory of the relay for each idle TLS client: idle_bench [CLIENTS]. The relay runs in a child
 * process, so that the clients' own memory does not count. Prints one JSON line; exit 1 above the floor of 32
 * KiB. */
#include "mesh/relay/bench/child.h"
#include "mesh/relay/test/derp_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { FLOOR_BYTES = 32 * 1024, BATCH = 50 };

static long rss_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static struct derp_peer *join(struct loop *l, const struct child *c)
{
	struct derp_peer *p = calloc(1, sizeof(*p));
	if (!p)
		exit(1);
	derp_peer_dial(p, l, &c->at, c->pin);
	return p;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 400;
	struct child c = { 0 };
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	if (!key_setup() || !child_start(&c))
		return 1;
	struct loop *l = loop_new();
	struct derp_peer **peers = calloc(n + BATCH, sizeof(*peers));
	size_t have = 0;
	long before = 0;
	/* The first ones pay for what all share. */
	while (have < n + BATCH) {
		for (size_t i = 0; i < BATCH && have + i < n + BATCH; i++)
			peers[have + i] = join(l, &c);
		for (size_t i = 0; i < BATCH && have < n + BATCH; i++, have++)
			(void)derp_peer_wait(peers[have], DERP_SERVER_INFO, 1);
		if (have == BATCH)
			before = rss_kib(c.pid);
	}
	long each = (rss_kib(c.pid) - before) * 1024 / (long)(have - BATCH);
	printf("{\"bench\":\"relay_idle\",\"clients\":%zu,\"bytes_each\":%ld,\"floor\":%d,\"ok\":%s}\n", have,
		each, FLOOR_BYTES, each <= FLOOR_BYTES ? "true" : "false");
	for (size_t i = 0; i < have; i++) {
		derp_peer_stop(peers[i]);
		free(peers[i]);
	}
	free(peers);
	loop_free(l);
	child_stop(&c);
	return each <= FLOOR_BYTES ? 0 : 1;
}
