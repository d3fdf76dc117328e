/* What comes by relays, and goes to them: read together, and handled together. */
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Two who have met, by their relay alone. */
static struct world *world_by_relay(void)
{
	struct world *w = world_new();
	w->no_udp = true;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 1000);
	return w;
}

static void test_relay_reads_are_gathered(void **state)
{
	struct world *w = world_by_relay();
	struct side *a = &w->side[0], *b = &w->side[1];
	(void)state;
	assert_int_equal(b->n_tun, 1);
	/* One read with five frames: one write to the TUN, in their order. */
	for (int i = 0; i < 5; i++)
		world_send(w, 0, 1000, 80, (char[]) { (char)('a' + i), 0 });
	size_t writes = b->tun_writes, n = w->n;
	for (size_t i = 0; i < n; i++) {
		struct datagram *d = &w->flight[(w->first + i) % WORLD_FLIGHT];
		assert_true(d->relay);
		dataplane_relay_received(&b->d, WORLD_REGION, &a->key, d->b, d->len);
	}
	assert_int_equal(b->tun_writes, writes);
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->tun_writes, writes + 1);
	assert_int_equal(b->n_tun, 6);
	for (int i = 0; i < 5; i++)
		world_assert_tun(b, 1 + (size_t)i, (char[]) { (char)('a' + i), 0 });
	w->n = 0;
	/* More of them than are kept: none is lost. */
	for (size_t i = 0; i < PLANE_RELAYED + 3; i++) {
		world_send(w, 0, 1000, 80, "x");
		struct datagram *d = &w->flight[w->first];
		dataplane_relay_received(&b->d, WORLD_REGION, &a->key, d->b, d->len);
		w->n = 0;
	}
	assert_int_equal(b->n_tun, 6 + PLANE_RELAYED);
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->n_tun, 6 + PLANE_RELAYED + 3);
	/* A frame that no packet buffer holds. */
	static uint8_t big[PKT_SIZE] = { 4 };
	dataplane_relay_received(&b->d, WORLD_REGION, &a->key, big, sizeof(big));
	assert_int_equal(b->d.drops.relay_oversize, 1);
	world_free(w);
}

enum { OTHER_REGION = WORLD_REGION + 1 };

/* The next packet out of a's TUN, as it comes to b from a relay that is nobody's home. */
static void relay_one(struct world *w)
{
	struct side *a = &w->side[0], *b = &w->side[1];
	world_send(w, 0, 1000, 80, "abc");
	assert_int_equal(w->n, 1);
	struct datagram *d = &w->flight[w->first];
	dataplane_relay_received(&b->d, OTHER_REGION, &a->key, d->b, d->len);
	w->n = 0;
}

/* Packets of one sender that one read brings: the clock is asked once, and path is told once, until something says more of
 * that sender. */
static void test_relay_run(void **state)
{
	struct world *w = world_by_relay();
	struct side *a = &w->side[0], *b = &w->side[1];
	uint64_t id;
	(void)state;
	assert_true(path_peer_by_key(b->path, &a->key, &id));
	size_t asked = b->clock_asked;
	for (int i = 0; i < 5; i++)
		relay_one(w);
	assert_int_equal(b->clock_asked, asked + 1);
	/* Gone, and there again, in the same read. */
	assert_int_equal(path_way(b->path, id).region, OTHER_REGION);
	dataplane_relay_peer_gone(&b->d, OTHER_REGION, &a->key);
	assert_int_equal(path_way(b->path, id).region, WORLD_REGION);
	relay_one(w);
	assert_int_equal(path_way(b->path, id).region, OTHER_REGION);
	/* The next read is another time. */
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->n_tun, 1 + 6);
	asked = b->clock_asked;
	relay_one(w);
	assert_int_equal(b->clock_asked, asked + 1);
	/* Other rules hold from the next packet on. */
	dataplane_rules_set(&b->d, NULL);
	relay_one(w);
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->n_tun, 1 + 7);
	world_free(w);
}

/* A peer that is at its relay a moment later than we speak to it is met without a second's wait. */
static void test_relay_missed(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	(void)state;
	w->no_udp = true;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	w->no_relay = true;
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	w->no_relay = false;
	dataplane_relay_peer_gone(&a->d, WORLD_REGION, &b->key);
	world_run(w, 500);
	assert_int_equal(b->n_tun, 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay_reads_are_gathered),
		cmocka_unit_test(test_relay_run),
		cmocka_unit_test(test_relay_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
