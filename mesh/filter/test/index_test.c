/* Rules by their index against rules one by one, in small worlds where everything overlaps. */
#include "mesh/base/err.h"
#include "mesh/filter/filter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WORLDS = 60, RULES_MAX = 48, SOURCES_MAX = 300, DSTS_MAX = 4, PACKETS = 4000, PORTS = 24 };
enum { AGES_MS = 3600000 }; /* between two packets: each is its flow's first */

struct world {
	uint64_t random;
	struct filter_range src[RULES_MAX][SOURCES_MAX];
	struct filter_dst dst[RULES_MAX][DSTS_MAX];
	uint8_t protos[RULES_MAX][3];
	struct filter_rule rules[RULES_MAX];
	size_t n;
	struct prefix local[4], except[4];
};

static unsigned below(struct world *w, unsigned n)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(w->random >> 33) % n;
}

/* One of 256 of each family. */
static struct addr some_addr(struct world *w, bool v4)
{
	uint32_t low = below(w, 16) << 4 | below(w, 16);
	return v4 ? addr_v4(0x64400000 + low) : (struct addr) { { 0xfd, 0x7a, [15] = (uint8_t)low } };
}

static struct prefix some_net(struct world *w)
{
	static const uint8_t v4_bits[] = { 0, 8, 24, 26, 30, 32 }, v6_bits[] = { 0, 3, 64, 120, 124, 128 };
	bool v4 = below(w, 2);
	struct prefix p = { some_addr(w, v4), v4 ? v4_bits[below(w, 6)] : v6_bits[below(w, 6)] };
	if (below(w, 2))
		prefix_mask(&p); /* else with bits beyond the mask: they mean nothing */
	return p;
}

static uint16_t some_port(struct world *w)
{
	static const uint16_t ends[] = { 0, 1, 65534, 65535 };
	return below(w, 8) ? (uint16_t)(100 + below(w, PORTS)) : ends[below(w, 4)];
}

static void some_rule(struct world *w, size_t i, size_t n_src)
{
	static const uint8_t protos[] = { IP_TCP, IP_UDP, IP_SCTP, IP_ICMP, IP_ICMP6, 47 };
	struct filter_rule *r = &w->rules[i];
	for (size_t k = 0; k < n_src; k++) {
		bool v4 = below(w, 2);
		struct filter_range *s = &w->src[i][k];
		*s = (struct filter_range) { some_addr(w, v4), some_addr(w, v4), !below(w, 100) };
		if (below(w, 4))
			s->last = s->first;
	}
	size_t n_dst = below(w, DSTS_MAX + 1);
	for (size_t k = 0; k < n_dst; k++) {
		struct filter_dst *d = &w->dst[i][k];
		*d = (struct filter_dst) { some_net(w), !below(w, 5), some_port(w), some_port(w) };
		if (!below(w, 6)) {
			d->first = 0;
			d->last = UINT16_MAX;
		}
	}
	size_t n_protos = below(w, 4);
	for (size_t k = 0; k < n_protos; k++)
		w->protos[i][k] = protos[below(w, 6)];
	*r = (struct filter_rule) { w->src[i], n_src, w->dst[i], n_dst, w->protos[i], n_protos };
}

/* --- as the rules are told, one by one --- */

static bool has_proto(const struct filter_rule *r, uint8_t proto)
{
	static const uint8_t usual[] = { IP_TCP, IP_UDP, IP_ICMP, IP_ICMP6 };
	const uint8_t *v = r->n_protos ? r->protos : usual;
	for (size_t i = 0; i < (r->n_protos ? r->n_protos : 4); i++)
		if (v[i] == proto)
			return true;
	return false;
}

static bool has_source(const struct filter_rule *r, const struct addr *a)
{
	for (size_t i = 0; i < r->n_src; i++)
		if (r->src[i].any || (addr_is_v4(&r->src[i].first) == addr_is_v4(a) &&
					     memcmp(r->src[i].first.b, a->b, 16) <= 0 &&
					     memcmp(a->b, r->src[i].last.b, 16) <= 0))
			return true;
	return false;
}

