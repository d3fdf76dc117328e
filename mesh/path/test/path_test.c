#include "mesh/path/test/pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void all_pairs(void **state)
{
	(void)state;
	uint64_t worst = 0;
	for (int a = 0; a < 9; a++) {
		for (int b = 0; b < 9; b++) {
			struct pair x = pair_of((uint64_t)a * 9 + (uint64_t)b + 1, a, b);
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

static struct pair flat(uint64_t seed)
{
	struct pair x = { .w = world_new(seed, 2) };
	x.a = world_node(x.w, INTERNET, "198.51.100.1");
	x.b = world_node(x.w, INTERNET, "198.51.100.2");
	return x;
}

static struct path_state state_of(struct node *n, struct node *peer)
{
	struct path_state s = { 0 };
	path_peer_state(n->path, n->w->now_ms, (uint64_t)peer->index + 1, &s);
	return s;
}

static void joins_fast(void **state)
{
	(void)state;
	struct pair x = flat(1);
	uint64_t start = x.w->now_ms;
	world_start(x.a);
	world_start(x.b);
	while (!x.a->to[1].answered && x.w->now_ms - start < 2000)
		world_talk(x.w, x.a, x.b, 10, 10);
	note("start to first answer, flat", x.w->now_ms - start);
	assert_true(x.w->now_ms - start < 300);
	struct path_report r;
	world_run(x.w, 1000);
	path_report(x.a->path, &r);
	assert_true(r.done && r.udp && r.ipv4 && !r.ipv6 && r.mapping_varies == OPT_FALSE && r.home == 900 &&
		    r.n_regions == 2);
	assert_true(endpoint_equal(&r.global4, &x.a->at));
	world_free(x.w);
}

static void both_behind_carrier(void **state)
{
	(void)state;
	struct pair x = { .w = world_new(5, 2) };
	int c1 = world_router(x.w, INTERNET, "198.51.100.1", MAP_EIM, FILTER_EIF);
	int c2 = world_router(x.w, INTERNET, "198.51.100.2", MAP_EIM, FILTER_APDF);
	int h1 = world_router(x.w, c1, "100.64.1.1", MAP_EIM, FILTER_APDF);
	int h2 = world_router(x.w, c2, "100.64.1.1", MAP_EIM, FILTER_APDF);
	x.a = world_node(x.w, h1, "192.168.1.10"); /* the same LAN address at both ends */
	x.b = world_node(x.w, h2, "192.168.1.10");
	start_both(&x);
	uint64_t took = world_until_direct(x.w, x.a, x.b, 3000);
	note("double NAT both: direct", took);
	assert_true(took <= 1000);
	world_free(x.w);
}

static void same_lan(void **state)
{
	(void)state;
	for (int hairpin = 0; hairpin < 2; hairpin++) {
		struct pair x = { .w = world_new(6, 2) };
		int lan = world_router(x.w, INTERNET, "198.51.100.1", MAP_EIM, FILTER_EIF);
		world_router_of(x.w, lan)->hairpin = hairpin;
		x.a = world_node(x.w, lan, "192.168.1.10");
		x.b = world_node(x.w, lan, "192.168.1.11");
		start_both(&x);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 2000, 50);
		struct path_state s = state_of(x.a, x.b), t = state_of(x.b, x.a);
		assert_true(endpoint_equal(&s.at, &x.b->at) && endpoint_equal(&t.at, &x.a->at));
		world_free(x.w);
	}
}

static void same_carrier_hairpin(void **state)
{
	(void)state;
	struct pair x = { .w = world_new(7, 2) };
	int carrier = world_router(x.w, INTERNET, "198.51.100.1", MAP_EIM, FILTER_EIF);
	world_router_of(x.w, carrier)->hairpin = true;
	int h1 = world_router(x.w, carrier, "100.64.1.1", MAP_EIM, FILTER_APDF);
	int h2 = world_router(x.w, carrier, "100.64.1.2", MAP_EIM, FILTER_APDF);
	x.a = world_node(x.w, h1, "192.168.1.10");
	x.b = world_node(x.w, h2, "192.168.2.10");
	start_both(&x);
	assert_true(world_until_direct(x.w, x.a, x.b, 2000) <= 1000);
	world_free(x.w);
}

static void direct_path_lost(void **state)
{
	(void)state;
	for (int nat = 0; nat < 2; nat++) {
		struct pair x = nat ? easy(8) : flat(8);
		if (!nat)
			start_both(&x);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 3000, 50);
		x.w->direct_cut = true;
		uint64_t cost = gap(&x, 10000);
		note(nat ? "direct cut, NAT: gap" : "direct cut, flat: gap", cost);
		assert_true(cost <= 1500);
		assert_false(world_direct(x.a, x.b));
		assert_non_null(strstr(state_of(x.a, x.b).why, "relay"));
		world_talk(x.w, x.a, x.b, 10000, 50);
		x.w->direct_cut = false;
		uint64_t back = world_until_direct(x.w, x.a, x.b, 10000);
		note("                 back to direct", back);
		assert_true(back <= 3000);
		assert_true(gap(&x, 5000) <= 200);
		world_free(x.w);
	}
}

static void one_way_dead(void **state)
{
	(void)state;
	struct pair x = flat(9);
	start_both(&x);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 2000, 50);
	x.w->one_way_cut = true; /* what a sends */
	uint64_t cost = gap(&x, 12000);
	note("one way dead: gap", cost);
	assert_true(cost <= 1000);
	world_free(x.w);
}

