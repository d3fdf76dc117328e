#include "mesh/filter/flows.h"
#include "mesh/filter/filter.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, SETS = FLOWS_MAX / WAYS };

struct tuple { /* as a packet to us carries it */
	struct addr src, dst;
	uint16_t sport, dport;
	uint32_t proto;
};
struct flow {
	struct tuple tuple;
	uint64_t seen_ms;
	uint64_t rules; /* 0: we began it */
	bool used;
};
struct filter_flows {
	uint64_t seed[2];
	struct flow flow[SETS][WAYS];
};

struct filter_flows *filter_flows_new(uint64_t seed)
{
	struct filter_flows *t = calloc(1, sizeof(*t));
	if (t) {
		t->seed[0] = seed | 1;
		t->seed[1] = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	}
	return t;
}

void filter_flows_free(struct filter_flows *t)
{
	free(t);
}

static struct tuple tuple_of(const struct ip_view *v)
{
	return (struct tuple) {
		.src = v->src, .dst = v->dst, .sport = v->sport, .dport = v->dport, .proto = v->proto
	};
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Strangers choose most of the tuple; without the seed they cannot aim at one set. */
static struct flow *set_of(struct filter_flows *t, const struct tuple *k)
{
	uint64_t x[5];
	memcpy(x, k, sizeof(x));
	uint64_t h = fold(x[0] ^ t->seed[0], x[1] ^ t->seed[1]);
	h = fold(h ^ x[2], x[3] ^ t->seed[1]);
	h = fold(h ^ x[4] ^ t->seed[0], t->seed[1] | 1);
	return t->flow[h % SETS];
}

/* seen_ms may be later than now: what another thread has sent is told in the midst of a batch, whose time was read before. */
static bool is_live(const struct flow *f, uint64_t now_ms)
{
	return f->used && (f->seen_ms > now_ms || now_ms - f->seen_ms < FLOWS_IDLE_MS);
}

static struct flow *find(struct flow *set, const struct tuple *k)
{
	for (int i = 0; i < WAYS; i++)
		if (set[i].used && memcmp(&set[i].tuple, k, sizeof(*k)) == 0)
			return &set[i];
	return NULL;
}

bool flows_find(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, uint64_t rules)
{
	struct tuple k = tuple_of(v);
	struct flow *f = find(set_of(t, &k), &k);
	if (!f || !is_live(f, now_ms) || (f->rules && f->rules != rules))
		return false;
	f->seen_ms = now_ms;
	return true;
}

/* Least worth keeping first: dead, admitted by a rule, begun by us; then the oldest. */
static struct flow *victim(struct flow *set, uint64_t now_ms)
{
	struct flow *worst = NULL;
	for (int i = 0; i < WAYS; i++) {
		struct flow *f = &set[i];
		if (!is_live(f, now_ms))
			return f;
		if (!worst || (f->rules && !worst->rules) ||
			(!f->rules == !worst->rules && f->seen_ms < worst->seen_ms))
			worst = f;
	}
	return worst;
}

static void remember(struct filter_flows *t, uint64_t now_ms, const struct tuple *k, uint64_t rules)
{
	struct flow *set = set_of(t, k), *f = find(set, k);
	if (!f) {
		f = victim(set, now_ms);
		if (rules && is_live(f, now_ms) && !f->rules)
			return;
	} else if (rules && is_live(f, now_ms) && !f->rules) {
		f->seen_ms = now_ms;
		return;
	}
	*f = (struct flow) { .tuple = *k, .seen_ms = now_ms, .rules = rules, .used = true };
}

void flows_sent(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v)
{
	struct tuple k = tuple_of(v), back = { k.dst, k.src, k.dport, k.sport, k.proto };
	remember(t, now_ms, &back, 0);
}

void flows_admitted(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, uint64_t rules)
{
	struct tuple k = tuple_of(v);
	remember(t, now_ms, &k, rules);
}
