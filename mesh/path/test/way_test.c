/* The tables of a direct way's states, and where packets go in each. */
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { HOME = 1, NOW = 100000 };

struct rig {
	struct path path;
	struct peer peer;
	struct region region;
	unsigned told;
};

static void told(void *arg, uint64_t peer)
{
	(void)peer;
	((struct rig *)arg)->told++;
}

static void start(struct rig *r, enum way_state way, enum data_state data)
{
	*r = (struct rig) { .path = { .now_ms = NOW, .ops = { .way_changed = told, .arg = r } } };
	r->region = (struct region) { .id = HOME, .has_relay = true };
	r->path.regions = &r->region;
	r->path.n_regions = 1;
	r->peer =
		(struct peer) { .id = 7, .home = HOME, .sent_ms = NOW, .way_state = way, .data_state = data };
	r->peer.best = (struct endpoint) { .ip = addr_v4(0xc6336401), .port = 41641 };
	r->peer.trust_ms = way >= WAY_TRUSTED ? NOW + 1000 : 0;
}

static void moves(void **state)
{
	(void)state;
	/* Rows: events. Columns: NONE, UNPROVEN, TRUSTED, DOUBTED. - impossible, else the first letter. */
	static const char *const way[WAY_EVENTS] = {
		[WAY_EV_PONG] = "TTTT",
		[WAY_EV_ROAMED] = "UU--",
		[WAY_EV_MISSED] = "-UDD",
		[WAY_EV_EXPIRED] = "--UU",
		[WAY_EV_FORGOTTEN] = "NNNN",
	};
	/* PASSES, SILENT, SHUT: by P, L, X. */
	static const char *const data[DATA_EVENTS] = {
		[DATA_EV_BEGINS] = "PPP",
		[DATA_EV_SILENCE] = "LLX",
		[DATA_EV_HEARD] = "PPX",
		[DATA_EV_PROVEN] = "PPP",
		[DATA_EV_REFUTED] = "XXX",
	};
	static const char way_letter[] = "?NUTD", data_letter[] = "?PLX";
	struct rig r;
	for (enum way_event ev = 0; ev < WAY_EVENTS; ev++) {
		for (enum way_state s = WAY_NONE; s < WAY_STATES; s++) {
			start(&r, s, DATA_PASSES);
			bool possible = way[ev][s - 1] != '-';
			assert_int_equal(way_feed(&r.path, &r.peer, ev), possible);
			assert_int_equal(
				way_letter[r.peer.way_state], possible ? way[ev][s - 1] : way_letter[s]);
			assert_int_equal(r.path.impossible_moves, !possible);
		}
	}
	for (enum data_event ev = 0; ev < DATA_EVENTS; ev++) {
		for (enum data_state s = DATA_PASSES; s < DATA_STATES; s++) {
			start(&r, WAY_TRUSTED, s);
			assert_true(way_data_feed(&r.path, &r.peer, ev));
			assert_int_equal(data_letter[r.peer.data_state], data[ev][s - 1]);
		}
	}
}

static void where_packets_go(void **state)
{
	(void)state;
	static const struct {
		enum way_state way;
		enum data_state data;
		bool udp, relay;
	} rows[] = {
		{ WAY_NONE, DATA_PASSES, false, true },
		{ WAY_UNPROVEN, DATA_PASSES, true, true },
		{ WAY_TRUSTED, DATA_PASSES, true, false },
		{ WAY_TRUSTED, DATA_SILENT, true, true },
		{ WAY_TRUSTED, DATA_SHUT, false, true },
		{ WAY_DOUBTED, DATA_PASSES, true, true },
		{ WAY_DOUBTED, DATA_SHUT, false, true },
	};
	struct rig r;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&r, rows[i].way, rows[i].data);
		way_publish(&r.path, &r.peer);
		assert_int_equal(r.peer.way.udp, rows[i].udp);
		assert_int_equal(r.peer.way.relay, rows[i].relay);
		r.peer.home = PATH_REGION_NONE; /* without a relay the way is all there is */
		way_publish(&r.path, &r.peer);
		assert_int_equal(r.peer.way.udp, rows[i].way != WAY_NONE);
	}
}

/* Published where the state moves, told by nobody but the flush. */
static void setter_publishes(void **state)
{
	(void)state;
	struct rig r;
	start(&r, WAY_NONE, DATA_PASSES);
	way_publish(&r.path, &r.peer);
	r.peer.trust_ms = NOW + 1000;
	assert_true(way_feed(&r.path, &r.peer, WAY_EV_PONG));
	assert_true(r.peer.way.udp && !r.peer.way.relay);
	assert_true(endpoint_equal(&r.peer.way.at, &r.peer.best));
	assert_true(r.told == 0 && r.path.news == &r.peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves),
		cmocka_unit_test(where_packets_go),
		cmocka_unit_test(setter_publishes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