static void probes_pass_data_does_not(void **state)
{
	static const struct {
		const char *what;
		int from; /* index + 1 of the only one whose data is lost; 0 = both */
		bool mute;
		uint64_t most_ms;
	} rows[] = {
		{ "probes pass, data lost: gap", 0, false, 4000 },
		{ "... only what a sends", 1, false, 2500 },
		{ "... only what b sends", 2, false, 2500 },
		{ "... and nobody asks for proof", 0, true, 11500 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair x = flat(10);
		x.w->no_questions = rows[i].mute;
		start_both(&x);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		x.w->data_cut = !rows[i].from;
		x.w->data_cut_from = rows[i].from;
		uint64_t cost = gap(&x, 20000);
		note(rows[i].what, cost);
		assert_true(cost <= rows[i].most_ms);
		if (rows[i].mute) {
			world_free(x.w);
			continue;
		}
		x.a->to[1].longest_gap_ms = 0;
		uint64_t probes = x.a->probes_out + x.b->probes_out;
		world_talk(x.w, x.a, x.b, 60000, 50);
		assert_true(x.a->to[1].longest_gap_ms <= 200); /* it stays cured */
		note("                 probes in 60 s", x.a->probes_out + x.b->probes_out - probes);
		assert_true(x.a->probes_out + x.b->probes_out - probes <= 300);
		x.w->data_cut = false;
		x.w->data_cut_from = 0;
		note("                 back to direct", world_until_direct(x.w, x.a, x.b, 10000));
		assert_true(world_direct(x.a, x.b));
		world_free(x.w);
	}
}

static void proof_is_asked_for_in_measure(void **state)
{
	(void)state;
	struct pair x = flat(10);
	start_both(&x);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 60000, 50);
	note("60 s of talk: questions", x.a->questions + x.b->questions);
	assert_true(x.a->questions >= 4 && x.a->questions + x.b->questions <= 14);
	world_run(x.w, 20000);
	uint64_t before = x.a->questions + x.b->questions;
	world_run(x.w, 600000); /* silence does not keep itself awake */
	assert_int_equal(x.a->questions + x.b->questions, before);
	world_free(x.w);
}

