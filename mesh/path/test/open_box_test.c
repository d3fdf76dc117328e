/* Boxes that translate addresses and filter nothing: what comes unasked is the box's own, and takes the flow that
 * the machine behind it would need. */
#include "mesh/path/candidates.h"
#include "mesh/path/quiet.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include "mesh/path/test/pair.h"
#include "mesh/path/way.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* The other end calls first. */
static void called_first(void **state)
{
	(void)state;
	uint64_t worst = 0;
	for (int turn = 0; turn < 2; turn++) {
		for (uint64_t seed = 1; seed <= 10; seed++) {
			struct pair x = pair_of(seed * 31, FILTER_APDF, FILTER_APDF);
			start_both(&x);
			/* Whose turn is first must not matter. */
			bool first = memcmp(x.a->key.b, x.b->key.b, KEY_LEN) < 0;
			struct node *open = first == !turn ? x.a : x.b, *caller = open == x.a ? x.b : x.a;
			world_router_of(x.w, open->net)->open = true;
			uint64_t took = world_until_direct(x.w, caller, open, 10000);
			worst = took > worst ? took : worst;
			assert_true(gap(&(struct pair) { x.w, caller, open }, 60000) <= 200); /* it stays */
			assert_true(world_direct(caller, open));
			world_free(x.w);
		}
	}
	note("called first behind an open box: direct", worst);
	assert_true(worst <= 600);
}

enum { ALONE, TOGETHER, LIKE_OTHERS, LATE_CALLS, LOST_CALLS, WAYS };

/* Both behind open boxes, each known to the other's relay; LOST_CALLS: the first calls from here on are lost. */
static void start_open(struct pair *x, int way)
{
	world_router_of(x->w, x->a->net)->open = world_router_of(x->w, x->b->net)->open = true;
	x->w->no_near = way == LIKE_OTHERS;
	world_start(x->a);
	x->w->no_near = false;
	world_start(x->b);
	world_run(x->w, 5000);
	if (way == LOST_CALLS)
		x->w->calls_from_ms = x->w->now_ms + 700;
}

/* How long it took, UINT64_MAX: longer than within_ms. Once direct it stays so for a minute, in which nothing is silent for longer
 * than gap_ms. Frees the world. */
static uint64_t until_direct(struct pair *x, uint64_t within_ms, uint64_t gap_ms)
{
	uint64_t took = world_until_direct(x->w, x->a, x->b, within_ms);
	if (took != UINT64_MAX) {
		assert_true(gap(x, 60000) <= gap_ms);
		assert_true(world_direct(x->a, x->b));
	}
	world_free(x->w);
	return took;
}

static uint64_t at_both_ends(uint64_t seed, int way, bool larger)
{
	struct pair x = pair_of(seed, FILTER_APDF, FILTER_APDF);
	if ((memcmp(x.a->key.b, x.b->key.b, KEY_LEN) > 0) != larger)
		x = (struct pair) { x.w, x.b, x.a };
	x.w->delay_ms = seed % 4 * 10; /* none: no two packets ever meet on the way */
	if (way == LATE_CALLS)
		x.w->relay_delay_ms[0] = x.w->relay_delay_ms[1] = 600;
	start_open(&x, way);
	if (way == TOGETHER)
		world_talk(x.w, x.b, x.a, 1, 1);
	return until_direct(&x, 30000, 200);
}

/* Whoever is heard first spoils the other's port; LIKE_OTHERS: the caller is heard at once. */
static void both_ends(void **state)
{
	static const struct {
		const char *what;
		uint64_t most;
	} rows[WAYS] = {
		[ALONE] = { "open boxes at both ends: direct", 600 },
		[TOGETHER] = { "... who begin together", 600 },
		[LIKE_OTHERS] = { "... called by one who is heard at once", 2000 },
		[LATE_CALLS] = { "... by calls that take more than half a second", 1200 },
		[LOST_CALLS] = { "... whose first calls are lost", 1000 },
	};
	(void)state;
	for (int way = 0; way < WAYS; way++) {
		uint64_t worst = 0;
		for (uint64_t seed = 1; seed <= 40; seed++) {
			uint64_t took = at_both_ends(seed * 37 / 2, way, seed % 2);
			worst = took > worst ? took : worst;
		}
		note(rows[way].what, worst);
		if (worst > rows[way].most)
			fail_msg("%s: %llu ms", rows[way].what, (unsigned long long)worst);
	}
}

