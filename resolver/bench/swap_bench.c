/* A zone of 10,000 names, each with an address of IPv4 and one of IPv6 and the PTR of both, as a mesh has them: what its
 * making costs that calls the loop of a resolver, and what it costs that one takes the place of another, the old one's end
 * included. CPU of the thread in ms, the median of some. */
#include "resolver/resolver.h"
#include "resolver/zone.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NAMES = 10000, TURNS = 15 };

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	(void)arg, (void)client, (void)msg, (void)len;
}
static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	(void)arg, (void)id, (void)to, (void)msg, (void)len;
}
static void upstream_done(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}

static double cpu_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static struct zone *zone_make(void)
{
	struct zone *z = zone_new();
	if (!z || zone_add_authority(z, "tail.example.net"))
		return NULL;
	for (uint32_t i = 0; i < NAMES; i++) {
		uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
		struct addr four = addr_v4(0x64400000 + i), six;
		char name[64];
		be_put(v6 + 12, 4, 0x64400000 + i);
		six = addr_v6_bytes(v6);
		snprintf(name, sizeof(name), "host-%u.tail.example.net", i);
		if (zone_add_address(z, name, &four, true) || zone_add_address(z, name, &six, true))
			return NULL;
	}
	return z;
}

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

int main(void)
{
	struct resolver_ops ops = {
		.reply = reply, .upstream_send = upstream_send, .upstream_done = upstream_done
	};
	double made[TURNS], swapped[TURNS];
	struct resolver *r = key_setup() ? resolver_new(&ops, &random_system) : NULL;
	struct zone *first = r ? zone_make() : NULL;
	if (!first)
		return 1;
	resolver_zone_set(r, first);
	zone_put(first);
	for (size_t i = 0; i < TURNS; i++) {
		double began = cpu_ms();
		struct zone *z = zone_make();
		if (!z)
			return 1;
		made[i] = cpu_ms() - began;
		began = cpu_ms();
		resolver_zone_set(r, z);
		zone_put(z);
		swapped[i] = cpu_ms() - began;
	}
	resolver_free(r);
	qsort(made, TURNS, sizeof(*made), by_size);
	qsort(swapped, TURNS, sizeof(*swapped), by_size);
	printf("made_ms=%.2f swapped_ms=%.2f\n", made[TURNS / 2], swapped[TURNS / 2]);
	return 0;
}