static void nat_reset(void **state)
{
	(void)state;
	for (int cls = 0; cls < 2; cls++) {
		struct pair x = easy(11 + (uint64_t)cls);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 3000, 50);
		struct router *r = world_router_of(x.w, x.b->net);
		r->n_sessions = 0;
		if (cls) /* a neighbour takes the port that b had */
			r->sessions[r->n_sessions++] =
				(struct nat_session) { .used = true, .port = x.b->at.port };
		uint64_t cost = gap(&x, 5000);
		note(cls ? "NAT reset, another port: gap" : "NAT reset, same port: gap", cost);
		assert_true(cost <= 1500);
		uint64_t back = world_until_direct(x.w, x.a, x.b, 10000);
		note("                 back to direct", back);
		assert_true(back <= 1000);
		world_free(x.w);
	}
}

static struct path_way way_of(struct node *n, const struct node *peer)
{
	return path_way(n->path, (uint64_t)peer->index + 1);
}

/* Small datagrams pass, large ones do not, and nobody says so. */
static void large_swallowed(void **state)
{
	static const struct {
		size_t most;
		uint16_t proven;
	} rows[] = { { 1292, 1232 }, { 1232, 1232 }, { 1000, 980 }, { 400, 548 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair x = easy(30 + i);
		x.w->most = rows[i].most;
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 4500, 50);
		assert_true(world_direct(x.a, x.b)); /* small ones go on */
		assert_int_equal(way_of(x.a, x.b).most, rows[i].proven);
		assert_non_null(strstr(state_of(x.a, x.b).why, "lost on the way"));
		x.w->most = 0;
		world_talk(x.w, x.a, x.b, 25000, 50);
		assert_int_equal(way_of(x.a, x.b).most, 0);
		x.w->most = rows[i].most; /* the underlay changes under a way that lives */
		world_talk(x.w, x.a, x.b, 65000, 50);
		assert_int_equal(way_of(x.a, x.b).most, rows[i].proven);
		world_free(x.w);
	}
}

static void udp_blocked(void **state)
{
	(void)state;
	struct pair x = pair_of(14, FILTER_APDF, FILTER_APDF);
	world_router_of(x.w, x.b->net)->udp_blocked = true;
	uint64_t start = x.w->now_ms;
	world_start(x.a);
	world_start(x.b);
	while (!x.a->to[1].answered && x.w->now_ms - start < 5000)
		world_talk(x.w, x.a, x.b, 10, 10);
	note("UDP blocked: start to first answer", x.w->now_ms - start);
	assert_true(x.w->now_ms - start < 1000);
	uint64_t lost = x.a->to[1].sent - x.a->to[1].answered; /* before the relay was there */
	world_talk(x.w, x.a, x.b, 30000, 200);
	struct path_report r;
	path_report(x.b->path, &r);
	assert_true(r.done && !r.udp && r.home != 0);
	assert_non_null(strstr(state_of(x.b, x.a).why, "UDP seems blocked"));
	assert_true(x.a->to[1].sent - x.a->to[1].answered < lost + 3);
	world_router_of(x.w, x.b->net)->udp_blocked = false;
	uint64_t took = world_until_direct(x.w, x.a, x.b, 60000);
	note("                 opened: direct", took);
	assert_true(took <= 15000);
	world_router_of(x.w, x.b->net)->udp_blocked = true;
	uint64_t cost = gap(&x, 20000);
	note("                 blocked again: gap", cost);
	assert_true(cost <= 1500);
	world_router_of(x.w, x.b->net)->udp_blocked = false;
	took = world_until_direct(x.w, x.a, x.b, 60000);
	note("                 and opened: direct", took);
	assert_true(took <= 5000);
	world_free(x.w);
}

static void nothing_answers(void **state)
{
	(void)state;
	struct pair x = pair_of(15, FILTER_APDF, FILTER_APDF);
	for (int i = 0; i < 2; i++)
		x.w->relay_dead[i] = x.w->stun_dead[i] = true;
	start_both(&x);
	world_run(x.w, 20000);
	assert_true(path_home(x.a->path) != 0); /* something is tried */
	x.w->relay_dead[1] = false;
	world_talk(x.w, x.a, x.b, 30000, 200);
	assert_int_equal(path_home(x.a->path), 901);
	assert_int_equal(path_home(x.b->path), 901);
	assert_true(x.a->to[1].answered > 0);
	world_free(x.w);
}

