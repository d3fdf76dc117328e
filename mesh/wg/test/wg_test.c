#include "mesh/wg/test/pair.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct wg_peer *peer_of(struct pair *p, int who)
{
	return wg_peer_get(p->end[who].wg, 1);
}

static void test_handshake_both_ways(void **state)
{
	(void)state;
	static const uint8_t psk[KEY_LEN] = { 1, 2, 3 };
	static const struct {
		bool psk;
		int from;
	} rows[] = { { false, 0 }, { false, 1 }, { true, 0 }, { true, 1 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		pair_init(&p, rows[i].psk ? psk : NULL);
		int a = rows[i].from, b = !a;
		assert_int_equal(pair_send(&p, a, 0), WG_STAGED);
		assert_int_equal(pair_send(&p, a, 1), WG_STAGED);
		pair_run(&p, 100);
		assert_int_equal(p.end[b].delivered, 2);
		assert_int_equal(p.end[a].ready, 1);
		assert_int_equal(p.end[b].ready, 1);
		assert_int_equal(pair_send(&p, b, 0), WG_OK);
		assert_int_equal(pair_send(&p, a, 2), WG_OK);
		pair_run(&p, 100);
		assert_int_equal(p.end[a].delivered, 1);
		assert_int_equal(p.end[b].delivered, 3);
		assert_int_equal(p.end[a].sent[WG_INITIATION], 1);
		assert_int_equal(p.end[b].sent[WG_RESPONSE], 1);
		struct wg_peer_stats s;
		assert_true(
			wg_peer_stats(p.end[a].wg, 1, &s) && s.session && s.last_handshake_ms && s.rx_bytes);
		pair_fini(&p);
	}
}

static void test_psk_differs(void **state)
{
	(void)state;
	static const uint8_t psk[KEY_LEN] = { 9 };
	struct pair p;
	pair_init(&p, NULL);
	memcpy(p.psk, psk, KEY_LEN);
	pair_introduce(&p, 0);
	pair_send(&p, 0, 0);
	pair_run(&p, 500);
	assert_int_equal(p.end[1].delivered, 0);
	assert_int_equal(wg_drops(p.end[0].wg)->bad_handshake, 1);
	pair_fini(&p);
}

/* Each end begins before it hears of the other's: both must end on the same session, and every packet
 * arrives. */
static void test_both_begin(void **state)
{
	(void)state;
	for (int late = 0; late < 30; late += 5) {
		struct pair p;
		pair_init(&p, NULL);
		pair_send(&p, 0, 0);
		pair_run(&p, (uint64_t)late);
		pair_send(&p, 1, 0);
		pair_run(&p, 200);
		assert_int_equal(p.end[0].delivered, 1);
		assert_int_equal(p.end[1].delivered, 1);
		for (uint32_t i = 1; i < 4; i++) {
			assert_int_equal(pair_send(&p, 0, i), WG_OK);
			assert_int_equal(pair_send(&p, 1, i), WG_OK);
			pair_run(&p, 50);
		}
		assert_int_equal(p.end[0].delivered, 4);
		assert_int_equal(p.end[1].delivered, 4);
		assert_int_equal(peer_of(&p, 0)->current->remote, peer_of(&p, 1)->current->local);
		assert_int_not_equal(peer_of(&p, 0)->current->initiator, peer_of(&p, 1)->current->initiator);
		pair_fini(&p);
	}
}

/* Times from when our own initiation, which is lost, left. */
static void test_answer_and_initiation_apart(void **state)
{
	(void)state;
	static const struct {
		uint64_t theirs_comes, answer_leaves;
	} rows[] = { { 0, 20 }, { 1, 20 }, { 19, 20 }, { 20, 20 }, { 21, 21 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		pair_init(&p, NULL);
		p.delay_ms = 0;
		p.cut[WG_INITIATION] = true;
		pair_send(&p, 0, 0);
		pair_run(&p, rows[i].theirs_comes);
		p.cut[WG_INITIATION] = false;
		pair_send(&p, 1, 0);
		pair_run(&p, 50);
		assert_int_equal(p.end[0].sent_ms[WG_RESPONSE] - p.end[0].sent_ms[WG_INITIATION],
			rows[i].answer_leaves);
		assert_int_equal(p.end[0].sent[WG_RESPONSE], 1);
		assert_int_equal(p.end[0].delivered, 1);
		assert_int_equal(p.end[1].delivered, 1);
		pair_fini(&p);
	}
}

/* The other order: we have just answered, and something asks for a handshake of ours. */
static void test_no_initiation_after_answer(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 1);
	pair_run(&p, WG_REKEY_AFTER_MS + 1000);
	p.cut[WG_RESPONSE] = true;
	wg_handshake_wanted(p.end[1].wg, p.now_ms, 1);
	pair_run(&p, 20);
	wg_handshake_wanted(p.end[0].wg, p.now_ms, 1);
	wg_peer_restarted(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 0);
	p.now_ms += WG_AWAIT_MS; /* the answer must have been lost */
	wg_peer_restarted(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 1);
	pair_fini(&p);
}

static void test_rekey_by_time(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	uint32_t first = peer_of(&p, 0)->current->local;
	for (uint32_t s = 0; s < 600; s++) {
		assert_int_equal(pair_send(&p, 0, s), WG_OK);
		pair_run(&p, 1000);
	}
	assert_int_equal(p.end[1].delivered, 600);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 5);
	assert_int_equal(p.end[1].sent[WG_INITIATION], 0);
	assert_int_not_equal(peer_of(&p, 0)->current->local, first);
	pair_fini(&p);
}