static bool slowly(const struct world *w, const struct ip_view *v)
{
	bool ping = v->proto == IP_ICMP || v->proto == IP_ICMP6;
	bool port = v->proto == IP_TCP || v->proto == IP_UDP || v->proto == IP_SCTP;
	for (size_t i = 0; i < w->n; i++) {
		const struct filter_rule *r = &w->rules[i];
		bool proto =
			has_proto(r, v->proto) || (ping && (has_proto(r, IP_TCP) || has_proto(r, IP_UDP)));
		for (size_t k = 0; proto && k < r->n_dst; k++) {
			const struct filter_dst *d = &r->dst[k];
			bool at = ping || (port ? v->dport >= d->first && v->dport <= d->last
						: d->first == 0 && d->last == UINT16_MAX);
			if (at && (d->any || prefix_contains(&d->net, &v->dst)) && has_source(r, &v->src))
				return true;
		}
	}
	return false;
}

static bool slowly_local(const struct world *w, const struct addr *a)
{
	bool out = false;
	for (size_t i = 0; i < ARRAY_LEN(w->except); i++)
		out = out || prefix_contains(&w->except[i], a);
	for (size_t i = 0; i < ARRAY_LEN(w->local); i++)
		if (prefix_contains(&w->local[i], a) && (w->local[i].bits || !out))
			return true;
	return false;
}

/* --- the test --- */

static struct ip_view some_packet(struct world *w)
{
	static const uint8_t protos[] = { IP_TCP, IP_UDP, IP_SCTP, IP_ICMP, IP_ICMP6, 47 };
	bool v4 = below(w, 2);
	struct ip_view v = { .version = v4 ? 4 : 6,
		.src = some_addr(w, v4),
		.dst = some_addr(w, v4),
		.sport = 7,
		.dport = some_port(w),
		.tcp_flags = TCP_SYN,
		.proto = protos[below(w, 6)] };
	if (v.proto == IP_ICMP || v.proto == IP_ICMP6) {
		v.proto = v4 ? IP_ICMP : IP_ICMP6;
		v.icmp_type = v4 ? 8 : 128;
	}
	return v;
}

/* How many passed. */
static unsigned compare(struct world *w, unsigned seed)
{
	struct filter_local local = { w->local, w->except, ARRAY_LEN(w->local), ARRAY_LEN(w->except) };
	struct filter *f = filter_build(w->rules, w->n, &local);
	struct filter_flows *t = filter_flows_new(1);
	unsigned passed = 0;
	assert_true(f && t);
	for (int i = 0; i < PACKETS; i++) {
		struct ip_view v = some_packet(w);
		struct filter_drops drops = { 0 };
		bool here = slowly_local(w, &v.dst), own = slowly_local(w, &v.src);
		if (filter_is_local(f, &v.dst) != here || filter_is_local(f, &v.src) != own)
			fail_msg("world %u, packet %d: local or not", seed, i);
		bool want = here && !own && slowly(w, &v);
		if ((filter_in(f, t, (uint64_t)i * AGES_MS, &v, &drops) == FILTER_PASS) != want)
			fail_msg("world %u, packet %d: %s", seed, i, want ? "refused" : "let in");
		passed += want;
	}
	filter_flows_free(t);
	filter_free(f);
	return passed;
}

static void test_worlds(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned passed = 0;
	(void)state;
	assert_non_null(w);
	for (unsigned seed = 0; seed < WORLDS; seed++) {
		w->random = seed;
		w->n = seed % 4 ? below(w, RULES_MAX) : RULES_MAX;
		/* Many sources each: more than are merged for all places where a rule hangs. */
		for (size_t i = 0; i < w->n; i++)
			some_rule(w, i, seed % 3 ? below(w, 4) : SOURCES_MAX);
		for (size_t i = 0; i < ARRAY_LEN(w->local); i++) {
			do /* small, so that not everything is our own */
				w->local[i] = some_net(w);
			while (w->local[i].bits < 26 || w->local[i].bits == 64);
			w->except[i] = some_net(w);
			if (!w->except[i].bits)
				w->except[i].bits = 32;
		}
		if (seed % 2)
			w->local[0] = (struct prefix) { addr_v4(0), 0 };
		if (seed % 5 == 0) /* edges of a family */
			w->except[0] = (struct prefix) { addr_v4(0xff000000), 8 };
		passed += compare(w, seed);
	}
	print_message("%u of %u passed\n", passed, WORLDS * PACKETS);
	assert_true(passed > WORLDS * PACKETS / 50 && passed < WORLDS * PACKETS / 2);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worlds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