static void relay_dies(void **state)
{
	(void)state;
	for (int control = 0; control < 2; control++) {
		struct pair x = pair_of(16, 8, 8);
		start_both(&x);
		world_talk(x.w, x.a, x.b, 5000, 50);
		assert_int_equal(path_home(x.a->path), 900);
		x.w->control_dead = !control;
		path_control_up(x.a->path, x.w->now_ms, control);
		path_control_up(x.b->path, x.w->now_ms, control);
		x.w->relay_dead[0] = x.w->stun_dead[0] = true;
		uint64_t cost = gap(&x, 15000);
		note(control ? "relay dies: gap" : "relay dies, control away: gap", cost);
		assert_true(cost <= 3000);
		assert_int_equal(path_home(x.a->path), 901);
		x.w->relay_dead[0] = x.w->stun_dead[0] = false;
		assert_true(gap(&x, 60000) <= 1500);
		world_free(x.w);
	}
}

static void relays_die_direct_lives(void **state)
{
	(void)state;
	struct pair x = easy(17);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	for (int i = 0; i < 2; i++)
		x.w->relay_dead[i] = x.w->stun_dead[i] = true;
	assert_true(gap(&x, 300000) <= 100);
	assert_true(world_direct(x.a, x.b));
	world_free(x.w);
}

static void hard_both_is_bounded(void **state)
{
	(void)state;
	struct pair x = pair_of(18, 8, 8);
	start_both(&x);
	world_talk(x.w, x.a, x.b, 60000, 500);
	uint64_t before = x.a->probes_out + x.b->probes_out, tells = x.a->self_changes;
	world_talk(x.w, x.a, x.b, 120000, 500);
	uint64_t rate = (x.a->probes_out + x.b->probes_out - before) / 4;
	note("hard both: probes a minute and node", rate);
	assert_true(rate <= 60);
	assert_true(x.a->self_changes - tells <= 12);
	assert_true(x.a->to[1].answered == x.a->to[1].sent || x.a->to[1].sent - x.a->to[1].answered < 3);
	assert_non_null(strstr(state_of(x.a, x.b).why, "maps each destination differently"));
	world_free(x.w);
}

static void idle_is_silent(void **state)
{
	(void)state;
	struct pair x = easy(19);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_run(x.w, 60000); /* nothing is sent: the session ends */
	uint64_t probes = x.a->probes_out + x.b->probes_out, ticks = x.a->ticks;
	world_run(x.w, 600000);
	assert_true(x.a->ticks - ticks <= 2);
	assert_int_equal(x.a->probes_out + x.b->probes_out, probes);
	assert_false(world_direct(x.a, x.b));
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_free(x.w);
}

static void restart_with_new_key(void **state)
{
	(void)state;
	struct pair x = easy(20);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_talk(x.w, x.a, x.b, 1000, 50);
	world_stop(x.b);
	world_run(x.w, 500);
	memset(x.b->seen_request, 0, sizeof(x.b->seen_request));
	world_start(x.b);
	uint64_t took = world_until_direct(x.w, x.a, x.b, 5000);
	note("b restarts: direct again", took);
	assert_true(took <= 1500);
	world_free(x.w);
}

static void removed_peer_gets_nothing(void **state)
{
	(void)state;
	struct pair x = easy(21);
	world_talk(x.w, x.a, x.b, 300, 50);
	x.w->control_dead = true;
	world_run(x.w, 100);
	path_peer_remove(x.a->path, 2);
	uint64_t udp = x.a->probes_out, relay = x.a->relay_out;
	world_talk(x.w, x.a, x.b, 20000, 50);
	assert_int_equal(x.a->probes_out, udp);
	assert_int_equal(x.a->relay_out, relay);
	world_free(x.w);
}

