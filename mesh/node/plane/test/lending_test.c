/* What is lent, and what not; and that a flow sent by another thread is, for everybody who is told later, one that was sent here. */
#include "mesh/base/err.h"
#include "mesh/node/plane/lending.h"
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct lent { /* the op of plane_io has the side alone */
	struct lending l;
	struct lending_account a;
	unsigned recalled;
} lent;

static void recall(void *arg)
{
	struct side *s = arg;
	lending_note(&lent.l, &lent.a);
	lending_forget(&lent.l);
	lending_give_back(&s->d, s->w->now_ms, &lent.a);
	lent.recalled++;
}

static struct world *start(bool relay)
{
	struct world *w = world_new();
	memset(&lent, 0, sizeof(lent));
	w->side[0].d.io.recall = recall;
	w->no_udp = relay;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 6000);
	assert_int_equal(w->side[1].n_tun, 1);
	world_send(w, 0, 1000, 80, "abc"); /* the end of what only a first packet does */
	world_run(w, 100);
	w->side[1].n_tun = 0;
	return w;
}

static struct pkt packet(
	const struct world *w, uint16_t sport, const struct addr *src, const struct addr *dst)
{
	struct pkt p;
	struct endpoint from = { .ip = *src, .port = sport }, to = { .ip = *dst, .port = 80 };
	(void)w;
	pkt_reset(&p);
	memcpy(pkt_data(&p) + 28, "text", 4);
	p.len = (uint16_t)ip_write_udp(pkt_data(&p), &from, &to, 4);
	return p;
}

static struct pkt ours(const struct world *w, uint16_t sport)
{
	return packet(w, sport, &w->side[0].ip, &w->side[1].ip);
}

static bool grant(struct world *w, struct pkt p)
{
	return lending_grant(&w->side[0].d, &lent.l, w->now_ms, &p);
}

/* As the other thread does it. */
static bool send_lent(struct world *w, uint16_t sport)
{
	struct pkt p = ours(w, sport), *ptr = &p;
	struct lending_peer *e = lending_find(&lent.l, w->now_ms, &p);
	struct side *s = &w->side[0];
	if (!e || wg_loan_seal(&e->loan, w->now_ms, &p) != WG_OK)
		return false;
	e->sent.packets++;
	e->sent.bytes += p.len;
	s->d.io.udp_send_batch(s, e->way.from, &e->way.at, &ptr, 1);
	return true;
}

static void tell(struct world *w)
{
	lending_note(&lent.l, &lent.a);
	lending_tell(&w->side[0].d, w->now_ms, &lent.a);
	lending_extend(&lent.l, &lent.a);
}

static void test_lent(void **state)
{
	(void)state;
	struct world *w = start(false);
	assert_false(send_lent(w, 1000));
	assert_true(grant(w, ours(w, 1000)));
	assert_true(send_lent(w, 1000));
	assert_false(send_lent(w, 1001)); /* a flow that nobody has looked at */
	assert_true(grant(w, ours(w, 1001)));
	assert_true(send_lent(w, 1001));
	struct plane_traffic before = w->side[0].d.out[PLANE_DIRECT4];
	tell(w);
	assert_int_equal(w->side[0].d.out[PLANE_DIRECT4].packets, before.packets + 2);
	tell(w); /* once */
	assert_int_equal(w->side[0].d.out[PLANE_DIRECT4].packets, before.packets + 2);
	world_run(w, 10);
	assert_int_equal(w->side[1].n_tun, 2);
	/* Every second one more: the loan goes on for as long as it is told of. */
	for (int i = 0; i < 5; i++) {
		w->now_ms += 900;
		assert_true(send_lent(w, 1000));
		tell(w);
	}
	w->now_ms += 1000;
	assert_false(send_lent(w, 1000));
	world_free(w);
}

static void test_not_lent(void **state)
{
	(void)state;
	struct world *w = start(false);
	struct side *a = &w->side[0];
	struct addr other = addr_v4(0x0a000001);
	struct pkt bad = ours(w, 1);
	bad.len = 10;
	assert_false(grant(w, bad));
	assert_false(grant(w, packet(w, 1, &other, &w->side[1].ip))); /* nobody's source */
	assert_false(grant(w, packet(w, 1, &a->ip, &other)));	      /* nobody's address */
	struct addr all = addr_v4(0xe0000001);
	assert_false(grant(w, packet(w, 1, &a->ip, &all)));
	dataplane_rules_set(&a->d, NULL);
	assert_false(grant(w, ours(w, 1)));
	world_map(w, 0, "");
	assert_true(grant(w, ours(w, 1)));
	dataplane_map_set(&a->d, NULL);
	assert_false(grant(w, ours(w, 1)));
	/* None of them was counted: the loop sees those packets yet. */
	assert_int_equal(a->d.drops.out_malformed + a->d.drops.out_foreign_source, 0);
	assert_int_equal(wg_drops(a->d.wg)->no_route, 0);
	assert_int_equal(a->d.filter_drops.multicast, 0);
	world_free(w);
	w = start(true); /* by the relay */
	assert_false(grant(w, ours(w, 1)));
	world_free(w);
}

