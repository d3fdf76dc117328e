/* A line that carries nothing for a while, and then comes back as somebody else's. */
#include "mesh/path/test/pair.h"
#include "mesh/path/test/nat.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { APDF = FILTER_APDF, DEAD_MS = 30000, ROUND_MS = 14000, STEP_MS = 250 };

static void set_dead(struct world *w, bool dead)
{
	w->direct_cut = dead;
	for (size_t i = 0; i < w->n_regions; i++)
		w->relay_dead[i] = w->stun_dead[i] = dead;
}

/* Questions to STUN servers that nobody answers go out again and again: however the last of them lay, our new place is found
 * as soon as a relay can be reached. */
static void comes_back(void **state)
{
	uint64_t worst = 0;
	(void)state;
	for (uint64_t late = 0; late < ROUND_MS; late += STEP_MS) {
		struct pair x = pair_of(50, APDF, APDF);
		start_both(&x);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 3000, 50);
		set_dead(x.w, true);
		world_talk(x.w, x.a, x.b, DEAD_MS + late, 50);
		assert_false(world_direct(x.a, x.b));
		struct router *r = world_router_of(x.w, x.a->net);
		r->n_sessions = 0;
		assert_true(addr_parse("198.51.100.77", &r->address));
		set_dead(x.w, false);
		uint64_t took = world_until_direct(x.w, x.a, x.b, 30000);
		worst = took > worst ? took : worst;
		world_free(x.w);
	}
	note("a dead line comes back: direct, at worst", worst);
	assert_true(worst <= 3000);
}

/* A peer's relay died without a word, and we who only answer have not noticed: where the peer is now, we are at once. */
static void follows_to_another_relay(void **state)
{
	(void)state;
	struct pair x = pair_of(51, APDF, APDF);
	x.w->direct_cut = true;
	start_both(&x);
	world_talk(x.w, x.a, x.b, 3000, 50);
	int here = path_home(x.a->path) - 900;
	assert_true(x.b->connected[here] && !x.b->connected[!here]);
	struct path_peer a = { .id = (uint64_t)x.a->index + 1,
		.key = x.a->key,
		.disco = *path_disco_key(x.a->path),
		.home = 900 + !here };
	assert_true(path_peer_set(x.b->path, x.w->now_ms, &a));
	world_run(x.w, 500);
	assert_true(x.b->connected[!here]);
	world_free(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(follows_to_another_relay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