/* The one that began only receives: it renews before the end, so that the other never stops sending. */
static void test_rekey_by_receiving(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	for (uint32_t s = 0; s < 400; s++) {
		assert_int_equal(pair_send(&p, 1, s), WG_OK);
		pair_run(&p, 1000);
	}
	assert_int_equal(p.end[0].delivered, 400);
	assert_in_range(p.end[0].sent[WG_INITIATION], 3, 4);
	pair_fini(&p);
}

static void test_rekey_by_count(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	struct wg_session *old = peer_of(&p, 0)->current;
	old->sent = WG_REKEY_AFTER_MESSAGES - 2;
	pair_run(&p, 6000);
	assert_int_equal(pair_send(&p, 0, 0), WG_OK);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 1);
	assert_int_equal(pair_send(&p, 0, 1), WG_OK);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 2);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, 2);
	assert_true(peer_of(&p, 0)->current->sent < 10);
	/* At the very end nothing is sealed any more. */
	peer_of(&p, 0)->current->sent = WG_REJECT_AFTER_MESSAGES;
	assert_int_equal(pair_send(&p, 0, 2), WG_STAGED);
	pair_run(&p, 6000);
	assert_int_equal(p.end[1].delivered, 3);
	pair_fini(&p);
}

static void test_reject_after(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	pair_send(&p, 0, 0);
	struct pair_datagram d = p.last[WG_DATA];
	p.cut[WG_INITIATION] = true;
	pair_run(&p, 180000);
	assert_int_equal(pair_deliver(&p, 1, d.b, d.len), WG_DROP);
	assert_int_equal(wg_drops(p.end[1].wg)->expired, 1);
	assert_int_equal(pair_send(&p, 0, 1), WG_STAGED);
	pair_run(&p, 700000);
	assert_null(peer_of(&p, 0)->current); /* keys are gone */
	assert_null(peer_of(&p, 1)->current);
	assert_false(peer_of(&p, 0)->attempt);
	assert_int_equal(wg_drops(p.end[0].wg)->handshake_failed, 1);
	assert_int_equal(wg_deadline(p.end[0].wg), WG_NEVER);
	assert_int_equal(wg_deadline(p.end[1].wg), WG_NEVER);
	assert_int_equal(p.end[0].wg->indexes.n, 0);
	pair_fini(&p);
}

