/* The names of a mesh of 10,000 machines, each with an address of IPv4 and one of IPv6 and the PTR of both, when all of them
 * are others at once: what the loop of a node computes for that, the longest between two questions that it could
 * answer, and what other threads compute beside it. CPU in ms, of TURNS exchanges the median; and what the process has
 * resident in MiB, before the first and after the last. */
#include "mesh/base/bench/resident.h"
#include "mesh/node/map_zone.h"
#include "resolver/listen.h"
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 10000, TURNS = 15, TEXT_MAX = 1024 };

struct bench {
	struct map_zone k;
	struct netmap *map;
	double longest_ms; /* of this exchange */
};

static double cpu_ms(clockid_t of)
{
	struct timespec ts;
	clock_gettime(of, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void stood(struct bench *b, double since_ms)
{
	double took = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - since_ms;
	b->longest_ms = took > b->longest_ms ? took : b->longest_ms;
}

static void follow(struct bench *b)
{
	struct errbuf eb;
	if (map_zone_follow(&b->k, b->map, &eb))
		abort();
}

static void made(void *arg)
{
	follow(arg);
}

static void put_text(struct buf *b, const char *text)
{
	if (!buf_append(b, text, strlen(text)))
		abort();
}

/* The next map: all machines by another name. */
static void rename_all(struct bench *b, unsigned generation)
{
	struct buf json = { 0 };
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb;
	char text[TEXT_MAX];
	put_text(&json,
		"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"self.tail.example.net.\","
		"\"Key\":\"nodekey:00000000000000000000000000000000000000000000000000000000000fffff\","
		"\"Addresses\":[\"100.64.0.1/32\"]},"
		"\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"tail.example.net\"]},\"Peers\":[");
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(text, sizeof(text),
			"%s{\"ID\":%u,\"StableID\":\"n%u\",\"Name\":\"host-%u-%u.tail.example.net.\","
			"\"Key\":\"nodekey:%064x\",\"Addresses\":[\"100.68.%u.%u/32\",\"fd7a:115c:a1e0::1:%x/"
			"128\"]}",
			i ? "," : "", i + 2, i + 2, i, generation, i + 1, i >> 8, i & 255, i);
		put_text(&json, text);
	}
	put_text(&json, "]}");
	struct netmap *next = NULL;
	if (ctl_map_response_read(&a, (const char *)buf_data(&json), json.len, &m, &eb) == 0)
		next = netmap_apply(b->map, &m, 0, &eb);
	if (!next)
		abort();
	netmap_put(b->map);
	b->map = next;
	arena_free(&a);
	buf_free(&json);
}

static void exchange(struct bench *b)
{
	double began = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
	b->longest_ms = 0;
	follow(b);
	stood(b, began);
	while (b->k.making) {
		began = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
		loop_run_once(b->k.loop);
		stood(b, began);
	}
}

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

int main(void)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct bench b = { 0 };
	struct errbuf eb = { 0 };
	double loop_ms[TURNS], threads_ms[TURNS], mib = 0;
	(void)mallopt(M_ARENA_MAX, 1); /* as ropewalkd */
	b.k = (struct map_zone) { .loop = loop_new(), .made = made, .arg = &b };
	struct resolver_server *s = key_setup() && b.k.loop ? resolver_server_open(b.k.loop, &o, &eb) : NULL;
	if (!s) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	map_zone_serve(&b.k, resolver_server_core(s));
	for (unsigned i = 0; i < TURNS + 1; i++) { /* the first map is there at once */
		rename_all(&b, i);
		double own = cpu_ms(CLOCK_THREAD_CPUTIME_ID), all = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
		exchange(&b);
		if (i) {
			own = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - own;
			threads_ms[i - 1] = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - all - own;
			loop_ms[i - 1] = b.longest_ms;
		} else {
			mib = resident_mib();
		}
	}
	double after = resident_mib();
	map_zone_fini(&b.k);
	resolver_server_close(s);
	netmap_put(b.map);
	loop_free(b.k.loop);
	qsort(loop_ms, TURNS, sizeof(*loop_ms), by_size);
	qsort(threads_ms, TURNS, sizeof(*threads_ms), by_size);
	printf("loop_ms=%.3f threads_ms=%.2f before_mib=%.1f after_mib=%.1f\n", loop_ms[TURNS / 2],
		threads_ms[TURNS / 2], mib, after);
	return 0;
}
