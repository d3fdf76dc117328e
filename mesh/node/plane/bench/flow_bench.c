/* flow_bench: what the first packet of a flow costs, in ns of CPU time, by how much there is to look through: one rule that
 * lets everybody in and one peer; RULES rules, each of its own peer and port; and as many with ROUTES networks behind
 * the peers as well. In: parse, rules, the flow is noted. Out: parse, source, the flow is noted, the peer is found. Each
 * figure is the least of ROUNDS, which take the three in turn: what the rest of the machine does only adds. */
#include "mesh/base/err.h"
#include "mesh/filter/filter.h"
#include "mesh/wg/wg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RULES = 1000, ROUTES = 10000, FLOWS = 4096, ROUNDS = 101, PEERS = RULES };
#define US UINT32_C(0x647f0001)	    /* 100.127.0.1 */
#define THEM UINT32_C(0x64400000)   /* 100.64.0.0 */
#define BEHIND UINT32_C(0x0a000000) /* 10.0.0.0 */
enum { AGES_MS = 3600000 };

enum size { SIZE_PLAIN, SIZE_RULES, SIZE_ROUTES, SIZES };
static const char *const size_texts[] = { [SIZE_PLAIN] = "one rule for all, one peer",
	[SIZE_RULES] = "1,000 rules and peers",
	[SIZE_ROUTES] = "the same, and 10,000 routes" };

struct side {
	struct filter *rules;
	struct wg *wg;
	double in_ns, out_ns; /* the least; 0: none yet */
};
struct packet {
	uint8_t b[28];
};
static struct packet in[FLOWS], out[FLOWS];

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "flow_bench: %s\n", what);
	exit(1);
}

static uint16_t port_of(unsigned peer)
{
	return (uint16_t)(1000 + peer * 7 % PEERS);
}

static struct filter *build_rules(size_t n)
{
	static struct filter_range src[RULES];
	static struct filter_dst dst[RULES];
	static struct filter_rule rules[RULES];
	struct prefix own = { addr_v4(US), 32 };
	for (unsigned i = 0; i < n; i++) {
		src[i] = (struct filter_range) { addr_v4(THEM + i), addr_v4(THEM + i), n == 1 };
		dst[i] = (struct filter_dst) { own, false, n == 1 ? 0 : port_of(i),
			n == 1 ? 65535 : port_of(i) };
		rules[i] = (struct filter_rule) { &src[i], 1, &dst[i], 1, NULL, 0 };
	}
	return filter_build(rules, n, &(struct filter_local) { .v = &own, .n = 1 });
}

static void nothing_ready(void *arg, uint64_t peer)
{
	(void)arg;
	(void)peer;
}

static void nothing_sent(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)peer;
	(void)p;
	(void)len;
}

static struct wg *build_peers(unsigned n, unsigned n_routes)
{
	struct node_private priv;
	struct wg_ops ops = { .send = nothing_sent, .session_ready = nothing_ready };
	struct prefix nets[1 + ROUTES / PEERS];
	key_generate(&random_system, priv.b);
	struct wg *w = wg_new(&priv, &ops, &random_system);
	for (unsigned i = 0; w && i < n; i++) {
		struct node_key key = { { 1, (uint8_t)(i >> 8), (uint8_t)i } };
		size_t k = 0;
		/* The single peer is everybody. */
		nets[k++] = (struct prefix) { addr_v4(THEM + i), n == 1 ? 12 : 32 };
		for (unsigned r = 0; r < n_routes / n; r++)
			nets[k++] = (struct prefix) { addr_v4(BEHIND + ((i * (n_routes / n) + r) << 8)), 24 };
		must(wg_peer_set(w, i + 1, &key, NULL, nets, k), "a peer is refused");
	}
	return w;
}

static void make_packets(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		unsigned peer = i * 7919 % PEERS;
		struct endpoint us = { .ip = addr_v4(US), .port = port_of(peer) },
				them = { .ip = addr_v4(THEM + peer), .port = (uint16_t)(20000 + i) };
		ip_write_udp(in[i].b, &them, &us, 0);
		ip_write_udp(out[i].b, &us, &them, 0);
	}
}

static double time_in(const struct side *s, struct filter_flows *t, uint64_t now)
{
	struct filter_drops drops = { 0 };
	double began = cpu_ns();
	for (unsigned i = 0; i < FLOWS; i++) {
		struct ip_view v;
		must(ip_parse(in[i].b, sizeof(in[i].b), &v) &&
				filter_in(s->rules, t, now, &v, &drops) == FILTER_PASS,
			"a packet was refused");
	}
	return (cpu_ns() - began) / FLOWS;
}

static double time_out(const struct side *s, struct filter_flows *t, uint64_t now)
{
	struct filter_drops drops = { 0 };
	double began = cpu_ns();
	for (unsigned i = 0; i < FLOWS; i++) {
		struct ip_view v;
		must(ip_parse(out[i].b, sizeof(out[i].b), &v) && filter_is_local(s->rules, &v.src) &&
				filter_out(t, now, &v, &drops) == FILTER_PASS && wg_route(s->wg, &v.dst),
			"a packet goes nowhere");
	}
	return (cpu_ns() - began) / FLOWS;
}

static void keep_less(double *least, double ns)
{
	if (!*least || ns < *least)
		*least = ns;
}

int main(void)
{
	static struct side sides[SIZES];
	struct filter_flows *t = filter_flows_new(1);
	uint64_t now = AGES_MS;
	for (int i = 0; i < SIZES; i++) {
		sides[i].rules = build_rules(i == SIZE_PLAIN ? 1 : RULES);
		sides[i].wg = build_peers(i == SIZE_PLAIN ? 1 : PEERS, i == SIZE_ROUTES ? ROUTES : 0);
		must(sides[i].rules && sides[i].wg && t, "memory is short");
	}
	make_packets();
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < SIZES; i++) {
			keep_less(&sides[i].in_ns, time_in(&sides[i], t, now += AGES_MS));
			keep_less(&sides[i].out_ns, time_out(&sides[i], t, now += AGES_MS));
		}
	for (int i = 0; i < SIZES; i++) {
		struct side *s = &sides[i], *plain = &sides[SIZE_PLAIN];
		printf("%-28s in %5.0f ns, %.2f x; out %5.0f ns, %.2f x\n", size_texts[i], s->in_ns,
			s->in_ns / plain->in_ns, s->out_ns, s->out_ns / plain->out_ns);
	}
	for (int i = 0; i < SIZES; i++) {
		struct side *s = &sides[i];
		filter_free(s->rules);
		wg_free(s->wg);
	}
	filter_flows_free(t);
	return 0;
}