/* Every 5 s (and the first of each once more after 1 s) for 90 s, then silence until the next packet. */
static void test_retry(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	for (uint32_t i = 0; i < 70; i++)
		assert_int_equal(pair_send(&p, 0, i), WG_STAGED);
	assert_int_equal(wg_drops(p.end[0].wg)->stage_full, 6);
	pair_run(&p, 4900);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 2);
	pair_run(&p, 200000);
	assert_in_range(p.end[0].sent[WG_INITIATION], 34, 38);
	assert_int_equal(wg_drops(p.end[0].wg)->handshake_failed, 64);
	assert_int_equal(wg_deadline(p.end[0].wg), WG_NEVER);
	p.cut[WG_INITIATION] = false;
	pair_send(&p, 0, 99);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, 1);
	pair_fini(&p);
}

static void test_lost_first(void **state)
{
	(void)state;
	static const int types[] = { WG_INITIATION, WG_RESPONSE, WG_DATA };
	static const unsigned within_ms[] = { 1100, 5500, 16500 };
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct pair p;
		pair_init(&p, NULL);
		p.cut[types[i]] = true;
		pair_send(&p, 0, 0);
		pair_run(&p, 100);
		p.cut[types[i]] = false;
		pair_run(&p, within_ms[i]);
		/* When only the first data packet is lost, the new handshake after 15 s confirms the session
		 * anew. */
		assert_int_equal(p.end[1].delivered, types[i] == WG_DATA ? 0 : 1);
		assert_non_null(peer_of(&p, 1)->current);
		pair_fini(&p);
	}
}

static void test_keepalive(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	assert_int_equal(p.end[1].keepalives, 1); /* confirms */
	pair_send(&p, 0, 0);
	pair_run(&p, 9900);
	assert_int_equal(p.end[0].keepalives, 0);
	pair_run(&p, 200);
	assert_int_equal(p.end[0].keepalives, 1);
	pair_run(&p, 100000); /* a keepalive asks for none */
	assert_int_equal(p.end[0].keepalives, 1);
	assert_int_equal(p.end[1].keepalives, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 1);
	pair_fini(&p);
}

/* We send, nothing ever comes back: a new handshake after 15 s. */
static void test_peer_restarted(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	wg_peer_remove(p.end[1].wg, 1);
	pair_introduce(&p, 1);
	for (uint32_t i = 0; i < 20; i++) {
		pair_send(&p, 0, i);
		pair_run(&p, 1000);
	}
	assert_true(wg_drops(p.end[1].wg)->no_session >= 15);
	assert_in_range(p.end[1].delivered, 3, 6);
	pair_fini(&p);
}

/* One that started anew begins itself, a moment after the other's handshake: its session is the one to use.
 */
static void test_restarted_soon(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct pair p;
		pair_init(&p, NULL);
		pair_connect(&p, !who);
		pair_run(&p, 100);
		wg_peer_remove(p.end[who].wg, 1);
		pair_introduce(&p, who);
		unsigned before = p.end[who].delivered;
		pair_send(&p, who, 0);
		pair_run(&p, 200);
		assert_int_equal(pair_send(&p, !who, 1), WG_OK);
		pair_run(&p, 100);
		assert_int_equal(p.end[who].delivered, before + 1);
		pair_fini(&p);
	}
}

/* The same, told that the peer started anew: at once. */
static void test_told_of_restart(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	wg_peer_restarted(p.end[0].wg, p.now_ms, 1); /* no session to replace */
	assert_int_equal(p.end[0].sent[WG_INITIATION], 0);
	pair_connect(&p, 0);
	pair_run(&p, 100); /* peers take no two initiations within 20 ms */
	unsigned before = p.end[0].sent[WG_INITIATION];
	wg_peer_remove(p.end[1].wg, 1);
	pair_introduce(&p, 1);
	wg_peer_restarted(p.end[0].wg, p.now_ms, 1);
	wg_peer_restarted(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], before + 1);
	pair_run(&p, 1000);
	assert_int_equal(pair_send(&p, 0, 1), WG_OK);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, 1);
	pair_fini(&p);
}

