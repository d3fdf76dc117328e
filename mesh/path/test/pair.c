#include "mesh/path/test/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct pair pair_at(uint64_t seed, int a, int b, const char *other)
{
	struct pair x = { .w = world_new(seed, 2) };
	int left =
		world_router(x.w, INTERNET, "198.51.100.1", (enum nat_map)(a / 3), (enum nat_filter)(a % 3));
	int right = world_router(x.w, INTERNET, other, (enum nat_map)(b / 3), (enum nat_filter)(b % 3));
	x.a = world_node(x.w, left, "192.168.1.10");
	x.b = world_node(x.w, right, "192.168.2.10");
	return x;
}

struct pair pair_of(uint64_t seed, int a, int b)
{
	return pair_at(seed, a, b, "192.0.2.2");
}

struct pair neighbours_of(uint64_t seed, int a, int b)
{
	return pair_at(seed, a, b, "198.51.100.2");
}

void start_both(struct pair *x)
{
	world_start(x->a);
	world_start(x->b);
	world_run(x->w, 300);
}

struct pair easy(uint64_t seed)
{
	struct pair x = pair_of(seed, FILTER_APDF, FILTER_APDF);
	start_both(&x);
	return x;
}

uint64_t gap(struct pair *x, uint64_t ms)
{
	struct stats *s = &x->a->to[x->b->index];
	s->longest_gap_ms = 0;
	world_talk(x->w, x->a, x->b, ms, 50);
	uint64_t last = x->w->now_ms - s->last_answer_ms;
	return last > s->longest_gap_ms ? last : s->longest_gap_ms;
}

void note(const char *what, uint64_t ms)
{
	print_message("%-44s %llu ms\n", what, (unsigned long long)ms);
}