/* Whatever it was lent on is asked for before it changes. */
static void set_map(struct world *w)
{
	dataplane_map_set(&w->side[0].d, NULL);
}
static void set_rules(struct world *w)
{
	dataplane_rules_set(&w->side[0].d, NULL);
}
static void set_key(struct world *w)
{
	struct node_private next;
	struct errbuf eb;
	key_generate(&random_system, next.b);
	assert_int_equal(dataplane_key_set(&w->side[0].d, &next, &random_system, 0, &eb), 0);
}
static void remove_peer(struct world *w)
{
	wg_peer_remove(w->side[0].d.wg, 2);
}
static void seal(struct world *w)
{
	world_send(w, 0, 7, 80, "here");
}
static void echo(struct world *w)
{
	assert_true(dataplane_echo(&w->side[0].d, 2, &w->side[1].ip, PLANE_ECHO_TSMP, 1));
}

static void test_recalled(void **state)
{
	static void (*const rows[])(
		struct world * w) = { set_map, set_rules, set_key, remove_peer, seal, echo };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = start(false);
		assert_true(grant(w, ours(w, 1000)));
		assert_true(send_lent(w, 1000));
		lent.recalled = 0;
		rows[i](w);
		assert_true(lent.recalled > 0);
		assert_false(send_lent(w, 1000));
		world_free(w);
	}
}

/* A way that is lost is found stale with the next look. */
static void test_stale(void **state)
{
	(void)state;
	struct world *w = start(false);
	assert_true(grant(w, ours(w, 1000)));
	assert_false(lending_is_stale(&w->side[0].d, &lent.l));
	w->no_udp = true;
	for (int i = 0; i < 100 && !lending_is_stale(&w->side[0].d, &lent.l); i++) {
		assert_true(send_lent(w, 1000));
		tell(w);
		world_run(w, 100);
	}
	assert_true(lending_is_stale(&w->side[0].d, &lent.l));
	assert_true(path_way(w->side[0].path, 2).relay);
	world_free(w);
}

/* A peer is in use for as long as packets leave for it, whoever sends them. */
static void test_in_use(void **state)
{
	enum { LONG_MS = 60000 };
	struct path_state way;
	(void)state;
	struct world *w = start(false);
	assert_true(grant(w, ours(w, 4000)));
	for (uint64_t end = w->now_ms + LONG_MS; w->now_ms < end;) {
		if (!send_lent(w, 4000)) /* it was taken back for a question inside the tunnel */
			assert_true(grant(w, ours(w, 4000)) && send_lent(w, 4000));
		tell(w);
		world_run(w, 400);
		w->side[1].n_tun = 0;
	}
	assert_true(path_peer_state(w->side[0].path, w->now_ms, 2, &way));
	assert_true(way.active && way.direct);
	world_free(w);
}

/* The answer to what left by the other thread passes, however many other flows began since the loop saw a packet of this one. */
static void test_answered(void **state)
{
	enum { OTHERS = 40000, EACH = 400 };
	struct filter_drops drops = { 0 };
	struct ip_view v;
	(void)state;
	struct world *w = start(false);
	struct pkt p = ours(w, 4000);
	assert_true(grant(w, p));
	assert_true(ip_parse(pkt_data(&p), p.len, &v));
	for (unsigned i = 0; i < OTHERS; i++) {
		if (i % EACH == 0) {
			w->now_ms++;
			assert_true(send_lent(w, 4000));
			tell(w);
		}
		v.sport = (uint16_t)(5000 + i);
		v.dport = (uint16_t)(1 + i / 1000);
		assert_int_equal(filter_out(w->side[0].d.flows, w->now_ms, &v, &drops), FILTER_PASS);
	}
	world_run(w, 10);
	world_send(w, 1, 80, 4000, "answer");
	world_run(w, 50);
	assert_int_equal(w->side[0].n_tun, 1);
	world_free(w);
}

/* More flows than there is room for: the newest can be lent, and those that were used are not forgotten by the filter. */
static void test_many_flows(void **state)
{
	(void)state;
	struct world *w = start(false);
	for (uint16_t i = 1; i < 2000; i++) {
		assert_true(grant(w, ours(w, i)));
		assert_true(send_lent(w, i));
		world_run(w, 10);
		w->side[1].n_tun = 0;
		tell(w);
	}
	world_send(w, 1, 80, 1500, "answer");
	world_run(w, 50);
	assert_int_equal(w->side[0].n_tun, 1);
	world_free(w);
}

static void nobody_sees(void *arg, unsigned how, const uint8_t *p, size_t len)
{
	(void)arg, (void)how, (void)p, (void)len;
}

/* Who captures would miss what another thread sends. */
static void test_captured(void **state)
{
	(void)state;
	struct world *w = start(false);
	assert_true(grant(w, ours(w, 1000)));
	dataplane_capture_set(&w->side[0].d, &(struct plane_capture) { nobody_sees, NULL });
	assert_false(send_lent(w, 1000)); /* it came back */
	assert_false(grant(w, ours(w, 1000)));
	dataplane_capture_set(&w->side[0].d, &(struct plane_capture) { NULL, NULL });
	assert_true(grant(w, ours(w, 1000)));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lent), cmocka_unit_test(test_captured),
		cmocka_unit_test(test_not_lent), cmocka_unit_test(test_recalled),
		cmocka_unit_test(test_stale), cmocka_unit_test(test_in_use), cmocka_unit_test(test_answered),
		cmocka_unit_test(test_many_flows) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