static void test_cookie_under_load(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.end[1].under_load = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 200);
	assert_int_equal(p.end[1].sent[WG_COOKIE], 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 2); /* the same, with mac2 */
	assert_int_equal(p.end[1].delivered, 1);
	/* A second handshake has the cookie at once, a changed secret asks for a new one. */
	pair_run(&p, 6000);
	wg_peer_remove(p.end[1].wg, 1);
	pair_introduce(&p, 1);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 200);
	assert_int_equal(p.end[1].sent[WG_COOKIE], 1);
	pair_run(&p, 130000);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 200);
	assert_int_equal(p.end[1].sent[WG_COOKIE], 2);
	assert_int_equal(wg_drops(p.end[1].wg)->bad_mac2, 2);
	/* Responses are asked for cookies as well. */
	p.end[1].under_load = false;
	p.end[0].under_load = true;
	pair_run(&p, 6000);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 200);
	assert_int_equal(p.end[0].sent[WG_COOKIE], 1);
	pair_run(&p, 6000);
	assert_int_equal(p.end[0].sent[WG_COOKIE], 1);
	assert_int_equal(wg_drops(p.end[0].wg)->bad_cookie + wg_drops(p.end[1].wg)->bad_cookie, 0);
	pair_fini(&p);
}

/* Many valid initiations in a short time: cookies without being told, and then at most 20/s from one source.
 */
static void test_flood(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.delay_ms = 0;
	for (int i = 0; i < 200; i++) {
		assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
		pair_run(&p, 1);
	}
	const struct wg_drops *d = wg_drops(p.end[1].wg);
	assert_true(d->flood > 30);
	assert_true(d->bad_mac2 > 0);
	assert_true(p.end[1].sent[WG_RESPONSE] < 20);
	pair_fini(&p);
}

static void test_timestamps(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	struct pair_datagram d = p.last[WG_INITIATION];
	const struct wg_drops *drops = wg_drops(p.end[1].wg);
	pair_run(&p, 100);
	assert_int_equal(pair_deliver(&p, 1, d.b, d.len), WG_DROP); /* replayed */
	assert_int_equal(drops->old_timestamp, 1);
	/* Our clock steps back an hour: handshakes still work, again and again. */
	wg_clock_set(p.end[0].wg, p.now_ms, PAIR_UNIX_MS * UINT64_C(1000) - 3600000);
	for (unsigned i = 0; i < 3; i++) {
		pair_run(&p, 6000);
		assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
		pair_run(&p, 100);
		assert_int_equal(p.end[1].sent[WG_RESPONSE], 2 + i);
	}
	/* Restarted with that clock it is refused, with the floor it kept it is not. */
	uint64_t floor = wg_clock_floor(p.end[0].wg);
	assert_in_range(floor, PAIR_UNIX_MS * UINT64_C(1000), PAIR_UNIX_MS * UINT64_C(1000) + 60000);
	memset(p.end[0].wg->stamp, 0, WG_STAMP);
	pair_run(&p, 6000);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 100);
	assert_int_equal(drops->old_timestamp, 2);
	wg_clock_set(p.end[0].wg, p.now_ms, floor);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 100);
	assert_int_equal(drops->old_timestamp, 2);
	pair_fini(&p);
}

/* A clock once ten years ahead does not lock a peer out when it is right again. */
static void test_future_timestamp(void **state)
{
	(void)state;
	const uint64_t unix_ms = PAIR_UNIX_MS * UINT64_C(1000), hour = 3600000, years = 10 * 8766 * hour;
	struct pair p;
	pair_init(&p, NULL);
	wg_clock_set(p.end[0].wg, p.now_ms, unix_ms + years);
	pair_connect(&p, 0);
	struct pair_datagram d = p.last[WG_INITIATION];
	memset(p.end[0].wg->stamp, 0, WG_STAMP); /* restarted */
	pair_run(&p, hour + 1000);
	wg_clock_set(p.end[0].wg, p.now_ms, unix_ms + hour + 2000);
	assert_int_equal(pair_deliver(&p, 1, d.b, d.len), WG_DROP);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	pair_run(&p, 100);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 2);
	pair_fini(&p);
}

static void test_on_demand(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		struct pair p;
		pair_init(&p, NULL);
		wg_peer_remove(p.end[1].wg, 1);
		p.end[1].on_demand = known;
		pair_send(&p, 0, 0);
		pair_run(&p, 100);
		assert_int_equal(p.end[1].delivered, known);
		assert_int_equal(wg_drops(p.end[1].wg)->unknown_peer, !known);
		pair_fini(&p);
	}
}

