/* Every call that wg.h allows from every op, made from each, while handshakes are begun, repeated, renewed,
 * answered, given up and lost: nothing that is in somebody's hands is freed (the sanitizers look), the calls
 * end, and packets still arrive. */
#include "mesh/wg/test/pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static unsigned depth, deepest, entered[PAIR_OPS];

static void ask_everything(struct pair_end *e)
{
	struct wg_peer_stats s;
	(void)wg_route(e->wg, &e->pair->end[!e->self].ip);
	(void)wg_ready(e->wg, e->pair->now_ms, 1);
	(void)wg_peer_stats(e->wg, 1, &s);
	(void)wg_deadline(e->wg);
	(void)wg_drops(e->wg);
	(void)wg_clock_floor(e->wg);
}

static void call_everything(struct pair_end *e, enum pair_op op)
{
	struct pair *p = e->pair;
	struct pkt k;
	entered[op]++;
	deepest = ++depth > deepest ? depth : deepest;
	ask_everything(e);
	wg_route_missed(e->wg);
	wg_clock_set(e->wg, p->now_ms, PAIR_UNIX_MS * UINT64_C(1000));
	wg_path_changed(e->wg, p->now_ms, 1);
	wg_handshake_wanted(e->wg, p->now_ms, 1);
	if (entered[op] % 4 == 1) /* the same of an attempt */
		wg_handshake_anew(e->wg, p->now_ms, 1);
	if (entered[op] % 4 == 0) /* said each time no session would ever live */
		wg_peer_restarted(e->wg, p->now_ms, 1);
	pkt_reset(&k);
	k.len = (uint16_t)pair_packet(p, e->self, 0, pkt_data(&k));
	(void)wg_seal(e->wg, p->now_ms, 1, &k);
	if (op == PAIR_UNKNOWN && e->on_demand)
		pair_introduce(p, e->self);
	depth--;
}

static void start(struct pair *p)
{
	pair_init(p, NULL);
	p->end[0].inside = p->end[1].inside = call_everything;
	depth = deepest = 0;
	memset(entered, 0, sizeof(entered));
}

static void test_allowed_calls(void **state)
{
	(void)state;
	struct pair p;
	start(&p);
	for (uint32_t i = 0; i < 400; i++) { /* more than one renewal, with losses and copies */
		p.loss = i % 100 < 20 ? 600 : 0;
		p.twice = i % 3 ? 0 : 200;
		pair_send(&p, (int)(i % 2), i);
		pair_run(&p, 500 + pair_random(&p) % 1000);
	}
	p.loss = p.twice = 0;
	unsigned before = p.end[1].delivered;
	pair_run(&p, 20000);
	pair_send(&p, 0, 0);
	pair_run(&p, 7000);
	assert_true(p.end[1].delivered > before);
	assert_true(entered[PAIR_SEND] && entered[PAIR_HEARD] && entered[PAIR_READY]);
	assert_true(deepest <= 3);
	pair_fini(&p);
}

/* A thousand milliseconds after the first try an initiation is repeated: by then every reason to hold back
 * from a new one is gone. */
static void test_bytes_outlive_their_attempt(void **state)
{
	(void)state;
	struct pair p;
	start(&p);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 100000);
	assert_true(p.end[0].sent[WG_INITIATION] > 20);
	p.cut[WG_INITIATION] = false;
	pair_send(&p, 0, 1);
	pair_run(&p, 7000);
	assert_true(wg_ready(p.end[0].wg, p.now_ms, 1));
	pair_fini(&p);
}

static void test_from_cookies_and_strangers(void **state)
{
	(void)state;
	struct pair p;
	start(&p);
	p.end[1].under_load = p.end[1].on_demand = true;
	wg_peer_remove(p.end[1].wg, 1);
	pair_send(&p, 0, 0);
	pair_run(&p, 7000);
	assert_true(entered[PAIR_SEND_BACK] && entered[PAIR_UNKNOWN]);
	assert_true(wg_ready(p.end[0].wg, p.now_ms, 1) && wg_ready(p.end[1].wg, p.now_ms, 1));
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed_calls),
		cmocka_unit_test(test_bytes_outlive_their_attempt),
		cmocka_unit_test(test_from_cookies_and_strangers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
