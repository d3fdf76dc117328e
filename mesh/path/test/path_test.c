#include "mesh/path/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const class_names[] = { "EIM/EIF", "EIM/ADF", "EIM/APDF", "ADM/EIF", "ADM/ADF", "ADM/APDF",
	"APDM/EIF", "APDM/ADF", "APDM/APDF" };

/* simnet.md 3.4: either side filters EIF, or both EIM, or one side EIM+ADF. */
static bool oracle(int a, int b)
{
	bool eif = a % 3 == FILTER_EIF || b % 3 == FILTER_EIF, eim = a / 3 == MAP_EIM && b / 3 == MAP_EIM;
	int adf = MAP_EIM * 3 + FILTER_ADF;
	return eif || eim || a == adf || b == adf;
}

struct pair {
	struct world *w;
	struct node *a, *b;
};

static struct pair pair_of(uint64_t seed, int a, int b)
{
	struct pair x = { .w = world_new(seed, 2) };
	int left =
		world_router(x.w, INTERNET, "198.51.100.1", (enum nat_map)(a / 3), (enum nat_filter)(a % 3));
	int right =
		world_router(x.w, INTERNET, "198.51.100.2", (enum nat_map)(b / 3), (enum nat_filter)(b % 3));
	x.a = world_node(x.w, left, "192.168.1.10");
	x.b = world_node(x.w, right, "192.168.2.10");
	return x;
}

static void start_both(struct pair *x)
{
	world_start(x->a);
	world_start(x->b);
	world_run(x->w, 300);
}

static void all_pairs(void **state)
{
	(void)state;
	uint64_t worst = 0;
	for (int a = 0; a < 9; a++) {
		for (int b = 0; b < 9; b++) {
			struct pair x = pair_of((uint64_t)(a * 9 + b + 1), a, b);
			start_both(&x);
			uint64_t took = world_until_direct(x.w, x.a, x.b, oracle(a, b) ? 1000 : 15000);
			if ((took != UINT64_MAX) != oracle(a, b))
				fail_msg("%s x %s: direct %d", class_names[a], class_names[b],
					took != UINT64_MAX);
			worst = took != UINT64_MAX && took > worst ? took : worst;
			assert_true(x.a->to[1].answered > 0 && x.a->to[1].first_answer_ms - 1300 < 200);
			world_free(x.w);
		}
	}
	print_message("slowest direct: %llu ms\n", (unsigned long long)worst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_pairs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
