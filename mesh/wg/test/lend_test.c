/* The sending half of a session on loan: what is sealed by it is as if the core had sealed it; the core asks for it before it
 * seals, ends or replaces a session, or changes a peer; and learns what was sent. */
#include "mesh/wg/test/pair.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The op has the end alone to find these by. */
static struct {
	struct wg_loan loan;
	bool out;
	unsigned recalled;
} lent;

static void recall(struct pair_end *e)
{
	assert_true(lent.out);
	lent.out = false;
	lent.recalled++;
	wg_loan_return(e->wg, 1, &lent.loan);
}

static void lend(struct pair *p)
{
	p->end[0].recall = recall;
	assert_true(wg_lend(p->end[0].wg, p->now_ms, 1, &lent.loan));
	lent.out = true;
	lent.recalled = 0;
}

static void start(struct pair *p)
{
	pair_init(p, NULL);
	pair_connect(p, 0);
	lend(p);
}

static void send_lent(struct pair *p, uint32_t seq)
{
	struct pkt k;
	pkt_reset(&k);
	k.len = (uint16_t)pair_packet(p, 0, seq, pkt_data(&k));
	assert_int_equal(wg_loan_seal(&lent.loan, p->now_ms, &k), WG_OK);
	assert_int_equal(pair_deliver(p, 1, pkt_data(&k), k.len), WG_OK);
}

static void tell(struct pair *p)
{
	struct wg_loan said = lent.loan;
	lent.loan.bytes = lent.loan.failed = 0;
	lent.loan.until_ms = wg_loan_told(p->end[0].wg, p->now_ms, 1, &said);
}

static void test_sealed(void **state)
{
	struct pair p;
	struct wg_peer_stats before, after;
	struct wg_loan other;
	(void)state;
	start(&p);
	unsigned had = p.end[1].delivered;
	assert_true(wg_peer_stats(p.end[0].wg, 1, &before));
	assert_false(wg_lend(p.end[0].wg, p.now_ms, 1, &other)); /* it is out already */
	for (uint32_t i = 1; i <= 10; i++)
		send_lent(&p, i);
	assert_int_equal(p.end[1].delivered, had + 10);
	p.now_ms += 50;
	send_lent(&p, 11);
	tell(&p);
	assert_true(wg_peer_stats(p.end[0].wg, 1, &after));
	assert_int_equal(after.tx_bytes - before.tx_bytes, 11 * (64 + WG_OVERHEAD));
	assert_int_equal(after.last_tx_ms, p.now_ms);
	/* The core goes on after the last counter: none is used twice, or the other end would refuse it. */
	assert_int_equal(pair_send(&p, 0, 12), WG_OK);
	assert_int_equal(lent.recalled, 1);
	pair_run(&p, 100);
	assert_int_equal(p.end[1].delivered, had + 12);
	assert_int_equal(wg_drops(p.end[1].wg)->replay, 0);
	pair_fini(&p);
}

static void seals(struct pair *p)
{
	assert_int_equal(pair_send(p, 0, 1), WG_OK);
}
static void removes(struct pair *p)
{
	wg_peer_remove(p->end[0].wg, 1);
}
static void sets(struct pair *p)
{
	pair_introduce(p, 0);
}
static void sets_other(struct pair *p)
{
	struct node_key key = { { 77 } };
	struct prefix moved = prefix_of(&p->end[1].ip); /* an address of the peer's */
	assert_true(wg_peer_set(p->end[0].wg, 2, &key, NULL, &moved, 1));
}
static void we_renew(struct pair *p)
{
	wg_handshake_anew(p->end[0].wg, p->now_ms, 1);
	wg_peer_restarted(p->end[0].wg, p->now_ms, 1);
	pair_run(p, 200);
}
static void they_renew(struct pair *p)
{
	wg_peer_restarted(p->end[1].wg, p->now_ms, 1);
	pair_run(p, 200);
	assert_int_equal(pair_send(p, 1, 5), WG_OK); /* the first packet of the new session */
	pair_run(p, 200);
}
static void forgets(struct pair *p)
{
	p->cut[WG_INITIATION] = true;
	pair_run(p, WG_WIPE_MS + 1000);
}
static void ends(struct pair *p)
{
	wg_free(p->end[0].wg);
	struct wg_ops none = { 0 };
	struct random rnd = random_system;
	p->end[0].wg = wg_new(&p->end[0].priv, &none, &rnd); /* for pair_fini */
}