/* No router lies between the boxes: what opens the one is heard by the other. */
static void neighbours(void **state)
{
	uint64_t worst = 0;
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct pair x = neighbours_of(seed * 37 / 2, FILTER_APDF, FILTER_APDF);
		if ((memcmp(x.a->key.b, x.b->key.b, KEY_LEN) > 0) != (seed % 2))
			x = (struct pair) { x.w, x.b, x.a };
		world_router_of(x.w, x.a->net)->open = world_router_of(x.w, x.b->net)->open = true;
		x.w->delay_ms = seed % 4;
		x.w->neighbours = true;
		start_both(&x);
		world_run(x.w, 5000);
		uint64_t took = until_direct(&x, 120000, 200);
		worst = took > worst ? took : worst;
	}
	note("open boxes that are neighbours: direct", worst);
	assert_true(worst <= 38000);
}

static uint64_t apart(uint64_t seed, uint8_t between, uint32_t relay_delay_ms, int way)
{
	struct pair x = neighbours_of(seed * 37 / 2, FILTER_APDF, FILTER_APDF);
	if ((memcmp(x.a->key.b, x.b->key.b, KEY_LEN) > 0) != (seed % 2))
		x = (struct pair) { x.w, x.b, x.a };
	x.w->delay_ms = seed % 4;
	x.w->between = between;
	x.w->relay_delay_ms[0] = x.w->relay_delay_ms[1] = relay_delay_ms;
	start_open(&x, way);
	return until_direct(&x, 120000, 200 + 2 * relay_delay_ms);
}

/* Outer addresses of one /24, as with neighbours, but with a router or two between the boxes, so that what opens the one
 * ends before the other. */
static void one_net_apart(void **state)
{
	static const struct {
		const char *what;
		uint32_t relay_delay_ms;
		int way;
		uint64_t most;
	} rows[] = {
		{ "open boxes in one /24, apart: direct", 0, ALONE, 600 },
		{ "... by calls that take long", 150, ALONE, 600 },
		{ "... called by one who is heard at once", 0, LIKE_OTHERS, 4500 },
		{ "... whose first calls are lost", 0, LOST_CALLS, 600 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t worst = 0;
		for (uint64_t seed = 1; seed <= 40; seed++) {
			uint64_t took = apart(seed, 1 + seed / 2 % 2, rows[i].relay_delay_ms, rows[i].way);
			worst = took > worst ? took : worst;
		}
		note(rows[i].what, worst);
		if (worst > rows[i].most)
			fail_msg("%s: %llu ms", rows[i].what, (unsigned long long)worst);
	}
}

/* As b would call a, had it a socket for its turn. */
static void call_from_a_turn(const struct pair *x)
{
	struct path *p = x->a->path;
	struct endpoint news = { .ip = world_router_of(x->w, x->b->net)->address, .port = 50000 };
	assert_non_null(p->active);
	p->spare_failed = false;
	spare_called(p, p->active, &news);
	assert_true(p->active->hold.until_ms);
}

/* A call that names a place after the peer's box has forgotten us is answered from the spare socket, once. Not at once: a peer
 * that moved, and is found by the main socket, hears of no second place of ours, which it might keep to when we move. */
static void answered_late(void **state)
{
	enum { WAIT_MS = 500, FORGOTTEN_MS = 31000 };
	static const struct {
		uint64_t said_ago, after_ms;
		bool found, answered;
	} rows[] = {
		{ FORGOTTEN_MS, WAIT_MS, false, true },
		{ FORGOTTEN_MS, WAIT_MS - 1, false, false },
		{ FORGOTTEN_MS, WAIT_MS, true, false },
		{ FORGOTTEN_MS - 1, WAIT_MS, false, false },
	};
	(void)state;
	struct pair x = neighbours_of(7, FILTER_APDF, FILTER_APDF);
	world_router_of(x.w, x.a->net)->open = world_router_of(x.w, x.b->net)->open = true;
	x.w->neighbours = true;
	start_both(&x);
	world_run(x.w, FORGOTTEN_MS);
	world_talk(x.w, x.a, x.b, 600, 10);
	struct path *p = x.a->path;
	struct peer *e = p->active, before = *e;
	assert_true(e && !way_trusted(p, e));
	p->spare_port = 50000;
	e->turn_ms = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint news = { .ip = world_router_of(x.w, x.b->net)->address, .port = 50000 };
		struct place to = { 0 };
		uint64_t called_ms = p->now_ms;
		e->hold = (struct hold) { .said_ms = called_ms - rows[i].said_ago };
		spare_called(p, e, &news);
		p->now_ms += rows[i].after_ms;
		e->way_state = rows[i].found ? WAY_TRUSTED : before.way_state;
		e->trust_ms = p->now_ms + rows[i].found;
		if (spare_ping(p, e, &to) != rows[i].answered || spare_ping(p, e, &to))
			fail_msg("row %zu", i);
		assert_true(!rows[i].answered || (to.socket == PATH_SPARE && endpoint_equal(&to.at, &news)));
		spare_step(p, e);
		assert_true(!rows[i].found || !endpoint_is_set(&e->hold.answer));
		p->now_ms = called_ms;
	}
	e->way_state = before.way_state;
	world_free(x.w);
}

