/* Random networks and random trouble by seed: whatever happened, once the network is whole again the pair
 * talks, and directly exactly when the oracle says so. RW_SOAK_SEEDS sets how many seeds, RW_SOAK_FIRST the
 * first. */
#include "mesh/path/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { PUBLIC = 9, KINDS = 10 };
struct story {
	struct world *w;
	struct node *a, *b;
	int kind_a, kind_b;
	char text[2000];
	size_t len;
};

static bool direct_expected(int a, int b)
{
	if (a == PUBLIC || b == PUBLIC)
		return true;
	bool eif = a % 3 == FILTER_EIF || b % 3 == FILTER_EIF, eim = a / 3 == MAP_EIM && b / 3 == MAP_EIM;
	return eif || eim || a == FILTER_ADF || b == FILTER_ADF;
}

static void tell(struct story *s, const char *what, unsigned arg)
{
	int n = snprintf(s->text + s->len, sizeof(s->text) - s->len, " %llu:%s(%u)",
		(unsigned long long)s->w->now_ms, what, arg);
	if (n > 0 && s->len + (size_t)n < sizeof(s->text))
		s->len += (size_t)n;
}

static struct node *place(struct world *w, int kind, int side)
{
	char outer[32], inner[32];
	snprintf(outer, sizeof(outer), "198.51.100.%d", side);
	snprintf(inner, sizeof(inner), "192.168.%d.10", world_random(w, 2) ? side : 1);
	if (kind == PUBLIC)
		return world_node(w, INTERNET, outer);
	int net = INTERNET;
	bool twice = kind < 3 && world_random(w, 3) == 0;
	if (twice) {
		net = world_router(w, net, outer, MAP_EIM, FILTER_EIF);
		snprintf(outer, sizeof(outer), "100.64.1.%d", side);
	}
	net = world_router(w, net, outer, (enum nat_map)(kind / 3), (enum nat_filter)(kind % 3));
	return world_node(w, net, inner);
}

static void trouble(struct story *s)
{
	struct world *w = s->w;
	struct node *n = world_random(w, 2) ? s->a : s->b;
	unsigned what = world_random(w, 13), arg = world_random(w, (unsigned)w->n_regions);
	struct router *r = world_router_of(w, n->net);
	static const char *const names[] = { "cut", "heal", "nat-reset", "relay", "stun", "control",
		"restart", "block", "loss", "jump", "data", "data-from", "one-way" };
	tell(s, names[what], arg);
	switch (what) {
	case 0: w->direct_cut = true; break;
	case 1:
		w->direct_cut = w->one_way_cut = w->data_cut = false;
		w->data_cut_from = 0;
		break;
	case 2:
		if (r)
			r->n_sessions = 0;
		break;
	case 3: w->relay_dead[arg] = !w->relay_dead[arg]; break;
	case 4: w->stun_dead[arg] = !w->stun_dead[arg]; break;
	case 5:
		w->control_dead = !w->control_dead;
		path_control_up(s->a->path, w->now_ms, !w->control_dead);
		path_control_up(s->b->path, w->now_ms, !w->control_dead);
		break;
	case 6:
		world_stop(n);
		world_run(w, world_random(w, 2000));
		n->seq = 0;
		for (int i = 0; i < NODES_MAX; i++) {
			n->seen_request[i] = n->seen_answer[i] = 0;
			w->nodes[i].seen_request[n->index] = w->nodes[i].seen_answer[n->index] = 0;
		}
		world_start(n);
		break;
	case 7:
		if (r)
			r->udp_blocked = !r->udp_blocked;
		break;
	case 8: w->loss_percent = world_random(w, 20); break;
	case 9: w->now_ms += world_random(w, 100000); break;
	case 10: w->data_cut = true; break;
	case 11: w->data_cut_from = n->index + 1; break;
	default: w->one_way_cut = true; break;
	}
}

static void make_whole(struct story *s)
{
	struct world *w = s->w;
	w->direct_cut = w->one_way_cut = w->data_cut = w->control_dead = false;
	w->data_cut_from = 0;
	w->loss_percent = 0;
	for (size_t i = 0; i < REGIONS_MAX; i++)
		w->relay_dead[i] = w->stun_dead[i] = false;
	for (size_t i = 0; i < w->n_routers; i++)
		w->routers[i].udp_blocked = false;
	for (size_t i = 0; i < w->n_nodes; i++) {
		path_control_up(w->nodes[i].path, w->now_ms, true);
		world_announce(&w->nodes[i]);
	}
	tell(s, "whole", 0);
}

static void judge(struct story *s, uint64_t seed)
{
	struct world *w = s->w;
	world_talk(w, s->a, s->b, 60000, 100);
	struct stats *st = &s->a->to[s->b->index];
	st->longest_gap_ms = 0;
	uint64_t before = s->a->probes_out + s->b->probes_out, answers = st->answered, ticks = s->a->ticks;
	world_talk(w, s->a, s->b, 20000, 100);
	bool direct = world_direct(s->a, s->b);
	uint64_t probes = s->a->probes_out + s->b->probes_out - before;
	ticks = s->a->ticks - ticks; /* 50 a second would be much: nothing may spin */
	if (direct == direct_expected(s->kind_a, s->kind_b) && st->longest_gap_ms <= 1000 &&
		st->answered - answers > 150 && probes < 200 && ticks < 1000)
		return;
	struct path_state x, y;
	path_peer_state(s->a->path, w->now_ms, 2, &x);
	path_peer_state(s->b->path, w->now_ms, 1, &y);
	fail_msg("seed %llu: classes %d x %d, direct %d, gap %llu, answers %llu, probes %llu, ticks "
		 "%llu\n%s\na: %s "
		 "(home %d)\nb: %s (home %d)",
		(unsigned long long)seed, s->kind_a, s->kind_b, direct,
		(unsigned long long)st->longest_gap_ms, (unsigned long long)(st->answered - answers),
		(unsigned long long)probes, (unsigned long long)ticks, s->text, x.why, path_home(s->a->path),
		y.why, path_home(s->b->path));
}

static void run_story(uint64_t seed)
{
	struct story s = { .w = world_new(seed, 1 + seed % REGIONS_MAX) };
	struct world *w = s.w;
	w->delay_ms = 1 + world_random(w, 30);
	w->control_delay_ms = 5 + world_random(w, 300);
	for (size_t i = 0; i < w->n_regions; i++)
		w->relay_delay_ms[i] = 1 + world_random(w, 60);
	s.kind_a = (int)world_random(w, KINDS);
	s.kind_b = (int)world_random(w, KINDS);
	s.a = place(w, s.kind_a, 1);
	s.b = place(w, s.kind_b, 2);
	world_start(s.a);
	world_run(w, world_random(w, 3000));
	world_start(s.b);
	for (unsigned i = world_random(w, 10); i; i--) {
		if (world_random(w, 3))
			world_talk(w, s.a, s.b, world_random(w, 8000), 20 + world_random(w, 500));
		else
			world_run(w, world_random(w, 100000));
		trouble(&s);
	}
	world_talk(w, s.a, s.b, world_random(w, 5000), 100);
	make_whole(&s);
	judge(&s, seed);
	world_free(w);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void stories(void **state)
{
	(void)state;
	uint64_t first = number("RW_SOAK_FIRST", 1), n = number("RW_SOAK_SEEDS", 60);
	for (uint64_t seed = first; seed < first + n; seed++)
		run_story(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(stories) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
