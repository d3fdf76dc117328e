/* Who captures sees packets before the rules, both ways, and what the node itself says. */
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct seen {
	size_t n[4]; /* by enum plane_captured */
	uint8_t last[64];
	size_t len;
};

static void packet_seen(void *arg, unsigned how, const uint8_t *p, size_t len)
{
	struct seen *s = arg;
	assert_true(how < 4 && len <= sizeof(s->last));
	s->n[how]++;
	s->len = len;
	memcpy(s->last, p, len);
}

static void test_both_ways(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct seen at_a = { 0 }, at_b = { 0 };
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, ""); /* nothing is let in */
	dataplane_capture_set(&a->d, &(struct plane_capture) { packet_seen, &at_a });
	dataplane_capture_set(&b->d, &(struct plane_capture) { packet_seen, &at_b });
	world_send(w, 0, 1000, 80, "abc");
	assert_int_equal(at_a.n[PLANE_FROM_LOCAL], 1); /* though it waits for its session */
	assert_int_equal(at_a.len, 31);
	assert_memory_equal(at_a.last + 28, "abc", 3);
	world_run(w, 100);
	assert_int_equal(at_a.n[PLANE_FROM_LOCAL], 1);
	assert_int_equal(at_b.n[PLANE_FROM_PEER], 1);
	assert_int_equal(b->n_tun, 0);
	assert_memory_equal(at_b.last + 28, "abc", 3);
	/* The node's own question, which the rules do not see. */
	size_t own = at_a.n[PLANE_TO_PEER], heard = at_b.n[PLANE_FROM_PEER];
	assert_true(dataplane_echo(&a->d, 2, &b->ip, PLANE_ECHO_TSMP, 7));
	world_run(w, 100);
	assert_int_equal(at_a.n[PLANE_TO_PEER], own + 1);
	assert_int_equal(at_b.n[PLANE_FROM_PEER], heard + 1);
	assert_true(at_b.n[PLANE_TO_PEER] > 0); /* and the answer */
	/* Nobody looks any more. */
	dataplane_capture_set(&b->d, &(struct plane_capture) { NULL, NULL });
	heard = at_b.n[PLANE_FROM_PEER];
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	assert_int_equal(at_b.n[PLANE_FROM_PEER], heard);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_both_ways) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