/* A machine that has no socket to give is not asked for it again and again. */
static void neighbours_without_sockets(void **state)
{
	(void)state;
	struct pair x = neighbours_of(7, FILTER_APDF, FILTER_APDF);
	world_router_of(x.w, x.a->net)->open = world_router_of(x.w, x.b->net)->open = true;
	x.w->neighbours = x.w->no_spare = true;
	start_both(&x);
	world_run(x.w, 5000);
	world_talk(x.w, x.a, x.b, 1000, 10);
	x.a->spare_asked = x.b->spare_asked = 0;
	call_from_a_turn(&x);
	call_from_a_turn(&(struct pair) { x.w, x.b, x.a });
	world_talk(x.w, x.a, x.b, 60000, 50);
	assert_int_equal(x.a->spare_asked, 1);
	assert_int_equal(x.b->spare_asked, 1);
	world_free(x.w);
}

/* Who asks for the peer in a turn spoils no flow that is held: the place that is named hears of it when it is held no
 * more. */
static void asked_in_a_hold(void **state)
{
	(void)state;
	struct pair x = neighbours_of(7, FILTER_APDF, FILTER_APDF);
	world_router_of(x.w, x.a->net)->open = world_router_of(x.w, x.b->net)->open = true;
	x.w->neighbours = true;
	start_both(&x);
	world_run(x.w, 5000);
	world_talk(x.w, x.a, x.b, 600, 10);
	call_from_a_turn(&x);
	struct peer *e = x.a->path->active;
	candidates_add(x.a->path, e, &e->hold.at, FROM_CALL);
	const struct candidate *c = candidates_find(e, &e->hold.at);
	assert_non_null(c);
	e->socket = PATH_SPARE;
	path_ping(x.a->path, x.w->now_ms, 2, 78, 0);
	assert_int_equal(c->pinged_ms, 0);
	e->hold.times = 0;
	path_ping(x.a->path, x.w->now_ms, 2, 79, 0);
	assert_int_equal(c->pinged_ms, x.w->now_ms);
	world_free(x.w);
}

/* How far a ping goes, 0 = all the way. */
static void who_is_pinged_quietly(void **state)
{
	static const struct {
		const char *at;
		uint64_t since, heard_ago, ponged_ago; /* ms; 0 = never */
		enum path_socket turn, from;
		int hops;
	} rows[] = {
		{ "198.51.100.2", 0, 0, 0, PATH_MAIN, PATH_MAIN, 1 },
		{ "198.51.100.2", 100, 0, 0, PATH_MAIN, PATH_MAIN, 1 },
		{ "198.51.100.2", 250, 0, 0, PATH_MAIN, PATH_MAIN, 4 },
		{ "198.51.100.2", 399, 0, 0, PATH_MAIN, PATH_MAIN, 4 },
		{ "198.51.100.2", 400, 0, 0, PATH_MAIN, PATH_MAIN, 0 },
		{ "198.51.101.2", 0, 0, 0, PATH_MAIN, PATH_MAIN, 2 },
		{ "198.51.101.2", 100, 0, 0, PATH_MAIN, PATH_MAIN, 3 },
		{ "198.51.101.2", 250, 0, 0, PATH_MAIN, PATH_MAIN, 4 },
		{ "198.51.101.2", 100, 0, 0, PATH_SPARE, PATH_SPARE, 3 },
		{ "198.51.100.2", 100, 0, 0, PATH_SPARE, PATH_MAIN, 0 },      /* that turn is over */
		{ "198.51.100.2", 100, 50, 0, PATH_MAIN, PATH_MAIN, 0 },      /* it is there already */
		{ "198.51.101.2", 100, 150, 0, PATH_MAIN, PATH_MAIN, 3 },     /* ... for the search before */
		{ "198.51.100.2", 100, 0, 30000, PATH_MAIN, PATH_MAIN, 0 },   /* its router knows ours */
		{ "198.51.101.2", 100, 0, 50000, PATH_MAIN, PATH_MAIN, 3 },   /* ... no more */
		{ "198.51.101.2", 100, 0, 30000, PATH_SPARE, PATH_SPARE, 3 }, /* ... but by another port */
		{ "198.51.100.1", 100, 0, 0, PATH_MAIN, PATH_MAIN, 0 },	      /* our own router */
		{ "192.168.7.7", 100, 0, 0, PATH_MAIN, PATH_MAIN, 0 },
		{ "100.64.7.7", 100, 0, 0, PATH_MAIN, PATH_MAIN, 0 },
		{ "2001:db8::7", 100, 0, 0, PATH_MAIN, PATH_MAIN, 0 },
	};
	(void)state;
	struct pair x = pair_of(5, FILTER_APDF, FILTER_APDF);
	start_both(&x);
	world_run(x.w, 60000);
	struct path *p = x.a->path;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct peer e = { .socket = rows[r].turn, .home = path_home(p) };
		struct candidate c = { .at.port = 41641 };
		assert_true(addr_parse(rows[r].at, &c.at.ip));
		quiet_begin(p, &e);
		e.quiet_from_ms -= rows[r].since;
		e.quiet_ms -= rows[r].since;
		c.heard_ms = rows[r].heard_ago ? p->now_ms - rows[r].heard_ago : 0;
		c.ponged_ms = rows[r].ponged_ago ? p->now_ms - rows[r].ponged_ago : 0;
		if (quiet_hops(p, &e, &c, rows[r].from) != rows[r].hops)
			fail_msg("row %zu", r);
		quiet_called(&e);
		bool over = rows[r].turn == PATH_MAIN || !rows[r].hops;
		if (!quiet_hops(p, &e, &c, rows[r].from) != over)
			fail_msg("row %zu, called", r);
		e = (struct peer) { .socket = rows[r].turn };
		quiet_begin(p, &e);
		if (quiet_hops(p, &e, &c, rows[r].from))
			fail_msg("row %zu, at no relay", r);
	}
	world_free(x.w);
}