static void test_heard(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	assert_int_equal(p.end[0].heard, 1);
	assert_int_equal(p.end[1].heard, 1);
	pair_send(&p, 0, 0);
	pair_run(&p, 100);
	assert_true(p.end[1].last.authenticated);
	assert_int_equal(p.end[1].last.peer, 1);
	pair_fini(&p);
}

static void test_path_changed(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 300);
	p.cut[WG_INITIATION] = false;
	wg_path_changed(p.end[0].wg, p.now_ms, 1);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, 1);
	wg_path_changed(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 2);
	pair_fini(&p);

	/* Two copies never leave together; the one for the new path does not cost the later one. */
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	wg_path_changed(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 1);
	pair_run(&p, 100);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 2);
	pair_run(&p, 1000);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 3);
	pair_fini(&p);
}

/* The peer has answered, and was not heard: the same bytes again would be a replay to it, new ones are not. */
static void test_anew(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	wg_handshake_anew(p.end[0].wg, p.now_ms, 1); /* nothing is pending */
	wg_handshake_anew(p.end[0].wg, p.now_ms, 99);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 0);
	p.cut[WG_RESPONSE] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 300);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 1);
	p.cut[WG_RESPONSE] = false;
	wg_path_changed(p.end[0].wg, p.now_ms, 1);
	pair_run(&p, 100);
	assert_int_equal(wg_drops(p.end[1].wg)->old_timestamp, 1);
	assert_int_equal(p.end[1].delivered, 0);
	wg_handshake_anew(p.end[0].wg, p.now_ms, 1);
	wg_handshake_anew(p.end[0].wg, p.now_ms, 1); /* not twice at once */
	assert_int_equal(p.end[0].sent[WG_INITIATION], 3);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, 1);
	wg_handshake_anew(p.end[0].wg, p.now_ms, 1);
	assert_int_equal(p.end[0].sent[WG_INITIATION], 3);
	pair_fini(&p);
}

/* 30 % lost, some twice, late by up to 200 ms, both ends talk at once: a session within 30 s, none lost
 * later, and everything passes once the network is good again. */
static void test_bad_network(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct pair p;
		pair_init(&p, NULL);
		p.rng ^= seed * UINT64_C(0x9e3779b97f4a7c15);
		p.loss = 300;
		p.twice = 50;
		p.jitter_ms = 200;
		for (uint32_t s = 0; s < 300; s++) {
			pair_send(&p, 0, s);
			pair_send(&p, 1, s);
			pair_run(&p, 100);
		}
		if (!p.end[0].delivered || !p.end[1].delivered)
			fail_msg("seed %d: no session", (int)seed);
		p.loss = 0;
		pair_run(&p, 30000);
		unsigned before[2] = { p.end[0].delivered, p.end[1].delivered };
		for (uint32_t s = 0; s < 200; s++) {
			pair_send(&p, 0, s);
			pair_send(&p, 1, s);
			pair_run(&p, 1000);
		}
		for (int i = 0; i < 2; i++)
			if (p.end[i].delivered < before[i] + 200)
				fail_msg("seed %d: end %d got %u of 200", (int)seed, i,
					p.end[i].delivered - before[i]);
		pair_fini(&p);
	}
}

enum { STORM = 100000 };

static void run_storm(uint32_t packets)
{
	struct pair p;
	pair_init(&p, NULL);
	p.loss = 10;
	p.twice = 10;
	p.jitter_ms = 40; /* reorders by up to 400 packets */
	for (int i = 0; i < 2; i++) {
		p.end[i].n_seen = packets;
		p.end[i].seen = calloc(packets, 1);
		assert_non_null(p.end[i].seen);
	}
	pair_connect(&p, 0);
	for (uint32_t i = 0; i < packets; i++) {
		pair_send(&p, (int)(i & 1), i);
		if (i % 5 == 0)
			pair_run(&p, 1);
	}
	pair_run(&p, 20000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p.end[i].twice, 0);
		assert_true(p.end[i].delivered > packets / 200 * 98);
		assert_true(wg_drops(p.end[i].wg)->replay > packets / 2 / 200);
		assert_int_equal(wg_drops(p.end[i].wg)->bad_tag, 0);
	}
	pair_fini(&p);
}

