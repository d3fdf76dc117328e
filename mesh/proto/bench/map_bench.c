/* A thousand peers: writing the map as the server does, reading it as a node does. */
#include "mesh/base/bench/resident.h"
#include "mesh/proto/control.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEERS = 1000, ROUNDS = 20 };

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fill(struct arena *a, struct ctl_map_response *m)
{
	static const struct ctl_netinfo net = { .preferred_derp = 900 };
	*m = (struct ctl_map_response) { .control_time_ms = INT64_MIN, .n_peers = PEERS };
	m->peers = arena_array(a, PEERS, sizeof(*m->peers));
	for (uint32_t i = 0; i < PEERS; i++) {
		struct ctl_node *n = &m->peers[i];
		struct prefix *p = arena_array(a, 2, sizeof(*p));
		struct endpoint *e = arena_array(a, 3, sizeof(*e));
		struct addr v4 = addr_v4(0x64400001u + i);
		p[0] = prefix_of(&v4);
		(void)prefix_parse("fd7a:115c:a1e0::1/128", &p[1]);
		for (uint16_t j = 0; j < 3; j++)
			e[j] = (struct endpoint) { .ip = addr_v4(0xc0000201u + j),
				.port = (uint16_t)(41641 + j) };
		*n = (struct ctl_node) { .id = i + 1,
			.stable_id = arena_printf(a, "n%u", i),
			.user = 1,
			.home_derp = 900,
			.name = arena_printf(a, "node-%u.mesh.example.", i),
			.created_ms = 1767225600000,
			.last_seen_ms = INT64_MIN,
			.key_expiry_ms = INT64_MIN,
			.cap = 119,
			.machine_authorized = true,
			.online = OPT_TRUE };
		memset(n->key.b, (int)i, KEY_LEN);
		memset(n->disco.b, (int)i + 1, KEY_LEN);
		memset(n->machine.b, (int)i + 2, KEY_LEN);
		n->addresses = n->allowed_ips = (struct ctl_prefixes) { p, 2 };
		n->endpoints = (struct ctl_endpoints) { .v = e, .n = 3, .present = true };
		n->hostinfo =
			(struct ctl_hostinfo) { .os = "linux", .hostname = n->stable_id, .netinfo = &net };
	}
}

int main(void)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct ctl_map_response m, back;
	fill(&a, &m);
	double start = now_ms();
	for (int i = 0; i < ROUNDS; i++) {
		buf_free(&b);
		if (!ctl_map_response_write(&b, &m))
			return 1;
	}
	double wrote = (now_ms() - start) / ROUNDS;
	double before = resident_mib();
	struct arena kept = { 0 };
	start = now_ms();
	for (int i = 0; i < ROUNDS; i++) {
		arena_free(&kept);
		if (ctl_map_response_read(&kept, (const char *)buf_data(&b), b.len, &back, NULL) != 0)
			return 1;
	}
	double read = (now_ms() - start) / ROUNDS;
	double after = resident_mib();
	malloc_trim(0);
	printf("map of %d peers: %zu bytes, write %.2f ms, read %.2f ms, arena %zu KiB, RSS %+.0f KiB, "
	       "trimmed %+.0f KiB\n",
		PEERS, b.len, wrote, read, kept.used / 1024, (after - before) * 1024,
		(resident_mib() - before) * 1024);
	arena_free(&kept);
	arena_free(&a);
	buf_free(&b);
	return 0;
}
