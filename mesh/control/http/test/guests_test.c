#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/control/http/guests.h"
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 400 }; /* 100 visits, 100 strangers, 25 of one address; 168 nodes */

static void turn_away(struct guest *g)
{
	guest_leave(g);
	free(g);
}

static struct guest *arrive(struct guests *all, enum guest_kind kind, uint32_t ip)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct endpoint peer = { .ip = addr_v4(ip), .port = 1 };
	g->kind = kind;
	g->turn_away = turn_away;
	guest_arrive(all, g, &peer, 1);
	return g;
}

static struct guest *arrive_node(struct guests *all, uint32_t ip, unsigned machine)
{
	struct guest *g = arrive(all, GUEST_STRANGER, ip);
	struct machine_key key = { { 0 } };
	memcpy(key.b, &machine, sizeof(machine));
	guest_is_node(g, &key, 1);
	return g;
}

static size_t count(const struct guests *all, enum guest_kind kind)
{
	size_t n = 0;
	for (const struct guest *g = all->kinds[kind].first; g; g = g->next)
		n++;
	assert_int_equal(n, all->kinds[kind].n);
	return n;
}

static int setup(void **state)
{
	struct guests *all = calloc(1, sizeof(*all));
	guests_init(all, DESCRIPTORS, 3);
	*state = all;
	return 0;
}

static int teardown(void **state)
{
	struct guests *all = *state;
	for (size_t k = 0; k < GUEST_KINDS; k++)
		for (struct guest *g = all->kinds[k].first, *next; g; g = next) {
			next = g->next;
			turn_away(g);
		}
	assert_int_equal(all->bytes, 0);
	assert_int_equal(all->by_machine.n, 0);
	guests_fini(all);
	free(all);
	return 0;
}

/* One address takes its share and pushes out its own; many take all places and push out the oldest. */
static void test_places(void **state)
{
	struct guests *all = *state;
	struct guest *other = arrive(all, GUEST_STRANGER, 99), *last = NULL;
	for (unsigned i = 0; i < 1000; i++)
		last = arrive(all, GUEST_STRANGER, 1);
	assert_int_equal(count(all, GUEST_STRANGER), 25 + 1);
	assert_ptr_equal(all->kinds[GUEST_STRANGER].first, other);
	assert_ptr_equal(all->kinds[GUEST_STRANGER].end, &last->next);
	for (unsigned i = 0; i < 1000; i++)
		arrive(all, GUEST_STRANGER, 1000 + i);
	assert_int_equal(count(all, GUEST_STRANGER), 100);
	assert_true(addr_v4_get(&all->kinds[GUEST_STRANGER].first->net) == 1900);
	assert_int_equal(count(all, GUEST_VISIT), 0);
	assert_int_equal(all->turned_away, 1001 + 1000 - 100);
}

/* All bytes of strangers together: the oldest that hold any make room, nobody else is touched. */
static void test_bytes(void **state)
{
	enum { EACH = GUEST_BYTES_MAX / 8 };
	struct guests *all = *state;
	struct guest *idle = arrive(all, GUEST_STRANGER, 1), *node = arrive_node(all, 2, 1), *g = NULL;
	for (unsigned i = 0; i < 50; i++) {
		g = arrive(all, GUEST_STRANGER, 10 + i);
		assert_true(guest_charge(g, EACH, 1));
		assert_true(all->bytes <= GUEST_BYTES_MAX);
	}
	assert_int_equal(count(all, GUEST_STRANGER), 1 + 8);
	assert_ptr_equal(all->kinds[GUEST_STRANGER].first, idle);
	assert_true(guest_charge(g, -EACH, 1));
	assert_int_equal(all->bytes, 7 * EACH);
	assert_false(guest_charge(g, GUEST_BYTES_MAX + 1, 1)); /* all others have gone for nothing */
	assert_int_equal(all->bytes, 0);
	assert_true(guest_charge(node, GUEST_BYTES_MAX, 1)); /* not a stranger */
	assert_int_equal(all->bytes, 0);
	g = arrive(all, GUEST_STRANGER, 5);
	assert_true(guest_charge(g, 100, 1));
	guest_is_node(g, &(struct machine_key) { { 9 } }, 1);
	assert_int_equal(all->bytes, 0);
}

/* One node has few links, its newest; however many it opens, other nodes keep theirs and strangers their
 * places. */
static void test_nodes(void **state)
{
	struct guests *all = *state;
	struct guest *first = arrive_node(all, 1, 1), *last = NULL;
	for (unsigned i = 0; i < 500; i++)
		last = arrive_node(all, 2, 2);
	assert_int_equal(count(all, GUEST_NODE), 1 + GUEST_LINKS_PER_MACHINE);
	assert_ptr_equal(all->kinds[GUEST_NODE].first, first);
	assert_ptr_equal(all->kinds[GUEST_NODE].end, &last->next);
	guest_is_node(last, &last->machine, 1); /* again is nothing new */
	assert_int_equal(count(all, GUEST_NODE), 1 + GUEST_LINKS_PER_MACHINE);
	turn_away(last);
	arrive_node(all, 2, 2);
	assert_int_equal(count(all, GUEST_NODE), 1 + GUEST_LINKS_PER_MACHINE);
	for (unsigned i = 0; i < 500; i++)
		arrive_node(all, 3, 100 + i);
	assert_int_equal(count(all, GUEST_NODE), DESCRIPTORS / 2 - 32);
	assert_int_equal(count(all, GUEST_STRANGER), 0);
}

/* Of IPv6 a /64 is one address. */
static void test_v6(void **state)
{
	struct guests *all = *state;
	for (unsigned i = 0; i < 100; i++) {
		struct guest *g = calloc(1, sizeof(*g));
		struct endpoint peer = { .port = 1 };
		assert_true(addr_parse("2001:db8::", &peer.ip));
		peer.ip.b[15] = (uint8_t)i;
		g->kind = GUEST_VISIT;
		g->turn_away = turn_away;
		guest_arrive(all, g, &peer, 1);
	}
	assert_int_equal(count(all, GUEST_VISIT), 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v6, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