static void clock_jumps(void **state)
{
	(void)state;
	struct pair x = easy(22);
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	path_tick(x.a->path, 5); /* backwards: ignored */
	path_used(x.a->path, 5, 2);
	world_talk(x.w, x.a, x.b, 500, 50);
	assert_true(world_direct(x.a, x.b));
	uint64_t probes = x.a->probes_out;
	x.w->now_ms += 3600000; /* asleep for an hour */
	path_tick(x.a->path, x.w->now_ms);
	path_tick(x.b->path, x.w->now_ms);
	assert_true(x.a->probes_out - probes < 20);
	assert_true(world_until_direct(x.w, x.a, x.b, 1500) <= 1500);
	world_free(x.w);
}

static void lossy(void **state)
{
	(void)state;
	uint64_t worst = 0, away = 0;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct pair x = pair_of(seed * 77, FILTER_APDF, FILTER_APDF);
		x.w->loss_percent = 10;
		start_both(&x);
		uint64_t took = world_until_direct(x.w, x.a, x.b, 10000);
		worst = took > worst ? took : worst;
		for (int i = 0; i < 100; i++) {
			world_talk(x.w, x.a, x.b, 100, 50);
			away += !world_direct(x.a, x.b);
		}
		world_free(x.w);
	}
	note("10 % loss: slowest direct", worst);
	note("10 % loss: relayed of 2000 looks", away);
	assert_true(worst <= 2000);
	assert_true(away <= 20);
}

static void ping(void **state)
{
	(void)state;
	struct pair x = pair_of(23, 8, 8);
	start_both(&x);
	path_ping(x.a->path, x.w->now_ms, 2, 77, 0);
	world_run(x.w, 1000);
	assert_int_equal(x.a->ping_token, 77);
	assert_int_equal(x.a->ping_region, 900);
	world_free(x.w);
	x = flat(24);
	start_both(&x);
	path_ping(x.a->path, x.w->now_ms, 2, 78, 0);
	world_run(x.w, 1000); /* ping_told asserts that it comes once */
	assert_int_equal(x.a->ping_token, 78);
	assert_int_equal(x.a->ping_region, 0);
	world_free(x.w);
}

/* A ping of a size is that large on the wire, by every way, and says nothing of the way but what it says to
 * who asked. */
static void ping_of_a_size(void **state)
{
	static const struct {
		size_t most;
		uint16_t size;
		bool comes;
	} rows[] = { { 124, 0, true }, { 124, 1, true }, { 124, 125, false }, { 600, 600, true },
		{ 600, 601, false }, { 1471, PATH_PING_MAX, false }, { 1472, PATH_PING_MAX, true } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair x = easy(60 + i);
		assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
		world_talk(x.w, x.a, x.b, 2000, 50);
		x.w->most = rows[i].most;
		path_ping(x.a->path, x.w->now_ms, 2, 79, rows[i].size);
		world_run(x.w, 1000);
		if ((x.a->ping_token == 79) != rows[i].comes)
			fail_msg("row %zu", i);
		assert_true(world_direct(x.a, x.b));
		assert_int_equal(way_of(x.a, x.b).most, 0);
		world_free(x.w);
	}
	struct pair x = pair_of(23, 8, 8);
	start_both(&x);
	path_ping(x.a->path, x.w->now_ms, 2, 80, PATH_PING_MAX);
	world_run(x.w, 1000);
	assert_int_equal(x.a->ping_region, 900);
	world_free(x.w);
}

static void six_only(void **state)
{
	(void)state;
	struct pair x = { .w = world_new(26, 2) };
	x.a = world_node(x.w, INTERNET, "2001:db8:1::1");
	x.b = world_node(x.w, INTERNET, "2001:db8:2::1");
	start_both(&x);
	world_run(x.w, 500);
	assert_true(path_home(x.a->path) != 0); /* no STUN server speaks IPv6: measured by HTTPS */
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_free(x.w);
}

