/* Of a peer that nobody has spoken to there are its id, key and prefixes; all else is made with the first packet. */
#include "mesh/wg/test/pair.h"
#include "mesh/base/err.h"
#include "mesh/base/fuzz/trouble.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void questions_make_nothing(void **state)
{
	struct pair p;
	struct wg_peer_stats s;
	(void)state;
	pair_init(&p, NULL);
	struct wg *w = p.end[0].wg;
	assert_int_equal(wg_route(w, &p.end[1].ip), 1);
	assert_false(wg_ready(w, p.now_ms, 1));
	memset(&s, 0xff, sizeof(s));
	assert_true(wg_peer_stats(w, 1, &s));
	assert_true(!s.session && !s.rx_bytes && !s.last_handshake_ms);
	assert_false(wg_peer_stats(w, 2, &s));
	wg_path_changed(w, p.now_ms, 1);
	wg_handshake_anew(w, p.now_ms, 1);
	wg_peer_restarted(w, p.now_ms, 1);
	pair_introduce(&p, 0); /* the same once more */
	assert_null(wg_peer_made(w, 1));
	assert_int_equal(wg_deadline(w), WG_NEVER);
	pair_connect(&p, 0);
	assert_non_null(wg_peer_made(w, 1));
	assert_non_null(wg_peer_made(p.end[1].wg, 1));
	assert_true(wg_peer_stats(w, 1, &s) && s.session);
	pair_fini(&p);
}

/* A question and its answer set and clear a timer each: none of it asks the machine for random bytes. */
static void packets_draw_nothing(void **state)
{
	struct pair p;
	uint8_t ip[64];
	(void)state;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	pair_run(&p, 100);
	uint64_t rng = p.rng;
	for (uint32_t i = 0; i < 50; i++) {
		for (int from = 0; from < 2; from++) {
			struct pkt d;
			pkt_reset(&d);
			d.len = (uint16_t)pair_packet(&p, from, i, ip);
			memcpy(pkt_data(&d), ip, d.len);
			assert_int_equal(wg_seal(p.end[from].wg, p.now_ms, 1, &d), WG_OK);
			assert_int_equal(pair_deliver(&p, !from, pkt_data(&d), d.len), WG_OK);
		}
		p.now_ms += 3;
	}
	assert_true(p.rng == rng);
	pair_fini(&p);
}

/* A key from before the first packet is in the first handshake. */
static void preshared_key_waits(void **state)
{
	struct pair p;
	uint8_t psk[KEY_LEN], other[KEY_LEN];
	(void)state;
	memset(psk, 0xa5, sizeof(psk));
	memset(other, 0x5a, sizeof(other));
	pair_init(&p, NULL);
	struct prefix ip[2] = { { p.end[0].ip, 32 }, { p.end[1].ip, 32 } };
	for (int i = 0; i < 2; i++)
		assert_true(wg_peer_set(p.end[i].wg, 1, &p.end[!i].key, i ? psk : other, &ip[!i], 1));
	pair_send(&p, 0, 1);
	pair_run(&p, 1000);
	assert_false(wg_ready(p.end[0].wg, p.now_ms, 1)); /* they do not fit */
	assert_true(wg_peer_set(p.end[0].wg, 1, &p.end[1].key, psk, &ip[1], 1));
	pair_connect(&p, 0);
	pair_fini(&p);
}

/* What a peer may no more be asks for no memory. */
static void taken_away_without_memory(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, NULL);
	struct wg *w = p.end[0].wg;
	const struct node_key *key = &p.end[1].key;
	struct prefix ip[] = { { addr_v4(0x0a000000), 8 }, { p.end[1].ip, 32 }, { addr_v4(0x0b000000), 8 } };
	struct addr in[] = { addr_v4(0x0a000001), p.end[1].ip, addr_v4(0x0b000001) };
	assert_true(wg_peer_set(w, 1, key, NULL, ip, 2));
	trouble_memory(1);
	assert_false(wg_peer_set(w, 1, key, NULL, ip + 1, 2));
	assert_true(trouble_happened());
	assert_int_equal(wg_route(w, &in[0]), 0);
	assert_int_equal(wg_route(w, &in[1]), 1);
	assert_int_equal(wg_route(w, &in[2]), 0);
	assert_true(wg_peer_set(w, 1, key, NULL, ip + 1, 2));
	assert_int_equal(wg_route(w, &in[2]), 1);
	wg_peer_remove(w, 1);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		assert_int_equal(wg_route(w, &in[i]), 0);
	pair_fini(&p);
}

static void leaves_unspoken(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, NULL);
	struct wg *w = p.end[0].wg;
	struct prefix ip = { p.end[1].ip, 32 };
	struct node_key other = { { 7 } };
	assert_true(wg_peer_set(w, 2, &other, NULL, &ip, 1)); /* the prefix moves */
	assert_int_equal(wg_route(w, &p.end[1].ip), 2);
	wg_peer_remove(w, 2);
	assert_int_equal(wg_route(w, &p.end[1].ip), 0);
	assert_int_equal(w->by_id.n, 1);
	assert_int_equal(w->by_key.n, 1);
	assert_true(wg_peer_set(w, 3, &p.end[1].key, NULL, &ip, 1)); /* the key has another id now */
	assert_null(wg_peer_get(w, 1));
	assert_int_equal(wg_route(w, &p.end[1].ip), 3);
	assert_int_equal(wg_seal_span(w, p.now_ms, 1, &(struct wg_span) { 0 }), WG_DROP);
	assert_int_equal(wg_drops(w)->no_route, 1);
	pair_fini(&p);
}

/* Who lost an address to another peer leaves it alone when it is told so, in whichever order the two are told. */
static void address_moves(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, NULL);
	struct wg *w = p.end[0].wg;
	const struct node_key *key = &p.end[1].key, other = { { 7 } };
	struct prefix ip = { p.end[1].ip, 32 };
	assert_int_equal(wg_route(w, &ip.ip), 1);
	assert_true(wg_peer_set(w, 2, &other, NULL, &ip, 1));
	assert_true(wg_peer_set(w, 1, key, NULL, NULL, 0));
	assert_int_equal(wg_route(w, &ip.ip), 2);
	assert_true(wg_peer_set(w, 1, key, NULL, &ip, 1));
	assert_true(wg_peer_set(w, 2, &other, NULL, NULL, 0));
	assert_int_equal(wg_route(w, &ip.ip), 1);
	assert_true(wg_peer_set(w, 2, &other, NULL, &ip, 1));
	wg_peer_remove(w, 1);
	assert_int_equal(wg_route(w, &ip.ip), 2);
	pair_fini(&p);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(questions_make_nothing),
		cmocka_unit_test(packets_draw_nothing), cmocka_unit_test(preshared_key_waits),
		cmocka_unit_test(taken_away_without_memory), cmocka_unit_test(leaves_unspoken),
		cmocka_unit_test(address_moves) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