static void test_recalled(void **state)
{
	static void (*const rows[])(
		struct pair * p) = { seals, removes, sets, sets_other, we_renew, they_renew, forgets, ends };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		start(&p);
		send_lent(&p, 0);
		rows[i](&p);
		assert_false(lent.out);
		assert_int_equal(lent.recalled, 1);
		pair_fini(&p);
	}
}

/* A loan ends with its session, and where nobody speaks to the core for a second. */
static void test_ends(void **state)
{
	struct pair p;
	struct pkt k;
	(void)state;
	start(&p);
	uint64_t begun = p.now_ms, ends_ms = lent.loan.ends_ms;
	for (; p.now_ms < ends_ms - 500; p.now_ms += 500) {
		send_lent(&p, 1);
		tell(&p);
	}
	assert_int_equal(lent.loan.until_ms, ends_ms);
	assert_true(ends_ms - begun > WG_REKEY_AFTER_MS);
	/* It was renewed in time: the initiation left when the session was old enough. */
	assert_true(p.end[0].sent[WG_INITIATION] > 1);
	p.now_ms = ends_ms;
	pkt_reset(&k);
	k.len = (uint16_t)pair_packet(&p, 0, 2, pkt_data(&k));
	assert_int_equal(wg_loan_seal(&lent.loan, p.now_ms, &k), WG_DROP);
	tell(&p);
	assert_int_equal(wg_drops(p.end[0].wg)->no_memory, 1);
	pair_fini(&p);

	start(&p);
	p.now_ms += 1000;
	pkt_reset(&k);
	k.len = (uint16_t)pair_packet(&p, 0, 2, pkt_data(&k));
	assert_int_equal(wg_loan_seal(&lent.loan, p.now_ms, &k), WG_DROP);
	pair_fini(&p);
}

/* Timers are as if the core had sealed: what we sent answers what came, and silence after it is noticed. */
static void test_timers(void **state)
{
	struct pair p;
	(void)state;
	start(&p);
	assert_int_equal(pair_send(&p, 1, 1), WG_OK);
	pair_run(&p, 100);
	unsigned keepalives = p.end[1].keepalives;
	send_lent(&p, 1);
	tell(&p);
	struct wg_peer *peer = wg_peer_get(p.end[0].wg, 1);
	assert_int_equal(peer->keepalive_at, WG_NEVER);
	assert_int_not_equal(peer->lost_at, WG_NEVER);
	assert_int_equal(p.end[1].keepalives, keepalives);
	/* Heard after it was sent, told later: nothing is missing. */
	send_lent(&p, 2);
	p.now_ms += 10;
	assert_int_equal(pair_send(&p, 1, 3), WG_OK);
	pair_run(&p, 100);
	tell(&p);
	assert_int_equal(peer->lost_at, WG_NEVER);
	assert_int_not_equal(peer->keepalive_at, WG_NEVER);
	pair_fini(&p);
}

/* Nothing is lent where packets would overtake those that wait, or no session may be used. */
static void test_refused(void **state)
{
	struct pair p;
	struct wg_loan l;
	(void)state;
	pair_init(&p, NULL);
	assert_false(wg_lend(p.end[0].wg, p.now_ms, 1, &l));
	assert_int_equal(pair_send(&p, 0, 1), WG_STAGED);
	assert_false(wg_lend(p.end[0].wg, p.now_ms, 1, &l));
	pair_run(&p, 200);
	wg_peer_get(p.end[0].wg, 1)->current->sent = WG_REKEY_AFTER_MESSAGES;
	assert_false(wg_lend(p.end[0].wg, p.now_ms, 1, &l));
	assert_false(wg_lend(p.end[0].wg, p.now_ms, 9, &l));
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sealed), cmocka_unit_test(test_recalled),
		cmocka_unit_test(test_ends), cmocka_unit_test(test_timers), cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
