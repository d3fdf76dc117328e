/* A peer that is not yet where its handshake is sent: a relay says so, and it comes a moment later. */
#include "mesh/wg/test/pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SAID_MS = 10 };

/* What is sent to 1 for away_ms is lost, and that is said of the first alone. How long it takes from then on. */
static uint64_t met_after(uint64_t away_ms, bool said)
{
	struct pair p;
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, SAID_MS);
	if (said)
		wg_peer_missed(p.end[0].wg, p.now_ms, 1);
	pair_run(&p, away_ms - SAID_MS);
	p.cut[WG_INITIATION] = false;
	uint64_t there_ms = p.now_ms;
	while (!p.end[1].delivered && p.now_ms - there_ms < 10000)
		pair_run(&p, 5);
	uint64_t took = p.now_ms - there_ms;
	assert_true(p.end[1].delivered);
	pair_fini(&p);
	return took;
}

static void who_comes_late_is_met(void **state)
{
	static const struct {
		uint64_t away_ms, most_ms;
	} rows[] = { { 50, 300 }, { 300, 300 }, { 700, 400 }, { 1200, 800 }, { 1800, 1000 } };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t took = met_after(rows[i].away_ms, true),
			 else_took = met_after(rows[i].away_ms, false);
		if (took > rows[i].most_ms || took > else_took)
			fail_msg("row %zu: %llu ms", i, (unsigned long long)took);
	}
}

/* However often it is said; and who is met is sent no more. */
static void little_is_sent(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, NULL);
	wg_peer_missed(p.end[0].wg, p.now_ms, 1); /* nothing is pending */
	wg_peer_missed(p.end[0].wg, p.now_ms, 99);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 0);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	for (int i = 0; i < 6000; i++) {
		wg_peer_missed(p.end[0].wg, p.now_ms, 1);
		pair_run(&p, 1);
	}
	assert_in_range(p.end[0].sent[WG_INITIATION], 6, 14);
	p.cut[WG_INITIATION] = false;
	pair_run(&p, 10000);
	assert_int_equal(p.end[1].delivered, 1);
	unsigned sent = p.end[0].sent[WG_INITIATION];
	wg_peer_missed(p.end[0].wg, p.now_ms, 1);
	pair_run(&p, 5000);
	assert_int_equal(p.end[0].sent[WG_INITIATION], sent);
	pair_fini(&p);
}

/* The answer is lost and the initiation was not: its copy is no fresh one, and the next comes after five seconds. */
static void lost_answer_is_repeated(void **state)
{
	static void (*const rows[])(
		struct wg * w, uint64_t now_ms, uint64_t peer) = { wg_path_changed, wg_peer_missed };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair p;
		pair_init(&p, NULL);
		p.cut[WG_RESPONSE] = true;
		pair_send(&p, 0, 0);
		pair_run(&p, 50);
		assert_int_equal(p.end[1].sent[WG_RESPONSE], 1);
		p.cut[WG_RESPONSE] = false;
		rows[i](p.end[1].wg, p.now_ms, 1);
		rows[i](p.end[1].wg, p.now_ms, 1); /* not twice */
		pair_run(&p, 400);
		assert_int_equal(p.end[1].delivered, 1);
		assert_int_equal(p.end[1].sent[WG_RESPONSE], 2);
		rows[i](p.end[1].wg, p.now_ms, 1); /* it is used: no more */
		pair_run(&p, 400);
		assert_int_equal(p.end[1].sent[WG_RESPONSE], 2);
		pair_fini(&p);
	}
}

/* An initiator that is gone is sent little, and nothing any more when it would have begun anew. */
static void answers_end(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, NULL);
	p.cut[WG_RESPONSE] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 50);
	p.cut[WG_INITIATION] = true;
	for (int i = 0; i < 10000; i++) {
		wg_peer_missed(p.end[1].wg, p.now_ms, 1);
		pair_run(&p, 1);
	}
	assert_in_range(p.end[1].sent[WG_RESPONSE], 20, 26);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_comes_late_is_met),
		cmocka_unit_test(lost_answer_is_repeated), cmocka_unit_test(answers_end),
		cmocka_unit_test(little_is_sent) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