/* The turn that answers a call begins with it, though the peer has called so often that our pings wait. */
static void called_often(void **state)
{
	(void)state;
	struct pair x = pair_of(5, FILTER_APDF, FILTER_APDF);
	start_both(&x);
	world_talk(x.w, x.a, x.b, 1, 1);
	struct path *p = x.a->path;
	struct peer *e = p->active;
	assert_true(e && peer_active(p, e) && !way_trusted(p, e));
	e->searched_ms = p->now_ms - 1000;
	e->turn_ms = p->now_ms + 2000;
	e->next_ms = p->now_ms + 1000;
	spare_called(p, e, &(struct endpoint) { 0 });
	assert_int_equal(spare_due(e), p->now_ms);
	assert_int_equal(e->next_ms, p->now_ms);
	world_free(x.w);
}

/* Who waits for an answer gets it, though the ping went when nobody was to hear it: told once, by the ping that is
 * sent as soon as it may be heard. */
static void asked_in_the_quiet(void **state)
{
	static const struct {
		bool called; /* by the peer, at once: nothing need be waited for */
		uint16_t size;
		uint64_t most_ms;
	} rows[] = { { false, 0, 440 }, { false, 600, 440 }, { true, 0, 60 } };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair x = { .w = world_new(9 + i, 2) };
		int left = world_router(x.w, INTERNET, "198.51.100.1", MAP_EIM, FILTER_APDF);
		x.a = world_node(x.w, left, "192.168.1.10");
		x.b = world_node(x.w, INTERNET, "198.51.100.2");
		start_both(&x);
		world_run(x.w, 60000);
		x.w->relay_dead[0] = x.w->relay_dead[1] = true;
		path_ping(x.a->path, x.w->now_ms, 2, 77, rows[i].size);
		if (rows[i].called) {
			quiet_called(x.a->path->active);
			peer_wake(x.a->path, x.a->path->active, x.w->now_ms);
		}
		world_run(x.w, rows[i].most_ms);
		if (x.a->ping_token != 77 || x.a->ping_region != 0)
			fail_msg("row %zu", i);
		world_run(x.w, 5000); /* ping_told asserts that it comes once */
		world_free(x.w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(called_first), cmocka_unit_test(both_ends),
		cmocka_unit_test(who_is_pinged_quietly), cmocka_unit_test(called_often),
		cmocka_unit_test(asked_in_the_quiet), cmocka_unit_test(neighbours),
		cmocka_unit_test(one_net_apart), cmocka_unit_test(answered_late),
		cmocka_unit_test(neighbours_without_sockets), cmocka_unit_test(asked_in_a_hold) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