/* No interface has IPv4; the peer has nothing else. */
static void four_through_translator(void **state)
{
	(void)state;
	struct pair x = { .w = world_new(27, 2) };
	x.a = world_node(x.w, INTERNET, "198.51.100.1");
	x.b = world_node(x.w, INTERNET, "198.51.100.2");
	start_both(&x);
	struct addr six = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	for (int there = 0; there < 2; there++) {
		path_nat64_set(x.a->path, x.w->now_ms, there);
		path_links_changed(x.a->path, x.w->now_ms, &six, 1, x.a->at.port);
		uint64_t udp = x.a->probes_out;
		world_talk(x.w, x.a, x.b, 1000, 50);
		assert_int_equal(x.a->probes_out > udp, there);
	}
	assert_true(world_until_direct(x.w, x.a, x.b, 1000) <= 1000);
	world_free(x.w);
}

/* Two NATs that nothing gets through; one of the routers gave a port. */
static void mapped_port(void **state)
{
	(void)state;
	struct pair x = pair_of(28, FILTER_APDF + 3 * MAP_APDM, FILTER_APDF + 3 * MAP_APDM);
	start_both(&x);
	assert_true(world_until_direct(x.w, x.a, x.b, 5000) > 5000);
	struct router *r = world_router_of(x.w, x.a->net);
	struct endpoint outer = { .ip = r->address, .port = 4242 }, none = { 0 },
			inside = { .ip = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } }, .port = 41641 };
	r->sessions[r->n_sessions++] =
		(struct nat_session) { .in = x.a->at, .port = outer.port, .used = true, .given = true };
	uint64_t told = x.a->self_changes;
	path_mapped_set(x.a->path, x.w->now_ms, &outer, &inside);
	path_flush(x.a->path, x.w->now_ms);
	assert_true(x.a->self_changes > told);
	struct ctl_endpoints own = path_endpoints(x.a->path);
	assert_true(endpoint_equal(&own.v[0], &outer));
	assert_int_equal(own.types[0], ENDPOINT_PORTMAPPED);
	assert_true(endpoint_equal(&own.v[1], &inside));
	assert_int_equal(own.types[1], ENDPOINT_PORTMAPPED);
	assert_true(world_until_direct(x.w, x.a, x.b, 3000) <= 3000);
	path_mapped_set(x.a->path, x.w->now_ms, &none, &none);
	own = path_endpoints(x.a->path);
	for (size_t i = 0; i < own.n; i++)
		assert_int_not_equal(own.types[i], ENDPOINT_PORTMAPPED);
	world_free(x.w);
}

static void control_dead_new_session(void **state)
{
	(void)state;
	struct pair x = easy(25);
	x.w->control_dead = true;
	world_run(x.w, 120000);
	assert_true(world_until_direct(x.w, x.a, x.b, 2000) <= 1000);
	world_free(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_pairs),
		cmocka_unit_test(joins_fast),
		cmocka_unit_test(both_behind_carrier),
		cmocka_unit_test(same_lan),
		cmocka_unit_test(same_carrier_hairpin),
		cmocka_unit_test(direct_path_lost),
		cmocka_unit_test(one_way_dead),
		cmocka_unit_test(probes_pass_data_does_not),
		cmocka_unit_test(proof_is_asked_for_in_measure),
		cmocka_unit_test(nat_reset),
		cmocka_unit_test(large_swallowed),
		cmocka_unit_test(ping_of_a_size),
		cmocka_unit_test(udp_blocked),
		cmocka_unit_test(nothing_answers),
		cmocka_unit_test(relay_dies),
		cmocka_unit_test(relays_die_direct_lives),
		cmocka_unit_test(hard_both_is_bounded),
		cmocka_unit_test(idle_is_silent),
		cmocka_unit_test(restart_with_new_key),
		cmocka_unit_test(removed_peer_gets_nothing),
		cmocka_unit_test(clock_jumps),
		cmocka_unit_test(lossy),
		cmocka_unit_test(ping),
		cmocka_unit_test(six_only),
		cmocka_unit_test(four_through_translator),
		cmocka_unit_test(mapped_port),
		cmocka_unit_test(control_dead_new_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