static void test_storm(void **state)
{
	(void)state;
	const char *n = getenv("RW_WG_STORM"); /* packets of the long version */
	run_storm(n ? (uint32_t)strtoul(n, NULL, 10) : STORM);
}

static void test_idle_costs_nothing(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	for (uint32_t i = 2; i < 1002; i++) {
		struct node_key k = { { (uint8_t)i, (uint8_t)(i >> 8), 1 } };
		struct addr a = addr_v4(0x64400000 + i);
		struct prefix allowed = prefix_of(&a);
		assert_true(wg_peer_set(p.end[0].wg, i, &k, NULL, &allowed, 1));
	}
	assert_int_equal(wg_deadline(p.end[0].wg), WG_NEVER);
	assert_true(sizeof(struct wg_peer) < 640);
	for (uint32_t i = 2; i < 1002; i++) {
		struct addr a = addr_v4(0x64400000 + i);
		assert_int_equal(wg_route(p.end[0].wg, &a), i);
		wg_peer_remove(p.end[0].wg, i);
		assert_int_equal(wg_route(p.end[0].wg, &a), 0);
	}
	pair_connect(&p, 1);
	pair_fini(&p);
}

static void test_peer_set(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	struct wg *w = p.end[0].wg;
	struct node_key zero = { { 0 } }, other = { { 5 } };
	struct prefix ip = prefix_of(&p.end[1].ip), both[2] = { ip, { addr_v4(0), 0 } };
	struct addr far = addr_v4(0x08080808);
	assert_false(wg_peer_set(w, 2, &zero, NULL, NULL, 0));
	assert_false(wg_peer_set(w, 2, &p.end[0].key, NULL, NULL, 0));
	assert_false(wg_peer_set(w, 0, &other, NULL, NULL, 0));
	assert_true(wg_peer_set(w, 2, &other, NULL, both, 2)); /* the prefix moves */
	assert_int_equal(wg_route(w, &p.end[1].ip), 2);
	assert_int_equal(wg_route(w, &far), 2);
	assert_true(wg_peer_set(w, 2, &other, NULL, &both[1], 1));
	assert_int_equal(wg_route(w, &p.end[1].ip), 2); /* by 0.0.0.0/0 */
	assert_true(wg_peer_set(w, 1, &p.end[1].key, NULL, &ip, 1));
	assert_int_equal(wg_route(w, &p.end[1].ip), 1);
	pair_connect(&p, 0);
	assert_true(wg_peer_set(w, 1, &p.end[1].key, NULL, &ip, 1));
	assert_non_null(peer_of(&p, 0)->current); /* nothing new, nothing lost */
	assert_true(wg_peer_set(w, 3, &p.end[1].key, NULL, &ip, 1));
	assert_null(wg_peer_get(w, 1)); /* the key has another id now */
	assert_int_equal(wg_route(w, &p.end[1].ip), 3);
	assert_true(wg_peer_set(w, 3, &(struct node_key) { { 7 } }, NULL, &ip, 1));
	assert_int_equal(w->by_id.n, 2);
	assert_int_equal(w->by_key.n, 2);
	pair_fini(&p);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake_both_ways),
		cmocka_unit_test(test_psk_differs),
		cmocka_unit_test(test_both_begin),
		cmocka_unit_test(test_answer_and_initiation_apart),
		cmocka_unit_test(test_no_initiation_after_answer),
		cmocka_unit_test(test_rekey_by_time),
		cmocka_unit_test(test_rekey_by_receiving),
		cmocka_unit_test(test_rekey_by_count),
		cmocka_unit_test(test_reject_after),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_lost_first),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_peer_restarted),
		cmocka_unit_test(test_restarted_soon),
		cmocka_unit_test(test_told_of_restart),
		cmocka_unit_test(test_cookie_under_load),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_future_timestamp),
		cmocka_unit_test(test_on_demand),
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_anew),
		cmocka_unit_test(test_path_changed),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_bad_network),
		cmocka_unit_test(test_idle_costs_nothing),
		cmocka_unit_test(test_peer_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
