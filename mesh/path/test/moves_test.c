/* One end moves: to another network, or behind another router; what both ends make of it. */
#include "mesh/path/peer.h"
#include "mesh/path/state.h"
#include "mesh/path/test/pair.h"
#include "mesh/path/way.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void moves(void **state)
{
	(void)state;
	struct pair x = easy(13);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 2000, 50);
	int other = world_router(x.w, INTERNET, "198.51.100.9", MAP_EIM, FILTER_APDF);
	world_move(x.a, other, "10.1.1.1");
	uint64_t cost = gap(&x, 1000);
	uint64_t back = world_until_direct(x.w, x.a, x.b, 10000);
	note("a moves to another router: gap", cost);
	note("                 direct again", back);
	assert_true(cost <= 1000 && back <= 1000);
	world_free(x.w);
}

/* At any time after the way was found, to a new one that is as fast, or slower: the other end does not take that for its own sake;
 * it only answers, and hears all the time, so it has to be told. Where the relay loses the call, the map tells; where the control
 * server is away too, what the mover sends by the relay, unless the way was only just found. */
static void moves_at_any_time(void **state)
{
	enum { EACH = 20, LOST_MS = 400, MOST_MS = 300, JUST_FOUND_MS = 500 };
	static const struct {
		uint64_t slower_ms;
		bool call_lost, control_dead, any_mover;
		uint64_t from_ms;
	} rows[] = {
		{ 0, false, false, true, 0 },
		{ 10, false, false, true, 0 },
		{ 0, true, false, true, 0 },
		{ 10, true, false, true, 0 },
		{ 0, true, true, false, JUST_FOUND_MS },
		{ 10, true, true, false, JUST_FOUND_MS },
	};
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		uint64_t worst = 0;
		for (uint64_t i = 0; i < 240; i++) {
			struct pair x = easy(40 + i);
			struct node *mover = rows[r].any_mover && i % 2 ? x.b : x.a;
			assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
			world_talk(x.w, x.a, x.b, rows[r].from_ms + i * EACH, 25);
			x.w->delay_ms += rows[r].slower_ms;
			x.w->control_dead = rows[r].control_dead;
			x.w->calls_from_ms = rows[r].call_lost ? x.w->now_ms + LOST_MS : 0;
			int other = world_router(x.w, INTERNET, "198.51.100.9", MAP_EIM, FILTER_APDF);
			world_move(mover, other, "10.1.1.1");
			uint64_t cost = gap(&x, 3000);
			if (cost > MOST_MS)
				fail_msg("row %zu, %s, move %u: %u ms", r, mover == x.a ? "a" : "b",
					(unsigned)i, (unsigned)cost);
			worst = cost > worst ? cost : worst;
			assert_true(
				rows[r].control_dead || (world_direct(x.a, x.b) && world_direct(x.b, x.a)));
			world_free(x.w);
		}
		note("a move at any time: gap", worst);
	}
}

/* The way out moves to another router, and no address of ours changes. */
static void route_moves(void **state)
{
	(void)state;
	struct pair x = easy(13);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 2000, 50);
	x.a->net = world_router(x.w, INTERNET, "198.51.100.9", MAP_EIM, FILTER_APDF);
	path_routes_changed(x.a->path, x.w->now_ms);
	uint64_t cost = gap(&x, 1000);
	note("the route moves to another router: gap", cost);
	assert_true(cost <= 200 && world_direct(x.a, x.b));
	world_free(x.w);
}

/* A peer whose packets come by two ways in turn, and each is as good: copies by the relay for a moment, now and then. */
static void comes_by_both(void **state)
{
	enum { TALK_MS = 20000, EACH = 10, MOST_COPIED = TALK_MS / EACH / 20 };
	(void)state;
	struct pair x = easy(13);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 2000, 50);
	struct endpoint other = x.a->path->active->best;
	other.port++;
	unsigned copied = 0;
	for (unsigned i = 0; i < TALK_MS / EACH; i++) {
		world_talk(x.w, x.a, x.b, EACH, EACH);
		path_authenticated(x.a->path, x.w->now_ms, (uint64_t)x.b->index + 1, &other);
		path_flush(x.a->path, x.w->now_ms);
		copied += path_way(x.a->path, (uint64_t)x.b->index + 1).relay;
	}
	assert_in_range(copied, 1, MOST_COPIED);
	world_free(x.w);
}

/* What a peer says of where it is names the way in use no more: it is asked, and the relay carries copies until it has answered. */
static void named_no_more(void **state)
{
	static const struct {
		const char *now; /* what the map names */
		bool doubted;
	} rows[] = { { "192.0.2.77:1", true }, { NULL, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair x = easy(13);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 2000, 50);
		const struct peer *e = x.a->path->active;
		struct endpoint named = e->best;
		if (rows[i].now)
			assert_true(endpoint_parse(rows[i].now, &named));
		struct path_peer told = { .id = e->id,
			.key = e->key,
			.disco = e->disco,
			.home = e->home,
			.endpoints = &named,
			.n_endpoints = 1 };
		assert_true(path_peer_set(x.a->path, x.w->now_ms, &told));
		assert_int_equal(e->way_state == WAY_DOUBTED, rows[i].doubted);
		assert_int_equal(e->way.relay, rows[i].doubted);
		world_run(x.w, 100);
		assert_true(e->way_state == WAY_TRUSTED && !e->way.relay);
		world_free(x.w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(moves), cmocka_unit_test(moves_at_any_time),
		cmocka_unit_test(route_moves), cmocka_unit_test(comes_by_both),
		cmocka_unit_test(named_no_more) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
